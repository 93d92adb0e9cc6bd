"""Identification against brute force over the whole matrix of distances."""

import tracemalloc

import numpy as np
import pytest

import facelab as fl
from facelab.field import identification


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Several blocks of both sides, also where a set is small."""
    monkeypatch.setattr(identification, "GALLERY_BLOCK", 16)
    monkeypatch.setattr(identification, "PROBE_BLOCK", 7)


def unit(x):
    return x / np.linalg.norm(x, axis=1)[:, None]


def apart(probes, gallery):
    return np.linalg.norm(unit(probes)[:, None] - unit(gallery)[None], axis=2)


def people_around(rng, people, spread=0.6):
    """Embeddings, (n, 5), scattered around a centre for each person, of any length."""
    centres = np.random.default_rng(5).normal(size=(20, 5))
    embeddings = centres[people] + spread * rng.normal(size=(len(people), 5))
    return embeddings * rng.uniform(0.1, 10, (len(people), 1))


@pytest.mark.parametrize("k", [1, 3, 16, 20, 50])
@pytest.mark.parametrize("order", ["random", "nearer and nearer", "farther and farther"])
def test_search_finds_what_sorting_all_distances_finds(k, order):
    rng = np.random.default_rng(k)
    probes, gallery = rng.normal(size=(30, 5)), rng.normal(size=(50, 5))
    if order != "random":
        nearest_last = np.argsort(-apart(probes[:1], gallery)[0])
        gallery = gallery[nearest_last if order == "nearer and nearer" else nearest_last[::-1]]
    distance, row = fl.search(probes, gallery, k)
    expected = apart(probes, gallery)
    assert np.array_equal(row, np.argsort(expected, axis=1, kind="stable")[:, :k])
    np.testing.assert_allclose(distance, np.sort(expected, axis=1)[:, :k], atol=1e-7)


def test_search_measures_what_verification_measures(tmp_path):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(40, 8)).astype(np.float32)
    path = tmp_path / "gallery.npy"
    np.save(path, embeddings[10:])
    distance, row = fl.search(embeddings[:10], np.load(path, mmap_mode="r"))
    pairs = fl.Pairs(np.arange(10), row[:, 0] + 10, np.zeros(10, bool))
    assert np.array_equal(distance[:, 0], fl.distances(embeddings, pairs))


def test_an_embedding_finds_itself_at_distance_0():
    embeddings = np.random.default_rng(0).normal(size=(40, 64))
    distance, row = fl.search(embeddings, embeddings)
    assert np.array_equal(row[:, 0], np.arange(40))
    assert (distance == 0).all()


def brute_force(probes, people, gallery, gallery_people):
    distance = apart(probes, gallery)
    rank, mate = [], []
    for d, person in zip(distance, people, strict=True):
        own = gallery_people == person
        mate.append(d[own].min() if own.any() else np.nan)
        rank.append(1 + (d[~own] <= mate[-1]).sum() if own.any() else 0)
    return np.array(rank), np.array(mate), distance.min(axis=1)


@pytest.fixture
def open_set():
    """Probes of people 0 to 19, entries of people 0 to 11 and 40 distractors of others."""
    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(20), 4)
    gallery_people = np.concatenate([np.repeat(np.arange(12), 2), np.arange(100, 140)])
    probes = people_around(rng, people)
    gallery = np.concatenate([people_around(rng, gallery_people[:24]), rng.normal(size=(40, 5))])
    order = rng.permutation(len(gallery))
    return probes, people, gallery[order], gallery_people[order]


def test_ranks_and_distances_are_those_of_brute_force(open_set):
    found = fl.identify(*open_set)
    rank, mate, nearest = brute_force(*open_set)
    assert np.array_equal(found.rank, rank)
    assert len(np.unique(rank)) > 5
    np.testing.assert_allclose(found.mate, mate, atol=1e-7)
    np.testing.assert_allclose(found.nearest, nearest, atol=1e-7)
    assert found.n_gallery == 64
    assert found.mated.sum() == 48
    named = [np.char.add("p", part.astype(str)) for part in (open_set[1], open_set[3])]
    again = fl.identify(open_set[0], named[0], open_set[2], named[1])
    assert np.array_equal(again.rank, rank)


def test_cmc_is_the_share_found_up_to_each_rank(open_set):
    found = fl.identify(*open_set)
    ranks = brute_force(*open_set)[0]
    ranks = ranks[ranks > 0]
    assert found.cmc(20).tolist() == [np.mean(ranks <= r) for r in range(1, 21)]
    assert found.cmc(64)[-1] == 1


@pytest.mark.parametrize("far", [0.5, 0.25, 0.1, 1 / 32])
def test_dir_at_far_is_the_best_of_all_thresholds(open_set, far):
    found = fl.identify(*open_set)
    rank, mate, nearest = brute_force(*open_set)
    others = nearest[rank == 0]
    rates = []
    for threshold in [*np.unique(np.append(nearest, mate[rank > 0])), 3.0]:
        if np.mean(others < threshold) <= far:
            rates.append(np.mean((rank[rank > 0] == 1) & (mate[rank > 0] < threshold)))
    value, threshold = found.dir_at_far(far)
    assert value == max(rates)
    assert np.mean(found.nearest[~found.mated] < threshold) <= far
    assert 0 < value < 1


def test_rates_without_enough_probes_say_what_is_missing(open_set):
    probes, people, gallery, gallery_people = open_set
    found = fl.identify(*open_set)
    with pytest.raises(ValueError, match=r"1,000 others for FAR 0\.001, got 48 and 32"):
        found.dir_at_far(0.001)
    with pytest.raises(ValueError, match="100 others for FAR"):
        found.dir_at_far(0.01)
    strangers = fl.identify(probes, people + 1000, gallery, gallery_people)
    with pytest.raises(ValueError, match="probes whose people are in the gallery, got none"):
        strangers.cmc()


def test_a_collapsed_network_identifies_nobody():
    embeddings = np.ones((40, 5))
    people = np.arange(40)
    found = fl.identify(embeddings, people, embeddings, people)
    assert (found.rank == 40).all()
    probes = fl.with_distractors(embeddings[:4], [0, 0, 1, 1], embeddings)
    assert probes.cmc(1)[0] == 0


def test_each_pair_of_a_person_is_searched_among_the_distractors():
    rng = np.random.default_rng(3)
    people = np.array([4, 2, 4, 2, 2, 9])
    probes = people_around(rng, people)
    distractors = rng.normal(size=(60, 5))
    found = fl.with_distractors(probes, people, distractors, n_ranks=60)
    among, own = apart(probes, distractors), apart(probes, probes)
    expected = []
    for i in range(6):
        for j in range(6):
            if i != j and people[i] == people[j]:
                expected.append(1 + (among[i] <= own[i, j]).sum())
    assert found.rank.tolist() == expected
    assert len(expected) == 8 and len(set(expected)) > 2
    assert found.n_gallery == 61
    few = fl.with_distractors(probes, people, distractors, n_ranks=2)
    assert np.array_equal(few.cmc(2), found.cmc(2))
    with pytest.raises(ValueError, match="expected 1 to 2 ranks, got 3"):
        few.cmc(3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: fl.search(x, x[:, :2]), "embeddings of one size, got shapes ((4, 3), (4, 2))"),
        (lambda x: fl.search(x, x[:0]), "embeddings of one size, got shapes ((4, 3), (0, 3))"),
        (lambda x: fl.search(x, x, 5), "expected k of 1 to 4 entries, got 5"),
        (lambda x: fl.search(x, x, 0), "expected k of 1 to 4 entries, got 0"),
        (lambda x: fl.search(x, x * [[1], [1], [0], [1]]), "expected embeddings of finite length"),
        (
            lambda x: fl.identify(x, [1], x, [1] * 4),
            "expected probe_people of shape (4,), got",
        ),
        (lambda x: fl.with_distractors(x, [1, 2, 3, 4], x), "two probes or more, got none"),
        (lambda x: fl.with_distractors(x, [1], x), "expected people of shape (4,), got shape (1,)"),
        (lambda x: fl.identify(x, [1] * 4, x, [1] * 4).cmc(0), "expected 1 to any ranks, got 0"),
        (lambda x: fl.identify(x, [1] * 4, x, [1] * 4).cmc(1.5), "n_ranks a whole number, got 1.5"),
        (lambda x: fl.identify(x, [1] * 4, x, [2] * 4).dir_at_far(0), "from 1e-09 to 1, got 0"),
        (lambda x: fl.identify(x, [1] * 4, x, [2] * 4).dir_at_far("x"), "to 1, got 'x'"),
        (lambda x: fl.identify(x, [1, 2, 3, np.nan], x, [1] * 4), "numbers of people, got nan"),
        (lambda x: fl.identify(x, ["a"] * 4, x, np.array(["a", "a", None, "b"])), "got nan"),
    ],
)
def test_wrong_input_is_one_line(call, said):
    with pytest.raises(ValueError) as error:
        call(np.eye(4, 3) + 1)
    assert said in str(error.value)


def test_memory_does_not_grow_with_the_gallery(monkeypatch):
    monkeypatch.undo()
    rng = np.random.default_rng(0)
    probes = rng.normal(size=(256, 8)).astype(np.float32)
    peaks = []
    for n in (40_000, 160_000):
        gallery = rng.normal(size=(n, 8)).astype(np.float32)
        tracemalloc.start()
        fl.search(probes, gallery, 5)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 256 * 160_000 * 4 / 2  # half of the whole matrix
