"""LFW's views as splits: who to learn from, who to set a threshold on, and who to test on."""

import numpy as np

from facelab.checks import expect, kinds, real, whole
from facelab.faces import Faces, Split, draw_pairs

# The nine people of peopleDevTrain with more images (George W. Bush has 530) stay in train:
# otherwise the size of train would depend on who is drawn more than on how many are.
MOST_DEV_IMAGES = 50
MOST_PAIRS = 500  # of each kind, in what is drawn
FEWEST = 2  # people with pairs in each part: one alone is no ground for an interval


@kinds
def view1(faces: Faces, dev_people: float = 0.15, seed: int = 0) -> Split:
    """Split by LFW's View 1, the one for choosing a model.

    Test is always peopleDevTest with pairsDevTest. Of peopleDevTrain the share `dev_people`, in
    (0, 1), is held out as dev, nobody with more than 50 images; the others are train, with those
    pairs of pairsDevTrain whose people are both in it. The seed decides who is held out and which
    pairs of them are drawn: as many same as different ones, three of each per held-out person with
    two images or more, at most 500 of each (Huang et al., "Labeled Faces in the Wild", UMass
    Amherst TR 07-49, 2007, section IV).
    """
    protocol = _protocol_of(faces)
    test = faces.select(protocol.dev_test)
    pool = faces.select(protocol.dev_train)
    pairs = protocol.pairs_dev_train, protocol.pairs_dev_test
    return _split(pool, test, *pairs, "View 1", dev_people, seed)


@kinds
def view2(faces: Faces, fold: int, dev_people: float = 0.15, seed: int = 0) -> Split:
    """Split by one fold, 0..9, of LFW's View 2, the one for reporting.

    Test is the people and pairs of the fold; the people of the other folds are train, but for the
    held-out dev people, drawn as in `view1`. A View 2 result is the mean over all folds, each with
    its own training.
    """
    protocol = _protocol_of(faces)
    fold = whole("fold", fold, 0, len(protocol.folds) - 1)
    name = f"View 2, fold {fold + 1}"
    people = set(protocol.folds[fold])
    test = faces.select(people)
    pool = faces.select(set(faces.names) - people)
    pairs = protocol.pairs, protocol.pairs.where(protocol.pairs.fold == fold)
    return _split(pool, test, *pairs, name, dev_people, seed)


@kinds
def all_lfw(faces: Faces) -> Split:
    """Train on everyone, as studies do that quote 5,749 classes; what is tested was learned.

    Dev and test are those of `view1`, whose people are all in train too.
    """
    _, dev, test = view1(faces)
    leaking = (
        f"train is all {len(faces.names):,} people, so everyone in dev and test is a training "
        "person: these results do not tell how strangers are verified"
    )
    return Split(faces.with_pairs(None), dev, test, "all LFW", leaking)


@kinds
def split_people(faces: Faces, dev: float = 0.25, test: float = 0.25, seed: int = 0) -> Split:
    """Split any faces into train, dev and test people, nobody in two of them, with drawn pairs.

    `dev` and `test` are shares of the people, of those with one image and of the others alike. The
    seed decides who is where and which pairs are drawn, in each part as LFW drew its own: as many
    same as different ones, three of each per person with two images or more, at most 500 of each.

    Fewer than two people with two images or more in a part are a ValueError, which says how many
    are needed.
    """
    dev = real("dev", dev, 0, 1)
    test = real("test", test, 0, 1)
    got = f"dev={dev}, test={test}"
    expect(0 < dev < dev + test < 1, "shares of people above 0 and below 1 in all", got)
    rng = np.random.default_rng(whole("seed", seed, 0))
    chosen = {"train": [], "dev": [], "test": []}
    for is_many in (True, False):
        people = np.flatnonzero((faces.counts >= 2) == is_many)
        n_test = round(test * len(people))
        n_dev = round(dev * len(people))
        if is_many and min(n_test, n_dev, len(people) - n_test - n_dev) < FEWEST:
            raise ValueError(_too_few(faces, len(people), min(dev, test, 1 - dev - test)))
        parts = np.split(rng.permutation(people), [n_test, n_test + n_dev])
        for part, some in zip(("test", "dev", "train"), parts, strict=True):
            chosen[part] += [faces.names[k] for k in some]
    parts = [
        _with_drawn_pairs(faces.select(names), f"{part} people", part, seed)
        for part, names in chosen.items()
    ]
    return Split(*parts, f"people of {faces.source}")


def _too_few(faces: Faces, n: int, smallest: float) -> str:
    needed = int(np.ceil((FEWEST + 0.5) / smallest))
    n_test = int(np.ceil(1.96**2 * 0.9 * 0.1 / 0.1**2))  # independent same pairs of as many people
    return (
        f"expected at least {FEWEST} people with two images or more in each of train, dev and "
        f"test, for which {needed} such people are enough, got {n} in {faces}; that a test of "
        f"about 90 % has a 95 % interval of 10 points on each side takes {n_test} in test alone"
    )


def _protocol_of(faces: Faces):
    lists = "faces with LFW's lists of people and pairs"
    expect(faces.protocol is not None, lists, f"{faces}; split_people needs none")
    return faces.protocol


def _with_drawn_pairs(faces: Faces, name: str, role: str, seed: int) -> Faces:
    """Draw three pairs of each kind per person with two images or more, as far as there are."""
    same = int((faces.counts * (faces.counts - 1) // 2).sum())
    different = len(faces) * (len(faces) - 1) // 2 - same
    n_pairs = min(MOST_PAIRS, 3 * int((faces.counts >= 2).sum()), same, different)
    expect(n_pairs, f"people with two images or more for {name} pairs", faces)
    return faces.with_pairs(draw_pairs(faces, n_pairs, n_pairs, seed, name, role))


def hold_out(pool: Faces, dev_people: float, seed: int) -> tuple[Faces, Faces]:
    """Draw the share `dev_people` out of `pool`; return the others, and those with dev pairs."""
    drawable = np.array(pool.names)[pool.counts <= MOST_DEV_IMAGES]
    n = len(drawable)
    n_people = round(real("dev_people", dev_people, 0, 1) * len(pool.names))
    expect(0 < n_people < n, f"to draw between 1 and {n - 1} of {n} people", n_people)
    rng = np.random.default_rng(whole("seed", seed, 0))
    drawn = set(rng.choice(drawable, n_people, replace=False).tolist())
    dev = _with_drawn_pairs(pool.select(drawn), "dev", "dev", seed)
    return pool.select(set(pool.names) - drawn), dev


def _split(pool, test, train_pairs, test_pairs, name, dev_people, seed):
    """Hold dev people out of `pool`, and give train and test their pairs of the protocol."""
    train, dev = hold_out(pool, dev_people, seed)
    train_pairs = train_pairs.among(train.names).rows(train, f"{name} train", "train")
    test_pairs = test_pairs.rows(test, f"{name} test", "test")
    return Split(train.with_pairs(train_pairs), dev, test.with_pairs(test_pairs), name)
