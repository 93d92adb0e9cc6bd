"""Every public function refuses an argument of a wrong kind in one line."""

import inspect
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import facelab as fl


class Odd:
    """Not a number, an array, a path or anything of the study's."""


WRONG = {
    "none": None,
    "word": "nonsense",
    "negative": -1,
    "nan": math.nan,
    "infinite": math.inf,
    "object": Odd(),
    "list": [None],
    "table": np.full((2, 2), np.nan),
    "bytes": b"x",
}
# What a parameter may be among these without being wrong.
ALLOWED = {
    "none": "fold weights pairs far rows fabric films model faces miner scheduler augment watch "
    "keep_best checkpoint loss_lr crop n_lda ax radii",
    "word": "name title seen path checkpoint folder root images out source",
    "negative": "threshold a b values log_lr",
    "bytes": "",
}


@pytest.fixture(scope="module")
def valid(small_faces, tmp_path_factory):
    """Arguments that each function works with, by its name."""
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (len(small_faces), 3, 16, 16), np.uint8)
    faces = replace(small_faces, packed=pixels)
    split = train, dev, test = fl.view1(faces, dev_people=0.3)
    model = fl.siamese_cnn(4, 16)
    of_dev, of_test = fl.embed(model, dev), fl.embed(model, test)
    threshold = fl.fit_threshold(of_dev, dev)
    report = fl.verify(of_test, test, threshold)
    x = rng.normal(size=(8, 4))
    people = np.arange(8) % 4
    images = {"faces": dev}
    batches = {"faces": train, "batch_size": 4, "rng": rng}
    epochs = {"epochs": 1, "sampler": fl.balanced_pairs, "batch_size": 4}
    learners = train.at_least(2)
    training = fl.fit(model, learners, fl.ContrastiveLoss(1.0), watch={"dev": dev}, **epochs)
    architecture = {"name": "siamese_cnn", "embedding_size": 4, "image_size": 16}
    some = {"name": "some", "n_same": 2, "n_different": 2, "seed": 0}
    chosen = {"embeddings": of_dev, "faces": dev, "pairs": None}
    return {
        "view1": {"faces": faces, "dev_people": 0.3, "seed": 0},
        "view2": {"faces": faces, "fold": 0, "dev_people": 0.3, "seed": 0},
        "all_lfw": {"faces": faces},
        "split_people": {"faces": faces, "dev": 0.25, "test": 0.25, "seed": 0},
        "Split": {"train": train, "dev": dev, "test": test, "name": split.name},
        "draw_pairs": {"faces": train} | some,
        "augment": {"images": torch.zeros(2, 3, 16, 16, dtype=torch.uint8)}
        | {"generator": torch.Generator()}
        | dict.fromkeys(("flip", "shift", "scale", "rotate", "contrast", "colour", "erase"), 0.1),
        "shuffled": batches,
        "balanced_pairs": batches,
        "people_by_images": batches | {"images_per_person": 2},
        "siamese_cnn": {"embedding_size": 4, "image_size": 16, "dropout": 0.1, "channels": (4,)},
        "residual_cnn": {"embedding_size": 4, "image_size": 16, "dropout": 0.1, "channels": (8,)},
        "resnet50": {"embedding_size": 4, "pretrained": False, "dropout": 0.1},
        "save_network": {"path": folder / "n", "model": model, "architecture": architecture},
        "raw_pixels": images,
        "lbp_histograms": images | {"cells": 2, "radii": (1,), "mirrored": False},
        "filter_histograms": images | {"filters": np.ones((2, 3, 3)), "cells": 2},
        "lpq_filters": {"size": 3},
        "bsif_filters": images | {"size": 3, "n_patches": 100},
        "pca_lda": {"n_pca": 4, "n_lda": 2},
        "whitened_pca": {"n_values": 4},
        "ContrastiveLoss": {"margin": 1.0},
        "adacos_scale": {"num_classes": 4},
        "AdaCos": {"num_classes": 4, "embedding_size": 4},
        "fit": {"model": model, "train": learners, "loss": fl.ContrastiveLoss(1.0), "miner": None}
        | epochs
        | {"lr": 0.1, "loss_lr": None, "weight_decay": 0.0, "optimizer": torch.optim.Adam}
        | {"scheduler": None, "augment": None, "watch": {"dev": dev}, "keep_best": None}
        | {"seed": 0, "checkpoint": None, "fabric": None, "title": ""},
        "embed": {"model": model, "faces": dev, "rows": np.arange(2), "flip": False}
        | {"batch_size": 4, "fabric": None},
        "distances": {"embeddings": of_test, "pairs": test.pairs},
        "auc": {"distances": report.distances, "same": report.same},
        "every_pair": images,
        "fit_threshold": chosen | {"by": "accuracy", "far": None},
        "calibrate": chosen | {"n": 20, "seed": 0},
        "cllr": {"log_lr": np.zeros(2), "same": np.array([True, False]), "weights": None},
        "verify": {"embeddings": of_test, "faces": test, "threshold": threshold, "seen": ""},
        "mean_of": {"values": [0.5, 1.0]},
        "difference_of": {"a": [0.5, 1.0], "b": [0.25, 0.5]},
        "compare": {"a": report, "b": report, "n": 20, "seed": 0},
        "compare_all": {"reference": report, "reports": {"b": report}, "metric": "auc", "seed": 0},
        "plot_distances": {"report": report},
        "plot_roc": {"reports": {"a": report}, "log": False},
        "plot_det": {"reports": {"a": report}},
        "plot_thresholds": {"report": report},
        "plot_mistakes": {"report": report, "faces": test, "n": 2},
        "plot_faces": {"faces": dev, "people": 2, "images": 2},
        "plot_images_per_person": images,
        "plot_epochs": {"history": training.history, "columns": "loss", "log": False},
        "plot_watched": {"distances": training.distances, "column": "distance"},
        "search": {"probes": x, "gallery": x, "k": 1},
        "identify": {"probes": x, "probe_people": people, "gallery": x, "gallery_people": people},
        "with_distractors": {"probes": x, "people": people, "distractors": x, "n_ranks": 2},
        "overlap": {"train": train, "test": test, "alike": 0.9},
        "across": {"train": train, "test": test, "remove": True, "dev_people": 0.3, "seed": 0},
        "tar_table": {"report": report, "fars": (0.1,)},
        "explore": {"reports": {"a": report}, "films": None, "faces": test, "model": model},
        "export_onnx": {"network": model, "path": folder / "n.onnx", "image_size": 16},
        "load_lfw": {"root": "synthetic", "image_size": 16, "crop": 128, "progress": False},
        "load_faces": {"folder": folder, "image_size": 16, "crop": None, "progress": False},
        "load_network": {"path": folder / "none"},
        "load_rec": {"path": folder / "none"},
        "load_bin": {"path": folder / "none"},
        "load_cfp": {"root": folder},
        "load_agedb": {"root": folder},
        "load_ijb": {"root": folder},
        "load_ytf": {"root": folder},
        "load_pair_list": {"path": folder / "none", "images": folder},
        "load_results": {"folder": folder},
        "load_shown": {"folder": folder},
        "trainings": {"folder": folder},
        "onnx_model": {"path": folder / "none"},
        "align": {"source": folder, "out": folder / "out"},
    }


def called(name, arguments):
    """Call a public function; of a sampler, draw the first batch too."""
    found = getattr(fl, name)(**arguments)
    return next(found) if inspect.isgenerator(found) else found


def refusal(name, arguments):
    try:
        called(name, arguments)
    except FileNotFoundError as error:  # which names the file
        return f"expected a file, got {error}"
    except (ValueError, OSError) as error:
        return str(error)
    except Exception as error:
        return repr(error)
    return "accepted"


def test_an_argument_of_a_wrong_kind_is_refused_in_one_line(valid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a word may be a file to write
    wrong_answers = []
    for name, arguments in valid.items():
        for parameter in arguments:
            for kind, wrong in WRONG.items():
                if parameter in ALLOWED.get(kind, "").split():
                    continue
                said = refusal(name, arguments | {parameter: wrong})
                if "expected" not in said or "\n" in said or len(said) > 500:
                    wrong_answers.append((name, parameter, kind, said[:100]))
    assert not wrong_answers


def test_all_of_these_work_with_arguments_of_the_right_kind(valid):
    need_files = {"align", "onnx_model", "trainings"}
    for name in valid.keys() - need_files:
        if not name.startswith("load_"):
            called(name, valid[name])
