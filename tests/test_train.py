import json
import os
import random
import runpy
import socket
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities import move_data_to_device
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers
from pytorch_metric_learning.samplers import MPerClassSampler
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import BatchSampler, RandomSampler
from torchvision.transforms import RandomChoice, v2

from facelab import samplers, structure, train
from facelab.augmentation import augment, to_float
from facelab.checkpoints import describe, difference
from facelab.embedding import embed
from facelab.faces import Faces, draw_pairs
from facelab.learning import Learner, as_module
from facelab.losses import AdaCos, ContrastiveLoss
from facelab.structure import Structure


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
    default = {"sampler": samplers.balanced_pairs, "batch_size": 16}
    if "fabric" not in settings:
        default["fabric"] = Fabric(accelerator="cpu", devices=1, precision="32-true")
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
    history = fit(watched, 2, watch={"loss": DEV}).history
    assert {"loss", "loss_auc"} <= set(history)
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
    with pytest.raises(ValueError, match="with keep_best.0 'dev', got None in"):
        fit(network(), 2, watch={"dev": DEV}, keep_best=best, checkpoint=tmp_path / "c.pt")


def stopped_in_epoch_4(faces, batch_size, rng):
    """Stop as by Ctrl-C when the fourth epoch begins, where `STOP` is set."""
    stopped_in_epoch_4.calls = getattr(stopped_in_epoch_4, "calls", 0) + 1
    if stopped_in_epoch_4.calls == 4 and os.environ.get("STOP"):
        raise KeyboardInterrupt
    return samplers.balanced_pairs(faces, batch_size, rng)


def test_a_stopped_training_goes_on_where_it_was(tmp_path, monkeypatch):
    settings = {"checkpoint": tmp_path / "c.pt", "sampler": stopped_in_epoch_4}
    monkeypatch.setenv("STOP", "1")
    with pytest.raises(KeyboardInterrupt):
        fit(network(), 6, **settings)
    monkeypatch.delenv("STOP")
    resumed, whole = network(seed=7), network()
    history = fit(resumed, 6, **settings).history
    fit(whole, 6)
    assert torch.equal(weights(resumed), weights(whole))
    assert history.epoch.tolist() == [1, 2, 3, 4, 5, 6]
    assert stopped_in_epoch_4.calls == 6  # state of a function is kept too


def triplet_loss(p):
    return losses.TripletMarginLoss(distance=distances.LpDistance(p=p))


bfloat16 = partial(Fabric, accelerator="cpu", devices=1, precision="bf16-mixed")
OTHER_PEOPLE = replace(TRAIN, labels=TRAIN.labels[::-1], pairs=None)
OTHER_PAIRS = DEV.with_pairs(draw_pairs(DEV, 60, 60, 5, "squares"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lr": 0.5}, "lr 0.5, got 0.01"),
        ({"batch_size": 32}, "batch_size 32, got 16"),
        ({"loss": ContrastiveLoss(0.7)}, "loss.class 'ContrastiveLoss', got 'TripletMarginLoss'"),
        ({"loss": triplet_loss(p=1)}, "loss.distance.p 1, got 2"),
        ({"miner": miners.TripletMarginMiner(margin=0.3)}, "miner.margin 0.3, got 0.2"),
        ({"miner": None}, "miner.class None, got 'TripletMarginMiner'"),
        (
            {"optimizer": partial(torch.optim.Adam, betas=(0.8, 0.9))},
            "function 'Adam', got None",
        ),
        ({"sampler": samplers.shuffled}, "sampler 'shuffled', got 'people_by_images'"),
        ({"augment": augment}, "augment 'augment', got None"),
        ({"faces": make_faces(people=11)}, "people 11, got 12"),
        ({"faces": make_faces(seed=7)}, "fingerprint 'squares-12-8-40-7', got 'squares-12"),
        ({"faces": replace(TRAIN, rows=TRAIN.rows[::-1], pairs=None)}, "train.rows"),
        ({"faces": OTHER_PEOPLE}, "train.labels"),
        ({"watch": {}}, "watched.0 None, got 'dev'"),
        ({"watch": {"dev": make_faces(seed=2)}}, "watch.dev.fingerprint 'squares-12-8-40-2'"),
        ({"watch": {"dev": DEV.with_pairs(DEV.pairs[10:])}}, "watch.dev.pairs.left"),
        ({"watch": {"dev": OTHER_PAIRS}}, "watch.dev.pairs.left"),
        (
            {"fabric": bfloat16},
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
    change = {name: part() if part is bfloat16 else part for name, part in change.items()}
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


def test_a_checkpoint_of_another_number_of_processes_is_refused(tmp_path):
    fit(network(), 1, checkpoint=tmp_path / "c.pt")
    state = torch.load(tmp_path / "c.pt")
    state["structure"]["processes"] = 2
    torch.save(state, tmp_path / "c.pt")
    with pytest.raises(ValueError, match="processes 1, got 2 in"):
        fit(network(), 2, checkpoint=tmp_path / "c.pt")


def test_a_file_of_another_kind_is_refused(tmp_path):
    told = "c.pt: expected a checkpoint of this training, got .*; delete it, or name another one$"
    torch.save({"weights": torch.zeros(2)}, tmp_path / "c.pt")
    with pytest.raises(ValueError, match=told):
        fit(network(), 2, checkpoint=tmp_path / "c.pt")
    fit(network(), 1, checkpoint=tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"%PDF-1.7\n" * 100):
        (tmp_path / "c.pt").write_bytes(content)
        with pytest.raises(ValueError, match=told) as error:
            fit(network(), 2, checkpoint=tmp_path / "c.pt")
        assert "\n" not in str(error.value)
    state = torch.load(tmp_path / "whole.pt")
    hollow = [{name: None} for name in state] + [{"parts": dict.fromkeys(state["parts"])}]
    for change in (*hollow, {"rows": [None]}, {"watched": [None]}, {"changed": {"other": 1}}):
        torch.save(state | change, tmp_path / "c.pt")
        with pytest.raises(ValueError, match=told):
            fit(network(), 2, checkpoint=tmp_path / "c.pt")
    with pytest.raises(ValueError, match="expected a file for the checkpoint, got the folder"):
        fit(network(), 2, checkpoint=tmp_path)


def test_a_checkpoint_that_cannot_be_written_is_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "file").write_text("no folder")
    model = network()
    before = deepcopy(model.state_dict())
    with pytest.raises(OSError, match="file"):
        fit(model, 1, checkpoint=tmp_path / "file" / "c.pt")
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in before.items())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"optimizer": lambda groups: None}, r"optimizer\(groups, lr=lr\) to return .* got TypeE"),
        ({"optimizer": lambda groups, lr: None}, "to return an optimizer, got NoneType"),
        ({"optimizer": torch.optim.LBFGS}, "an optimizer that steps without a closure, got Type"),
        ({"scheduler": lambda optimizer, n: None}, r"scheduler\(optimizer\) to return .* got Type"),
    ],
)
def test_an_optimizer_or_a_scheduler_that_does_not_fit_is_named(settings, told):
    with pytest.raises(ValueError, match=told):
        fit(network(), 1, **settings)


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


def test_packages_are_libraries_wherever_they_lie_and_are_not_read_through(monkeypatch):
    own = str(Path.home() / ".local" / "lib" / "site-packages")  # of pip install --user
    monkeypatch.setattr(sys, "path", [*sys.path, own])
    elsewhere = dict.fromkeys(("stdlib", "purelib", "platlib"), "elsewhere")
    monkeypatch.setattr("sysconfig.get_paths", lambda *_: elsewhere)
    libraries = runpy.run_path(structure.__file__)["LIBRARIES"]
    assert own in libraries
    assert all(module.__file__.startswith(libraries) for module in (torch, losses))


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
    with pytest.raises(ValueError, match="Weights only load failed"):
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


def test_a_step_asks_its_device_for_no_value():
    class Meta:
        """A device that has no values to give."""

        world_size = 1
        global_rank = 0
        backward = staticmethod(torch.Tensor.backward)

        def to_device(self, tensors):
            return move_data_to_device(tensors, torch.device("meta"))

    model = smooth_network().to("meta")
    mean = as_module(lambda embeddings, labels, mined: embeddings.square().mean())
    opt = torch.optim.SGD(model.parameters())
    learner = Learner(model, mean, None, opt, samplers.shuffled, 16, augment, 0, Meta())
    told = learner.step(TRAIN, samplers.Batch(np.arange(16)), torch.Generator())
    assert told["same_distance"].is_meta and told["different_distance"].is_meta


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


def test_training_leaves_a_part_in_evaluation_mode_as_it_is():
    def trained(mode):
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(3)
        model = nn.Sequential(norm, nn.Flatten(), nn.Linear(3 * 16 * 16, 8)).train(mode)
        norm.eval()
        train.fit(model, TRAIN, losses.ContrastiveLoss(), epochs=2, batch_size=16, watch={"d": DEV})
        return norm.num_batches_tracked.item()

    assert trained(mode=True) == 0
    assert trained(mode=False) > 0  # a network that was loaded learns whole


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
    with pytest.raises(ValueError, match="same and different pairs of 'dev', got Faces"):
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


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """What two processes that hash strings otherwise end with: weights, and a structure."""
    folder = tmp_path_factory.mktemp("two")
    script = folder / "two.py"
    script.write_text(
        "import sys, test_train as t\n"
        "t.torch.manual_seed(0)\n"
        "loss = t.losses.ArcFaceLoss(num_classes=12, embedding_size=8)\n"
        "fabric = t.Fabric(accelerator='cpu', devices=2, strategy='ddp', precision='32-true')\n"
        "fabric.launch()\n"
        "model = t.network()\n"
        "before = loss.W.detach().clone()\n"
        "read, batch = [], t.Faces.batch\n"
        "t.Faces.batch = lambda faces, rows: read.append(len(rows)) or batch(faces, rows)\n"
        "t.fit(model, 2, loss=loss, fabric=fabric, sampler=t.samplers.shuffled)\n"
        "assert not t.torch.equal(before, loss.W)\n"
        "assert max(read) == 8  # of 16 in a batch\n"
        "state = t.torch.cat([t.weights(model), loss.W.detach().flatten()])\n"
        "open(f'{sys.argv[1]}/{fabric.global_rank}', 'wb').write(state.numpy().tobytes())\n"
        "open(f'{sys.argv[1]}/structure', 'w').write(str(t.structure_of_all()))\n"
    )
    paths = [os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, script, folder], check=True, env=environment, timeout=600)
    return folder


def test_two_processes_end_with_the_same_network_and_loss(of_two):
    assert (of_two / "0").read_bytes() == (of_two / "1").read_bytes()


def test_a_learning_rate_of_zero_leaves_the_loss_as_it_is():
    loss = losses.ArcFaceLoss(num_classes=12, embedding_size=8)
    before = loss.W.detach().clone()
    fit(network(), 1, loss=loss, sampler=samplers.shuffled, loss_lr=0.0)
    assert torch.equal(loss.W, before)


@pytest.mark.parametrize("kind", [losses.ProxyNCALoss, losses.NormalizedSoftmaxLoss])
def test_losses_that_do_not_note_their_number_of_people_can_be_learned_from(kind):
    loss = kind(num_classes=12, embedding_size=8)
    assert loss.num_classes == 0
    history, *_ = fit(network(), 2, loss=loss, sampler=samplers.shuffled)
    assert history["loss"].iloc[1] < history["loss"].iloc[0]


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


def test_embedding_leaves_each_part_of_a_model_in_the_mode_that_it_was_in():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(784, 8))
    model.train()
    model[1].eval()
    embed(model, TRAIN)
    assert [part.training for part in model] == [True, False, True, True]
    model[3] = nn.Linear(5, 8)
    with pytest.raises(ValueError, match="expected a model that maps images"):
        embed(model, TRAIN)
    assert model.training and not model[1].training


def test_a_batch_is_empty_only_where_a_miner_finds_neither_kind_of_pairs():
    def negatives(embeddings, labels):
        different = torch.where(labels[:, None] != labels)
        return (different[0][:0], different[0][:0], *different)

    settings = dict(sampler=samplers.shuffled, batch_size=16)
    history, *_ = fit(network(), 1, miner=negatives, **settings)
    assert history["mined"].item() > 0 and history["empty"].item() == 0


RATE = 0.5


def halved(epoch):
    return RATE**epoch


def globally(value):
    """Return `halved` as it is where `RATE` has another value."""
    return type(halved)(halved.__code__, {"RATE": value})


def of_module(value):
    """Return a function that reads `RATE` of a module of one's own."""
    module = ModuleType("own")
    module.RATE = value
    return type(halved)((lambda: own.RATE).__code__, {"own": module})  # noqa: F821


def buffered(value):
    module = nn.Module()
    module.register_buffer("mean", torch.tensor(value))
    return module


def closed_over(value):
    return lambda epoch: value**epoch


def flipping(axis):
    class Flip:
        def __init__(self, strength=1):
            self.strength = strength

        def __call__(self, images, generator):
            return to_float(images).flip(axis) if axis else to_float(images)

    return Flip


def dropping(share):
    return nn.Sequential(nn.Flatten(), nn.Dropout(share), nn.BatchNorm1d(768), nn.Linear(768, 8))


def triplet(**settings):
    return losses.TripletMarginLoss(**settings)


class Flipping:
    def __call__(self, images, generator):
        return to_float(images).flip(3)


OTHERS = {
    "another lambda": (lambda epoch: 0.5**epoch, lambda epoch: 0.9**epoch),
    "a closure": (closed_over(0.5), closed_over(0.9)),
    "a global value": (globally(0.5), globally(0.9)),
    "a global object": (globally(triplet(margin=0.05)), globally(triplet(margin=0.8))),
    "a global namespace": (globally(SimpleNamespace(m=1)), globally(SimpleNamespace(m=2))),
    "a global tensor": (globally(torch.zeros(3)), globally(torch.ones(3))),
    "a global network": (globally(nn.Linear(2, 2)), globally(nn.Linear(2, 2))),
    "a global table of words": (
        globally(pd.Series(["a"], dtype=object)),
        globally(pd.Series(["b"])),
    ),
    "words": (globally(np.array(["a"], object)), globally(np.array(["b"], object))),
    "a global table": (globally(pd.Series([1, 2])), globally(pd.Series([1, 3]))),
    "a global of an own module": (of_module(0.5), of_module(0.9)),
    "a function of an own module": (of_module(globally(0.5)), of_module(globally(0.9))),
    "what a function stands for": (partial(halved, {halved: 1}), partial(halved, {halved: 2})),
    "a buffer": (buffered(0.1), buffered(0.9)),
    "class weights": (nn.CrossEntropyLoss(torch.ones(3)), nn.CrossEntropyLoss(torch.arange(3.0))),
    "labels": (partial(halved, TRAIN), partial(halved, OTHER_PEOPLE)),
    "code of a class": (flipping(2)(), flipping(3)()),
    "an object of a class": (type("Own", (Flipping,), {"by": np.zeros(1)})(), Flipping()),
    "an attribute": (flipping(2)(1), flipping(2)(2)),
    "an array": (partial(halved, np.zeros(3)), partial(halved, np.ones(3))),
    "a distance": (triplet(), triplet(distance=distances.CosineSimilarity())),
    "normalisation": (
        triplet(distance=distances.LpDistance()),
        triplet(distance=distances.LpDistance(normalize_embeddings=False)),
    ),
    "a reducer": (triplet(), triplet(reducer=reducers.MeanReducer())),
    "a regulariser": (triplet(), triplet(embedding_regularizer=regularizers.LpRegularizer())),
    "dropout": (dropping(0.1), dropping(0.2)),
    "a frozen layer": (nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False)),
}


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS.keys())
def test_parts_that_do_something_else_have_another_structure(one, other):
    assert difference(Structure({"part": one}).values, Structure({"part": other}).values)


MAKE = [lambda: closed_over(0.5), Flipping, triplet, network]
MAKE += [lambda: partial(halved, {lambda epoch: epoch: 1, (1, len): 2})]


@pytest.mark.parametrize("make", MAKE)
def test_parts_that_do_the_same_have_one_structure_whatever_their_address(make):
    one, other = Structure({"part": make()}), Structure({"part": make()})
    assert one.values == other.values
    assert "0x" not in str(one.values)


def in_set(epoch):
    return epoch in {"a", "b"}  # whose order differs between processes


def structure_of_all():
    of_names = partial(closed_over, {"left", "right", "both"})
    parts = {"a": halved, "b": Flipping(), "c": triplet(), "d": in_set, "e": of_names}
    return sorted(Structure(parts).values.items())


def test_a_structure_is_the_same_in_another_process(of_two):
    assert (of_two / "structure").read_text() == str(structure_of_all())


def test_a_checkpoint_of_another_lambda_is_refused(tmp_path):
    def settings(rate):
        scheduler = partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: rate)
        return {"scheduler": scheduler, "checkpoint": tmp_path / "c.pt"}

    fit(network(), 1, **settings(0.5))
    with pytest.raises(ValueError, match=r"with scheduler.lr_lambda.rate 0.9, got 0.5 in .*c.pt"):
        fit(network(), 2, **settings(0.9))
    fit(network(), 2, **settings(0.5))


def test_what_a_loss_remembers_outside_its_state_dict_is_resumed(tmp_path):
    def settings():
        loss = losses.CrossBatchMemory(losses.TripletMarginLoss(), 8, memory_size=40)
        return {"loss": loss, "sampler": samplers.people_by_images}

    whole, resumed = network(), network()
    expected = fit(whole, 4, **settings()).history.loss
    used = settings()
    fit(resumed, 2, checkpoint=tmp_path / "c.pt", **used)
    assert fit(resumed, 3, checkpoint=tmp_path / "c.pt", **used).history.loss.equals(expected[:3])
    got = fit(network(5), 4, checkpoint=tmp_path / "c.pt", **settings()).history.loss
    assert got.equals(expected)


def test_images_without_a_fingerprint_are_told_apart_by_their_pixels():
    bare = replace(DEV, fingerprint="")
    copied = replace(bare, packed=bare.packed.copy())
    negative = replace(bare, packed=255 - bare.packed)
    told, same, other = (Structure({"dev": one}).values for one in (bare, copied, negative))
    assert told == same != other


class Counting(nn.Module):
    """Its buffer counts the batches, in the places that there are."""

    def __init__(self, n=1):
        super().__init__()
        self.register_buffer("seen", torch.zeros(n))


class CountingLoss(Counting):
    def forward(self, embeddings, labels, mined):
        self.seen += 1
        return embeddings.std()


class CountingMiner(Counting):
    def forward(self, embeddings, labels):
        self.seen += 1
        return miners.BatchHardMiner()(embeddings, labels)


def test_buffers_that_training_changes_are_resumed_in_the_loss_and_in_the_miner(tmp_path):
    settings = {"checkpoint": tmp_path / "c.pt", "sampler": samplers.people_by_images}
    fit(network(), 1, loss=CountingLoss(), miner=CountingMiner(), **settings)
    loss, miner = CountingLoss(), CountingMiner()
    fit(network(), 2, loss=loss, miner=miner, **settings)
    assert loss.seen == miner.seen == 12
    told = "c.pt: expected a checkpoint .*size mismatch for seen.*; delete it, or name another"
    with pytest.raises(ValueError, match=told) as error:
        fit(network(), 3, loss=CountingLoss(2), miner=miner, **settings)
    assert "\n" not in str(error.value)


def test_a_function_among_the_keys_of_a_setting_is_resumed_and_told_by_name(tmp_path):
    def loss(embeddings, labels, mined, terms):
        return sum(weight * term(embeddings) for term, weight in terms.items())

    settings = {"loss": partial(loss, terms={torch.std: 1.0}), "checkpoint": tmp_path / "c.pt"}
    for epochs in (1, 2):
        told = fit(network(), epochs, sampler=samplers.shuffled, **settings).settings
    assert json.loads(json.dumps(told))["loss"]["terms"] == {"std": 1.0}


def test_state_that_a_checkpoint_cannot_keep_is_refused(tmp_path):
    own = np.random.default_rng(0)

    def sampler(faces, batch_size, rng):
        yield samplers.Batch(own.permutation(len(faces))[:batch_size])

    fit(network(), 1, sampler=sampler)
    with pytest.raises(ValueError, match="whose state a checkpoint can keep, got sampler.own, wh"):
        fit(network(), 1, sampler=sampler, checkpoint=tmp_path / "c.pt")
    assert not (tmp_path / "c.pt").exists()


class Wrapped(nn.Module):
    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, *arguments):
        return 2 * self.loss(*arguments)


@pytest.mark.parametrize(
    "parts",
    [
        {"loss": losses.TripletMarginLoss()},
        {"loss": losses.MarginLoss(learn_beta=True, num_classes=12)},
        {"loss": losses.NTXentLoss()},
        {"loss": losses.CircleLoss()},
        {"miner": miners.TripletMarginMiner()},
        {"loss": triplet(embedding_regularizer=regularizers.LpRegularizer())},
        {"loss": losses.MultipleLosses([losses.ContrastiveLoss(), triplet()])},
        {"loss": Wrapped(triplet())},
    ],
)
def test_what_learns_nothing_from_the_pairs_of_a_sampler_is_refused(parts):
    with pytest.raises(ValueError, match="beside a sampler that gives.*use people_by_images"):
        fit(network(), 1, **parts)


def test_pairs_are_learned_from_by_every_loss_of_pairs():
    several = losses.MultipleLosses([losses.ContrastiveLoss(), ContrastiveLoss(1)])
    regular = losses.ContrastiveLoss(embedding_regularizer=regularizers.LpRegularizer())
    for loss in (losses.MultiSimilarityLoss(), ContrastiveLoss(1), several, regular):
        assert fit(network(), 1, loss=loss).history.loss[0] > 0


def test_an_epoch_without_one_active_term_is_noted():
    loss = losses.ContrastiveLoss(pos_margin=2, neg_margin=0)
    history = fit(network(), 1, loss=loss, sampler=samplers.shuffled).history
    assert history.active[0] == 0
    assert "nothing to learn" in history.note[0]
    nothing = fit(network(), 1, loss=lambda embeddings, *_: (0 * embeddings).sum()).history
    assert "nothing to learn" in nothing.note[0]
    assert not fit(network(), 1).history.note[0]


def in_order(faces, batch_size, rng):
    for start in range(0, len(faces), batch_size):
        yield np.arange(start, min(start + batch_size, len(faces)))


def test_images_are_those_that_the_sampler_gave():
    assert fit(network(), 1, sampler=in_order, batch_size=60).history.images[0] == 96
    assert fit(network(), 1, sampler=samplers.shuffled, batch_size=60).history.images[0] == 60


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epochs": 0}, "epochs a whole number of 1 or more, got 0"),
        ({"epochs": 1.5}, "epochs a whole number of 1 or more, got 1.5"),
        ({"epochs": True}, "got True"),
        ({"batch_size": 0}, "batch_size a whole number of 1 or more, got 0"),
        ({"batch_size": 10**6}, "batch_size of at most 96, the images there are .*, got 1000000"),
        ({"seed": -1}, "seed a whole number of 0 or more, got -1"),
        ({"lr": NAN}, "lr a finite number of 0 or more, got nan"),
        ({"lr": "0.1"}, "lr a finite number of 0 or more, got '0.1'"),
        ({"loss_lr": -1}, "loss_lr a finite number of 0 or more, got -1"),
        ({"weight_decay": -1}, "weight_decay a finite number of 0 or more, got -1"),
        ({"watch": {"": DEV}}, "watched faces by name, got ''"),
        ({"watch": {1: DEV}}, "watched faces by name, got 1"),
        ({"watch": DEV}, r"watch of kind Mapping\[str, Faces\] . None, got Faces"),
        (
            {"watch": {"dev": DEV.with_pairs(DEV.pairs[:9])}},
            "same and different pairs of 'dev', got Faces",
        ),
        ({"watch": {"dev": DEV}, "keep_best": {"dev": nn.Linear(2, 2)}}, "a network like the mod"),
        ({"faces": DEV.packed}, "train of kind Faces, got array"),
        ({"loss": losses.TripletMarginLoss}, "made TripletMarginLoss, got the class"),
        ({"loss": losses.ArcFaceLoss(11, 8)}, "loss for all 12 people, got ArcFaceLoss with num_c"),
        ({"loss": AdaCos(11, 8)}, "loss for all 12 people, got AdaCos with num_classes=11"),
        ({"loss": losses.ProxyNCALoss(11, 8)}, "12 people, got ProxyNCALoss with num_classes=11"),
        ({"optimizer": torch.optim.Adam([torch.zeros(1)])}, "optimizer of kind Callable, got Adam"),
        ({"fabric": "cpu"}, "fabric of kind Fabric . None, got .cpu."),
        (
            {"scheduler": partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1, total_steps=99)},
            "OneCycleLR with total_steps=4, since it is stepped once an epoch, got 99",
        ),
        (
            {"scheduler": partial(torch.optim.lr_scheduler.CyclicLR, base_lr=0.1, max_lr=1)},
            "CyclicLR with a cycle of at most 4 steps, since .* once an epoch, got 4000",
        ),
        ({"scheduler": lambda optimizer: None}, "to return a scheduler, got NoneType"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line_before_any_work(change, told):
    model = network()
    before = weights(model).clone()
    with pytest.raises(ValueError, match=f"^expected.*{told}.*$"):
        fit(model, **change)
    assert torch.equal(before, weights(model))


@pytest.mark.parametrize("names", [["dev"], ["dev", "again"]])
def test_what_is_kept_has_weights_of_its_own(names):
    model, kept = network(), network()
    if len(names) == 1:
        kept = nn.Sequential(*model)
    settings = {"watch": dict.fromkeys(names, DEV), "keep_best": dict.fromkeys(names, kept)}
    with pytest.raises(ValueError, match=f"weights of its own to keep, got .* on '{names[-1]}'$"):
        fit(model, 1, **settings)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, images):
        return {"embeddings": self.inner(images)}


@pytest.mark.parametrize(
    ("model", "change", "told"),
    [
        (Named(), {}, r"model that maps images of shape \(B, 3, 16, 16\) .*got a dict; return"),
        (network()[:2], {}, "to embeddings of shape .*for 1 images"),
        (nn.Sequential(nn.Flatten(), nn.Linear(27, 8)), {}, "images of shape .*got RuntimeError"),
        (network(), {"loss": losses.ArcFaceLoss(12, 5)}, r"embeddings of shape \(16, 8\).*got Run"),
        (network(), {"loss": nn.CrossEntropyLoss()}, "called as loss.* got TypeError"),
        (network(), {"loss": lambda *_: 0.5}, "returns one number to learn from.*float"),
        (network(), {"loss": lambda *_: torch.tensor(0.5)}, "that depends on no weight"),
        (network(), {"miner": lambda *_: None}, "returns 3 or 4 tensors"),
        (
            network(),
            {"augment": lambda images, _: images},
            r"float images in \[-1, 1\], got.*uint8",
        ),
        (network(), {"augment": v2.ToDtype(torch.float32)}, "float images in .*uint8.*float32"),
        (network(), {"sampler": lambda *_: iter(())}, "that yields batches of 16 images, got none"),
        (
            network(),
            {"sampler": lambda *_: 5},
            "yields batches of 16 images, got int",
        ),
        (
            network(),
            {"sampler": lambda *_: [[1, 96]]},
            "rows of a batch whole numbers from 0 to 95, got 96",
        ),
        (
            network(),
            {"sampler": lambda *_: [np.ones((2, 2))]},
            r"batch of rows, got shape \(2, 2\)",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named_in_one_line(model, change, told):
    settings = {"sampler": samplers.shuffled} | change
    with pytest.raises(ValueError, match=f"^expected.*{told}.*$"):
        fit(model, 1, **settings)


def test_a_plain_function_is_a_loss():
    def loss(embeddings, labels, mined):
        distance = torch.cdist(embeddings, embeddings)
        same = labels[:, None] == labels
        return distance[same].mean() - distance[~same].mean()

    training = fit(network(), 3, loss=loss, sampler=samplers.shuffled)
    assert training.history.loss[2] < training.history.loss[0]
    assert training.settings["loss"] == {"name": "loss"}


def test_transforms_that_draw_from_pythons_own_generator_follow_the_seed():
    turns = [v2.RandomHorizontalFlip(1.0), v2.RandomVerticalFlip(1.0), v2.Grayscale(3)]
    models = []
    for before in (1, 2):
        random.seed(before)
        state = random.getstate()
        models.append(network())
        fit(models[-1], 2, augment=RandomChoice(turns))
        assert random.getstate() == state
    assert torch.equal(*map(weights, models))


def test_transforms_of_torchvision_are_drawn_for_every_image(tmp_path):
    seen = []

    class Recorded(v2.RandomHorizontalFlip):
        def forward(self, image):
            seen.append((image, super().forward(image)))
            return seen[-1][1]

    fit(network(), 1, augment=v2.Compose([Recorded(), v2.RandomCrop(16, padding=2)]))
    flipped = [not torch.equal(before, after) for before, after in seen]
    assert len(seen) == 96 and 20 < sum(flipped) < 76
    stopped, whole = network(), network()
    for epochs in (1, 2):
        settings = {"augment": v2.RandomHorizontalFlip(), "checkpoint": tmp_path / "c.pt"}
        fit(stopped, epochs, **settings)
    fit(whole, 2, augment=v2.RandomHorizontalFlip())
    assert torch.equal(weights(stopped), weights(whole))


@pytest.mark.parametrize(
    "make",
    [
        lambda: MPerClassSampler(TRAIN.labels, m=4, batch_size=16, length_before_new_iter=64),
        lambda: RandomSampler(range(96), num_samples=70),  # of which 6 fill no batch
        lambda: BatchSampler(RandomSampler(range(96), num_samples=64), 16, drop_last=True),
    ],
)
def test_samplers_of_pytorch_are_drawn_from_alike_after_a_stop(tmp_path, make):
    whole, resumed = network(), network()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    history = fit(whole, 2, sampler=make()).history
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert history.images.tolist() == [64, 64]
    for epochs in (1, 2):
        fit(resumed, epochs, sampler=make(), checkpoint=tmp_path / "c.pt")
    assert torch.equal(weights(whole), weights(resumed))


def test_a_plateau_is_one_of_the_mean_loss():
    settings = {"patience": 0, "threshold": 1e9, "threshold_mode": "abs"}  # nothing is better
    plateau = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, **settings)
    history = fit(network(), 4, scheduler=plateau, lr=0.1).history
    assert history.lr.tolist() == pytest.approx([0.1, 0.1, 0.01, 0.001])


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_true_precisions_train_watch_and_keep_the_best(precision):
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    model, best = network(), network(3)
    settings = {"watch": {"dev": DEV}, "keep_best": {"dev": best}, "fabric": fabric}
    history = fit(model, 1, **settings).history
    assert torch.equal(weights(best), weights(model))
    assert weights(model).dtype != torch.float32
    assert history.dev_auc[0] == pytest.approx(roc(model, DEV), abs=0.02)


def test_weights_that_are_not_finite_at_the_end_of_an_epoch_stop_training():
    def once(faces, batch_size, rng):
        yield np.arange(16)

    def loss(embeddings, labels, mined):
        return ((embeddings[:, None] - embeddings) ** 2).sum(-1).sqrt().mean()

    with pytest.raises(FloatingPointError, match="finite weights, got others after epoch 1"):
        fit(network(), 1, loss=loss, sampler=once, watch={"dev": DEV})


def test_a_model_without_weights_embeds():
    assert train.embed(nn.Flatten(), TRAIN).shape == (96, 768)


def smooth_network():
    """Neither batch normalisation nor dropout, which differ between processes."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 8))


def train_shared(folder, fabric=None):
    """Train with a miner and an augmentation, then with a loss that has weights of its own."""
    arcface = losses.ArcFaceLoss(num_classes=12, embedding_size=8, scale=4)
    arcface.W.data.copy_(torch.linspace(-1, 1, 96).reshape(8, 12).sin())
    miner = miners.TripletMarginMiner(type_of_triplets="semihard")
    mined = {"miner": miner, "sampler": samplers.people_by_images, "augment": augment}
    setups = [{"loss": losses.TripletMarginLoss()} | mined]
    setups += [{"loss": arcface, "sampler": samplers.shuffled}]
    for number, settings in enumerate(setups):
        settings |= {"optimizer": torch.optim.SGD, "lr": 0.1, "watch": {"dev": DEV}}
        fit(smooth_network(), 2, checkpoint=f"{folder}/{number}.pt", fabric=fabric, **settings)


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


LAUNCHERS = {
    "fabric run": ["lightning_fabric.cli", "--accelerator=cpu", "--devices=2", "--strategy=ddp"],
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc-per-node=2"],
    "two machines": ["torch.distributed.run", "--nproc-per-node=1", "--nnodes=2"],
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    train_shared(folder, Fabric(accelerator="cpu", devices=1, precision="32-true"))
    return folder


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_train_as_one_does(tmp_path, alone, launcher):
    script = tmp_path / "two.py"
    script.write_text(
        "import sys, test_train as t\n"
        "t.train.best_precision = lambda: '32-true'\n"
        "t.train_shared(sys.argv[1])\n"
    )
    paths = [os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *LAUNCHERS[launcher]]
    commands = [command]
    if launcher == "two machines":
        place = ["--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{free_port()}"]
        commands = [[*command, *place, f"--node-rank={rank}"] for rank in (0, 1)]
    runs = [subprocess.Popen([*one, script, tmp_path], env=environment) for one in commands]
    assert [run.wait(600) for run in runs] == [0] * len(runs)
    for name in ("0.pt", "1.pt"):
        two, one = (torch.load(folder / name) for folder in (tmp_path, alone))
        for part in ("model", "loss"):
            for key, weight in one["parts"][part].items():
                assert torch.allclose(two["parts"][part][key], weight, atol=1e-5), key
        for row, other in zip(two["rows"], one["rows"], strict=True):
            for column in ("loss", "active", "mined", "images", "dev_auc", "same_distance"):
                assert row[column] == pytest.approx(other[column], rel=1e-4, nan_ok=True), column


DOCUMENTED = """
from functools import cache

@cache
def base():
    {doc}
    return {rate}

def rate(epoch):
    {doc}
    def inner():
        {doc}
        return base()

    return inner() ** epoch
"""


def test_a_checkpoint_is_resumed_under_another_docstring_and_refused_under_other_code(tmp_path):
    def settings(doc, rate):
        names = {}
        exec(DOCUMENTED.format(doc=doc, rate=rate), names)
        scheduler = partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=names["rate"])
        return {"scheduler": scheduler, "checkpoint": tmp_path / "c.pt"}

    fit(network(), 1, **settings("'Return it.'", 0.5))
    fit(network(), 2, **settings("'Return the rate.'", 0.5))
    fit(network(), 3, **settings("# nothing is said", 0.5))
    with pytest.raises(ValueError, match="with scheduler.lr_lambda.base.*code '.*', got '.*' in"):
        fit(network(), 4, **settings("'Return it.'", 0.9))
