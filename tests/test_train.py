import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers
from sklearn.metrics import roc_auc_score
from torch import nn

from facelab import samplers, train
from facelab.augmentation import augment, to_float
from facelab.checkpoints import describe
from facelab.faces import Faces, draw_pairs
from facelab.losses import AdaCos, ContrastiveLoss


def make_faces(people=12, images=8, noise=40, seed=0):
    """People who differ in the colours of four quadrants."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(40, 216, (people, 1, 3, 2, 2)).repeat(images, 1)
    pictures = colours.repeat(8, 3).repeat(8, 4) + rng.normal(0, noise, (people, images, 3, 16, 16))
    labels = np.arange(people).repeat(images)
    faces = Faces(
        packed=pictures.reshape(-1, 3, 16, 16).clip(0, 255).astype(np.uint8),
        rows=np.arange(len(labels)),
        labels=labels,
        names=tuple(f"P{k:02d}" for k in range(people)),
        numbers=np.tile(np.arange(1, images + 1), people),
        source="coloured squares",
        fingerprint=f"squares-{people}-{images}-{noise}-{seed}",
    )
    return faces.with_pairs(draw_pairs(faces, 60, 60, seed, "squares"))


TRAIN, DEV = make_faces(), make_faces(seed=1)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(392, 8)
    )


def fit(model, epochs=4, **settings):
    default = {
        "sampler": samplers.balanced_pairs,
        "batch_size": 16,
        "fabric": Fabric(accelerator="cpu", devices=1, precision="32-true"),
    }
    loss = settings.pop("loss", None) or ContrastiveLoss(1.4)
    return train.fit(model, settings.pop("faces", TRAIN), loss, epochs=epochs, **default | settings)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_fit_learns_to_tell_people_apart_that_it_never_saw():
    model = network()
    before = roc(model, DEV)
    history = fit(model, 25, watch={"dev": DEV}).history
    assert history.loss.iloc[-1] < 0.6 * history.loss.iloc[0]
    assert history.dev_auc.iloc[-1] > max(0.9, before)
    assert history.dev_auc.iloc[-1] == pytest.approx(roc(model, DEV), abs=1e-6)


def roc(model, faces):
    embeddings = train.embed(model, faces)
    left, right = embeddings[faces.pairs.left], embeddings[faces.pairs.right]
    return roc_auc_score(faces.pairs.same, -np.linalg.norm(left - right, axis=1))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    models = [network() for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        fit(model, 2, seed=seed, augment=augment)
    first, again, other = map(weights, models)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_watching_changes_nothing_in_training():
    watched, alone = network(), network()
    fit(watched, 2, watch={"dev": DEV})
    fit(alone, 2)
    assert torch.equal(weights(watched), weights(alone))


SETTINGS = {
    "augment": partial(augment, rotate=5.0),
    "scheduler": partial(torch.optim.lr_scheduler.StepLR, step_size=2),
    "watch": {"dev": DEV},
}


def test_training_resumed_from_a_checkpoint_equals_training_without_a_stop(tmp_path):
    whole, stopped, resumed = network(), network(), network(seed=5)
    expected = fit(whole, 5, **SETTINGS)
    fit(stopped, 3, checkpoint=tmp_path / "c.pt", **SETTINGS)
    got = fit(resumed, 5, checkpoint=tmp_path / "c.pt", **SETTINGS)
    assert torch.equal(weights(whole), weights(resumed))
    timing = ["images_per_second", "seconds"]
    assert expected.history.drop(columns=timing).equals(got.history.drop(columns=timing))
    assert expected.distances.equals(got.distances)
    assert expected.distances.groupby(["epoch", "split"]).size().tolist() == [120] * 5


def test_the_best_watched_weights_are_kept_and_the_last_ones_stay_in_the_model(tmp_path):
    rates = [0.001, 0.002, 1.0, 0.01]  # the third epoch ruins what was learned

    def ruin(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: rates[min(epoch, 3)])

    settings = {"watch": {"dev": DEV}, "scheduler": ruin, "lr": 1.0, "loss_lr": 0.0}
    model, best, until_best = network(), network(seed=3), network()
    history = fit(model, 4, keep_best={"dev": best}, **settings).history
    at = int(history.dev_auc.idxmax()) + 1
    assert 1 < at < 4
    fit(until_best, at, **settings)
    assert torch.equal(weights(best), weights(until_best))
    assert not torch.equal(weights(best), weights(model))
    assert roc(best, DEV) == pytest.approx(history.dev_auc.max(), abs=1e-6)

    for epochs, seed in ((at, 0), (4, 5)):  # stopped there, then resumed by other networks
        resumed, kept = network(seed), network(seed=6)
        file = tmp_path / "c.pt"
        fit(resumed, epochs, keep_best={"dev": kept}, checkpoint=file, **settings)
    assert torch.equal(weights(kept), weights(best))
    assert torch.equal(weights(resumed), weights(model))


def test_the_best_can_only_be_kept_of_what_is_watched_and_was_kept_before(tmp_path):
    with pytest.raises(ValueError, match=r"the best of \['dev'\], got \['test'\]"):
        fit(network(), watch={"dev": DEV}, keep_best={"test": network()})
    fit(network(), 1, watch={"dev": DEV}, checkpoint=tmp_path / "c.pt")
    best = {"dev": network()}
    with pytest.raises(ValueError, match=r"with keep_best \['dev'\], got \[\] in"):
        fit(network(), 2, watch={"dev": DEV}, keep_best=best, checkpoint=tmp_path / "c.pt")


def killed_in_epoch_4(faces, batch_size, rng):
    """Die without warning when the fourth epoch begins."""
    killed_in_epoch_4.calls = getattr(killed_in_epoch_4, "calls", 0) + 1
    if killed_in_epoch_4.calls == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return samplers.balanced_pairs(faces, batch_size, rng)


def test_a_killed_training_goes_on_where_it_was(tmp_path):
    path = tmp_path / "c.pt"
    code = (
        "import test_train as t; t.killed_in_epoch_4.__name__ = 'balanced_pairs';"
        f"t.fit(t.network(), 6, checkpoint={str(path)!r}, sampler=t.killed_in_epoch_4)"
    )
    here = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    resumed, whole = network(seed=7), network()
    history = fit(resumed, 6, checkpoint=path).history
    fit(whole, 6)
    assert torch.equal(weights(resumed), weights(whole))
    assert history.epoch.tolist() == [1, 2, 3, 4, 5, 6]


def triplet_loss(p):
    return losses.TripletMarginLoss(distance=distances.LpDistance(p=p))


BFLOAT16 = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
OTHER_PAIRS = DEV.with_pairs(draw_pairs(DEV, 60, 60, 5, "squares"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lr": 0.5}, "lr 0.5, got 0.01"),
        ({"batch_size": 32}, "batch_size 32, got 16"),
        ({"loss": ContrastiveLoss(0.7)}, "loss.name 'ContrastiveLoss', got 'TripletMarginLoss'"),
        ({"loss": triplet_loss(p=1)}, "loss.distance.p 1, got 2"),
        ({"miner": miners.TripletMarginMiner(margin=0.3)}, "miner.margin 0.3, got 0.2"),
        ({"miner": None}, "miner None, got {'name': 'TripletMarginMiner'"),
        ({"optimizer": partial(torch.optim.Adam, betas=(0.8, 0.9))}, "betas [0.8, 0.9], got None"),
        ({"sampler": samplers.shuffled}, "sampler.name 'shuffled', got 'people_by_images'"),
        ({"augment": augment}, "augment {'name': 'augment'}, got None"),
        ({"faces": make_faces(people=11)}, "people 11, got 12"),
        ({"faces": make_faces(seed=7)}, "fingerprint 'squares-12-8-40-7', got 'squares-12"),
        ({"faces": replace(TRAIN, rows=TRAIN.rows[::-1])}, "images_checksum"),
        ({"watch": {}}, "watched.dev None, got {'fingerprint': 'squares-12-8-40-1'"),
        ({"watch": {"dev": make_faces(seed=2)}}, "watched.dev.fingerprint 'squares-12-8-40-2'"),
        ({"watch": {"dev": DEV.with_pairs(DEV.pairs[:50])}}, "watched.dev.pairs 50, got 120"),
        ({"watch": {"dev": OTHER_PAIRS}}, "watched.dev.checksum"),
        (
            {"fabric": BFLOAT16},
            "precision 'bf16-mixed', got '32-true'",
        ),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, change, told):
    path = tmp_path / "c.pt"
    settings = {
        "loss": triplet_loss(p=2),
        "miner": miners.TripletMarginMiner(margin=0.2),
        "sampler": samplers.people_by_images,
        "watch": {"dev": DEV},
        "lr": 0.01,
    }
    fit(network(), 1, checkpoint=path, **settings)
    with pytest.raises(ValueError, match="expected a checkpoint of this training, with") as error:
        fit(network(), 2, checkpoint=path, **(settings | change))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_number_of_threads_is_refused(tmp_path):
    threads = torch.get_num_threads()
    fit(network(), 1, checkpoint=tmp_path / "c.pt")
    torch.set_num_threads(threads + 1)
    try:
        with pytest.raises(ValueError, match=f"threads {threads + 1}, got {threads} in"):
            fit(network(), 2, checkpoint=tmp_path / "c.pt")
    finally:
        torch.set_num_threads(threads)


def test_a_file_of_another_kind_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(2)}, tmp_path / "c.pt")
    with pytest.raises(ValueError, match="expected a checkpoint of this training, with people 12"):
        fit(network(), 2, checkpoint=tmp_path / "c.pt")


def test_a_used_miner_and_loss_resume_as_fresh_ones_do(tmp_path):
    used = {"loss": losses.TripletMarginLoss(), "miner": miners.TripletMarginMiner()}
    fresh = {"loss": losses.TripletMarginLoss(), "miner": miners.TripletMarginMiner()}
    settings = {"checkpoint": tmp_path / "c.pt", "sampler": samplers.people_by_images}
    first = fit(network(), 1, **used, **settings)
    for epochs, parts in ((2, used), (3, fresh)):
        assert fit(network(), epochs, **parts, **settings).settings == first.settings


def test_learning_rates_that_numpy_chose_can_be_resumed(tmp_path):
    rate = np.float64(0.01)
    settings = {"lr": rate, "loss_lr": rate, "checkpoint": tmp_path / "c.pt"}
    fit(network(), 1, **settings)
    assert len(fit(network(), 2, **settings).history) == 2


PARTS = [
    losses.ContrastiveLoss(distance=distances.CosineSimilarity(), pos_margin=1, neg_margin=0),
    losses.TripletMarginLoss(embedding_regularizer=regularizers.LpRegularizer()),
    losses.MarginLoss(),
    losses.MultiSimilarityLoss(),
    losses.NTXentLoss(),
    losses.AngularLoss(),
    losses.ArcFaceLoss(4, 8, weight_regularizer=regularizers.RegularFaceRegularizer()),
    losses.CosFaceLoss(4, 8),
    losses.SubCenterArcFaceLoss(num_classes=4, embedding_size=8),
    losses.SoftTripleLoss(4, 8),
    losses.ProxyAnchorLoss(4, 8),
    losses.CrossBatchMemory(losses.TripletMarginLoss(), 8, miner=miners.BatchHardMiner()),
    ContrastiveLoss(1.4),
    AdaCos(4, 8),
    miners.AngularMiner(),
    miners.BatchHardMiner(),
    miners.BatchEasyHardMiner(),
    miners.DistanceWeightedMiner(),
    miners.HDCMiner(),
    miners.MultiSimilarityMiner(),
    miners.PairMarginMiner(),
    miners.TripletMarginMiner(collect_stats=True),
    miners.UniformHistogramMiner(),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_a_part_is_described_alike_before_and_after_use_in_plain_values(part):
    before = describe(part)
    torch.manual_seed(0)
    for module in part.modules():
        if isinstance(module, reducers.ThresholdReducer):
            module.collect_stats = True  # as training does
    part(torch.randn(16, 8), torch.arange(16) % 4)
    assert describe(part) == before == json.loads(json.dumps(before))
    assert before["name"] == type(part).__name__


def test_settings_describe_parts_within_parts():
    distance = distances.LpDistance(p=1, normalize_embeddings=False)
    told = describe(losses.TripletMarginLoss(margin=0.3, distance=distance))
    assert told["margin"] == 0.3
    assert "embedding_regularizer" not in told
    assert told["distance"]["name"] == "LpDistance"
    assert (told["distance"]["p"], told["distance"]["normalize_embeddings"]) == (1, False)
    assert told["reducer"] == {"name": "AvgNonZeroReducer", "low": 0}
    sampler = partial(samplers.people_by_images, images_per_person=3)
    assert describe(sampler) == {"name": "people_by_images", "images_per_person": 3}
    own = partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=own_rate)
    assert describe(own) == {"name": "LambdaLR", "lr_lambda": {"name": "own_rate"}}
    assert describe(partial(own_rate, np.float64(2))) == {"name": "own_rate", "args": [2.0]}
    assert describe(None) is None


def own_rate(epoch):
    return 0.5**epoch


def test_settings_say_what_was_trained_on_what_and_how():
    model = network()
    loss = losses.ArcFaceLoss(12, 8)
    numbers = {"lr": np.float64(0.5), "loss_lr": np.float32(0.5)}
    settings = fit(model, 1, watch={"dev": DEV}, loss=loss, **numbers).settings
    assert type(settings["lr"]) is type(settings["loss_lr"]) is float
    assert json.loads(json.dumps(settings)) == settings
    assert settings["people"] == 12
    assert settings["people_images"] == 96
    assert settings["fingerprint"] == TRAIN.fingerprint
    assert settings["weights"] == len(weights(model))
    assert settings["watched"] == ["dev"]
    assert settings["optimizer"] == {"name": "Adam"}
    assert settings["miner"] is None
    assert settings["loss"]["margin"] == pytest.approx(np.radians(28.6))


def test_what_is_watched_keeps_its_role_and_whether_it_is_drawn():
    dev = replace(DEV, synthetic=True, pairs=replace(DEV.pairs, role="dev"))
    training = fit(network(), 2, watch={"dev": dev})
    assert training.history.synthetic.tolist() == [False, False]
    assert training.distances.synthetic.all()
    assert set(training.distances.role) == {"dev"}
    assert fit(network(), 1).distances.empty


def test_a_checkpoint_with_more_epochs_than_asked_for_is_refused(tmp_path):
    fit(network(), 3, checkpoint=tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"at most 2 epochs, got 3 in .*c.pt"):
        fit(network(), 2, checkpoint=tmp_path / "c.pt")


class Evil:
    def __reduce__(self):
        return os.mkdir, (os.environ["EVIL"],)


def test_a_checkpoint_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.setenv("EVIL", str(tmp_path / "evil"))
    torch.save({"rows": Evil()}, tmp_path / "c.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        fit(network(), 2, checkpoint=tmp_path / "c.pt")
    assert not (tmp_path / "evil").exists()


def test_a_loss_that_is_not_finite_stops_with_batch_rate_and_advice():
    class Broken(losses.ContrastiveLoss):
        def forward(self, embeddings, labels, mined=None):
            return super().forward(embeddings, labels, mined) * float("nan")

    with pytest.raises(
        FloatingPointError,
        match=r"got nan in epoch 1, batch 1 of 6, .* rate of 0.02; try a smaller",
    ):
        fit(network(), 2, lr=0.02, loss=Broken())


def test_the_parameters_of_the_loss_are_optimised_at_their_own_rate():
    loss = losses.ArcFaceLoss(num_classes=12, embedding_size=8)
    before = loss.W.detach().clone()
    fit(network(), 1, loss=loss, sampler=samplers.shuffled, loss_lr=0.1, optimizer=torch.optim.SGD)
    fast = (loss.W.detach() - before).abs().max()
    slow_loss = losses.ArcFaceLoss(num_classes=12, embedding_size=8)
    slow_loss.W.data = before.clone()
    fit(network(), 1, loss=slow_loss, sampler=samplers.shuffled, lr=1e-4, optimizer=torch.optim.SGD)
    assert fast > 10 * (slow_loss.W.detach() - before).abs().max() > 0


class FindsNothing(miners.BaseMiner):
    def mine(self, embeddings, labels, ref_emb, ref_labels):
        return (torch.zeros(0, dtype=torch.long),) * 3

    def output_assertion(self, output):
        pass


def test_a_miner_that_finds_nothing_is_noted():
    history = fit(
        network(),
        1,
        loss=losses.TripletMarginLoss(),
        miner=FindsNothing(),
        sampler=samplers.people_by_images,
    ).history
    assert history.mined[0] == 0
    assert "the miner found nothing" in history.note[0]


def test_a_collapsed_network_is_noted():
    model = network()
    nn.init.zeros_(model[-1].weight)
    history = fit(model, 1, lr=1e-12).history
    assert "collapsed" in history.note[0]
    assert history.loss[0] == pytest.approx(1.4**2 / 2, abs=1e-4)


def test_active_counts_the_terms_that_are_not_zero():
    seen = []

    class Recorder(losses.TripletMarginLoss):
        def forward(self, embeddings, labels, mined=None):
            x = nn.functional.normalize(embeddings.detach())
            a, p, n = mined
            gap = (x[a] - x[p]).norm(dim=1) - (x[a] - x[n]).norm(dim=1) + self.margin
            seen.append(((gap > 1e-6).sum().item(), len(a)))
            return super().forward(embeddings, labels, mined)

    history = fit(
        network(),
        1,
        loss=Recorder(margin=0.1),
        miner=miners.TripletMarginMiner(margin=0.4, type_of_triplets="all"),
        sampler=samplers.people_by_images,
    ).history
    active, mined = np.mean(seen, axis=0)
    assert history.active[0] == pytest.approx(active, abs=0.5)
    assert history.mined[0] == pytest.approx(mined)
    assert active < mined


def test_distances_in_the_history_are_those_of_the_batches_pairs():
    history = fit(network(), 1, lr=1e-12, sampler=samplers.shuffled, batch_size=96).history
    # A single batch of all images: every pair of images counts.
    model = network().train()
    torch.manual_seed(np.random.SeedSequence([0, 1]).generate_state(2).tolist()[0])
    rows = next(iter(samplers.shuffled(TRAIN, 96, np.random.default_rng([0, 1])))).rows
    with torch.no_grad():
        x = nn.functional.normalize(model(to_float(torch.from_numpy(TRAIN.batch(rows)))))
    distance = torch.cdist(x, x).numpy()
    same = TRAIN.labels[rows][:, None] == TRAIN.labels[rows]
    assert history.same_distance[0] == pytest.approx(
        distance[same & ~np.eye(96, dtype=bool)].mean(), rel=1e-3
    )
    assert history.different_distance[0] == pytest.approx(distance[~same].mean(), rel=1e-3)


def test_embeddings_have_unit_length_and_do_not_depend_on_the_batch_size():
    model = network()
    whole, small = train.embed(model, TRAIN), train.embed(model, TRAIN, batch_size=7)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(whole, small, atol=1e-5)
    np.testing.assert_allclose(
        train.embed(model, TRAIN, np.array([5, 3])), whole[[5, 3]], atol=1e-5
    )


def test_embedding_leaves_the_model_in_its_mode():
    model = network().train()
    train.embed(model, TRAIN)
    assert model.training


def test_flip_averaged_embeddings_do_not_tell_an_image_from_its_mirror():
    model = network()
    mirrored = Faces(
        packed=TRAIN.packed[..., ::-1].copy(),
        **{k: getattr(TRAIN, k) for k in ("rows", "labels", "names", "numbers")},
    )
    np.testing.assert_allclose(
        train.embed(model, TRAIN, flip=True), train.embed(model, mirrored, flip=True), atol=1e-5
    )
    assert abs(train.embed(model, TRAIN) - train.embed(model, mirrored)).max() > 0.05


def test_watched_faces_need_pairs():
    with pytest.raises(ValueError, match="watched faces with pairs, got 'dev' without"):
        fit(network(), 1, watch={"dev": DEV.with_pairs(None)})


def test_bfloat16_hands_the_loss_float32_embeddings():
    kinds = []

    class Recorder(losses.ContrastiveLoss):
        def forward(self, embeddings, labels, mined=None):
            kinds.append(embeddings.dtype)
            return super().forward(embeddings, labels, mined)

    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    fit(network(), 1, loss=Recorder(), fabric=fabric)
    assert set(kinds) == {torch.float32}


def test_two_processes_end_with_the_same_network_and_loss(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(
        "import sys, test_train as t\n"
        "t.torch.manual_seed(0)\n"
        "loss = t.losses.ArcFaceLoss(num_classes=12, embedding_size=8)\n"
        "fabric = t.Fabric(accelerator='cpu', devices=2, strategy='ddp', precision='32-true')\n"
        "fabric.launch()\n"
        "model = t.network()\n"
        "before = loss.W.detach().clone()\n"
        "t.fit(model, 2, loss=loss, fabric=fabric, sampler=t.samplers.shuffled)\n"
        "assert not t.torch.equal(before, loss.W)\n"
        "state = t.torch.cat([t.weights(model), loss.W.detach().flatten()])\n"
        "open(f'{sys.argv[1]}/{fabric.global_rank}', 'wb').write(state.numpy().tobytes())\n"
    )
    paths = [os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run([sys.executable, script, tmp_path], check=True, env=environment, timeout=300)
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()


def test_a_learning_rate_of_zero_leaves_the_loss_as_it_is():
    loss = losses.ArcFaceLoss(num_classes=12, embedding_size=8)
    before = loss.W.detach().clone()
    fit(network(), 1, loss=loss, sampler=samplers.shuffled, loss_lr=0.0)
    assert torch.equal(loss.W, before)


def test_a_classification_loss_has_its_training_accuracy_recorded():
    faces = make_faces()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 8))
    history, *_ = train.fit(model, faces, AdaCos(12, 8), epochs=8, batch_size=32, lr=0.01)
    assert history.accuracy.iloc[0] < history.accuracy.iloc[-1] <= 1
    assert history.accuracy.iloc[-1] > 0.5


def test_a_loss_and_a_miner_of_ones_own_are_trained_and_measured():
    def own_miner(embeddings, labels):
        same = labels[:, None] == labels[None]
        far = torch.cdist(embeddings.detach(), embeddings.detach())
        a = torch.arange(len(labels))
        p = (same & ~torch.eye(len(labels), dtype=bool)).float().argmax(1)
        return a, p, far.masked_fill(same, torch.inf).argmin(1)

    class OwnLoss(nn.Module):
        def forward(self, embeddings, labels, mined):
            a, p, n = (nn.functional.normalize(embeddings)[i] for i in mined)
            return ((a - p).norm(dim=1) - (a - n).norm(dim=1) + 0.2).relu().mean()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 8))
    settings = dict(sampler=samplers.people_by_images, epochs=4, batch_size=32, lr=0.01)
    history, *_ = train.fit(model, make_faces(), OwnLoss(), own_miner, **settings)
    assert (history.mined == 32).all()
    assert (history["empty"] == 0).all()
    assert history.loss.iloc[-1] < history.loss.iloc[0]
