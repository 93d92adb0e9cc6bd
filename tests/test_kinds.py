"""Every public function and class refuses an argument of a wrong kind in one line."""

import inspect
import io
import math
import pickle
import re
import traceback
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import get_args

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

import facelab as fl


class Odd:
    """Not a number, an array, a path or anything of the study's."""


WRONG = {
    "none": None,
    "word": "nonsense",
    "negative": -1,
    "zero": 0,
    "huge": 10**400,
    "nan": math.nan,
    "infinite": math.inf,
    "object": Odd(),
    "list": [None],
    "empty": [],
    "ragged": [[0], [0, 1]],
    "table": np.full((2, 2), np.nan),
    "bytes": b"x",
}
# What a parameter, of all or of one name, may be beside what its annotation says.
RIGHT = {
    "zero": "margin seed shift jitters n_same n_different fold dropout lr loss_lr weight_decay "
    "flip scale rotate contrast colour erase threshold f1_threshold most n_gallery",
    "negative": "threshold f1_threshold most n_gallery",
    "empty": "strong fars columns explore.reports",
    "huge": "most n_gallery",
}
CHOICES = "by metric kind rule frames column columns Pairs.role draw_pairs.role"  # of few words
# They only hold what the package puts into them; numbers of an estimate may be any.
HELD = {"Batch": "list table ragged empty", "Estimate": "zero negative huge nan infinite"}
HELD |= dict.fromkeys(["Identification", "Templates"], "list table empty")


def is_right(name, parameter, kind):
    names = {parameter, f"{name}.{parameter}"}
    if names & set(RIGHT.get(kind, "").split()) or kind in HELD.get(name, "").split():
        return True
    annotated = inspect.signature(getattr(fl, name)).parameters.get(parameter)
    kinds = {annotated.annotation, *get_args(annotated.annotation)} if annotated else set()
    if kind == "none":
        return type(None) in kinds
    is_word = kind == "word" and {str, Path} & kinds and not names & set(CHOICES.split())
    return is_word or object in kinds


@pytest.fixture(scope="module")
def valid(small_faces, tmp_path_factory):
    """Arguments that each public name works with."""
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (len(small_faces), 3, 16, 16), np.uint8)
    faces = replace(small_faces, packed=pixels)
    split = train, dev, test = fl.view1(faces, dev_people=0.3)
    model = fl.siamese_cnn(4, 16)
    of_dev, of_test = fl.embed(model, dev), fl.embed(model, test)
    threshold = fl.fit_threshold(of_dev, dev)
    report = fl.verify(of_test, test, threshold)
    folds = [replace(report, fold=np.full(len(report), k)) for k in range(2)]
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
    ax = fl.plot_images_per_person(dev)
    counts = partial(fl.lbp_histograms, cells=2)
    grid = {"cells": [2], "n_pca": [4], "n_lda": [2]}
    pca = PCA(2).fit(counts(train))
    interval = {"label": ["a"], "value": [0.5], "low": [0.4], "high": [0.6]}
    interval = pd.DataFrame(interval | {"source": "faces", "synthetic": True})
    prepared = {"image_size": 16, "crop": None}
    trained = pd.DataFrame({"method": ["a", "b"], "lr": [0.1, 0.2]})
    given = {"path": folder / "none"}

    picture = io.BytesIO()
    Image.new("RGB", (16, 16)).save(picture, "jpeg")
    (folder / "x.bin").write_bytes(pickle.dumps(([picture.getvalue()] * 4, [True, False])))
    np.save(folder / "x.npy", x)

    def all_of(one):
        return {field.name: getattr(one, field.name) for field in fields(one)}

    return {
        "AdaCos": {"num_classes": 4, "embedding_size": 4, "dynamic": True},
        "Batch": {"rows": np.arange(4), "pairs": None},
        "ContrastiveLoss": {"margin": 1.0},
        "Estimate": {"value": 0.5, "low": 0.4, "high": 0.6, "error": 0.1, "n": 3},
        "Faces": all_of(dev),
        "Identification": all_of(fl.identify(x, people, x, people)),
        "Pairs": all_of(dev.pairs),
        "Report": all_of(report),
        "Run": {"name": "00_x", "namespace": {}},
        "Split": all_of(split),
        "Templates": {"images": dev, "faces": dev}
        | {"template": np.arange(len(dev)), "media": np.arange(len(dev))},
        "across": {"train": train, "test": test, "remove": True, "dev_people": 0.3, "seed": 0},
        "adacos_scale": {"num_classes": 4},
        "align": {"source": folder, "out": folder / "out", "margin": 0, "progress": False},
        "all_lfw": {"faces": faces},
        "auc": {"distances": report.distances, "same": report.same},
        "augment": {"images": torch.zeros(2, 3, 16, 16, dtype=torch.uint8)}
        | {"generator": torch.Generator(), "rotate": 10.0}
        | dict.fromkeys(("flip", "shift", "scale", "contrast", "colour", "erase"), 0.1),
        "balanced_pairs": batches,
        "bsif_filters": images | {"size": 3, "n_patches": 100},
        "calibrate": chosen | {"n": 20, "seed": 0},
        "catalog": {},
        "cllr": {"log_lr": np.zeros(2), "same": np.array([True, False]), "weights": None},
        "comparable": {"results": fl.results_of(fl.Run("00_x", {})), "any_images": False},
        "compare": {"a": report, "b": report, "n": 20, "seed": 0},
        "compare_all": {"reference": report, "reports": {"b": report}, "metric": "auc", "seed": 0},
        "describe": {"ax": ax, "title": "", "of": dev, "xlabel": "", "ylabel": "", "note": ""},
        "difference_of": {"a": [0.5, 1.0], "b": [0.25, 0.5]},
        "differing": {"trainings": trained},
        "distances": {"embeddings": of_test, "pairs": test.pairs},
        "dlib_network": {"aligned": True, "jitters": 0, "progress": False},
        "draw_pairs": {"faces": train, "role": "train"} | some,
        "embed": {"model": model, "faces": dev, "rows": np.arange(2), "flip": False}
        | {"shift": 0, "batch_size": 4, "progress": False},
        "embed_histograms": images | {"estimator": pca, "histograms": counts, "flip": False},
        "embeddings_of": {"path": folder / "x.npy", "image_ids": list("abcdefgh")},
        "every_pair": images,
        "explore": {"reports": {"a": report}, "films": None, "faces": test, "model": model},
        "export_onnx": {"network": model, "path": folder / "n.onnx", "image_size": 16},
        "filter_histograms": images
        | {"filters": np.ones((2, 3, 3)), "cells": 2, "mirrored": False},
        "fit": {"model": model, "train": learners, "loss": fl.ContrastiveLoss(1.0), "miner": None}
        | epochs
        | {"lr": 0.1, "loss_lr": None, "weight_decay": 0.0, "optimizer": torch.optim.Adam}
        | {"scheduler": None, "augment": None, "watch": {"dev": dev}, "keep_best": None}
        | {"seed": 0, "checkpoint": None, "fabric": None, "title": ""},
        "fit_threshold": chosen | {"by": "accuracy", "far": None},
        "identify": {"probes": x, "probe_people": people, "gallery": x, "gallery_people": people},
        "known_errors": {},
        "lbp_histograms": images | {"cells": 2, "radii": (1,), "mirrored": False},
        "load_agedb": {"root": folder} | prepared,
        "load_bin": {"path": folder / "x.bin", "image_size": 16},
        "load_cfp": {"root": folder, "kind": "FP"} | prepared,
        "load_faces": {"folder": folder, "progress": False, "side": None} | prepared,
        "load_ijb": {"root": folder} | prepared,
        "load_image_list": given
        | prepared
        | {"images": folder, "distractors": False, "noise": None},
        "load_iqiyi": given | prepared | {"frames": folder},
        "load_lfw": {"root": folder, "progress": False} | prepared,
        "load_network": given,
        "load_pair_list": given | prepared | {"images": folder},
        "load_rec": given | {"image_size": 16, "progress": False},
        "load_results": {"folder": folder},
        "load_shown": {"folder": folder},
        "load_ytf": {"root": folder, "frames": "frames"} | prepared,
        "lpq_filters": {"size": 3},
        "mean_of": {"values": [0.5, 1.0]},
        "official_results": {},
        "onnx_model": given,
        "outside": {"category": "no outside data"},
        "over_folds": {"reports": folds},
        "overlap": {"train": train, "test": test, "alike": 0.9},
        "pca_lda": {"n_pca": 4, "n_lda": 2},
        "people_by_images": batches | {"images_per_person": 2},
        "plot_calibration": {"calibration": fl.calibrate(**chosen, n=20), "report": report}
        | {"ax": None},
        "plot_det": {"reports": {"a": report}, "ax": None},
        "plot_distances": {"report": report, "ax": None},
        "plot_epochs": {"history": training.history, "columns": "loss", "by": None, "ax": None}
        | {"reference": None, "log": False, "title": ""},
        "plot_faces": {"faces": dev, "people": 2, "images": 2, "rows": None, "ax": None},
        "plot_images_per_person": images | {"ax": None},
        "plot_intervals": {"table": interval, "bar": "a", "seeds": None, "strong": ()},
        "plot_map": {"maps": {"a": x[:, :2]}, "people": ["a"] * 8, "of": dev},
        "plot_mined": {"mined": {"a": x[0]}, "everything": x[0], "of": dev},
        "plot_mistakes": {"report": report, "faces": test, "n": 2, "ax": None},
        "plot_roc": {"reports": {"a": report}, "log": False, "ax": None},
        "plot_thresholds": {"report": report, "ax": None},
        "plot_watched": {"distances": training.distances, "column": "distance", "reference": None},
        "pool_folds": {"reports": folds, "name": "both"},
        "raw_pixels": images,
        "residual_cnn": {"embedding_size": 4, "image_size": 16, "dropout": 0.1, "channels": (8,)},
        "resnet50": {"embedding_size": 4, "pretrained": False, "dropout": 0.1},
        "results_of": {"run": fl.Run("00_x", {})},
        "save_network": {"path": folder / "n", "model": model, "architecture": architecture},
        "search": {"probes": x, "gallery": x, "k": 1},
        "search_pca_lda": {"train": train, "dev": dev, "histograms": fl.lbp_histograms} | grid,
        "set_style": {},
        "shuffled": batches,
        "siamese_cnn": {"embedding_size": 4, "image_size": 16, "dropout": 0.1, "channels": (4,)},
        "split_people": {"faces": faces, "dev": 0.25, "test": 0.25, "seed": 0},
        "tar_table": {"report": report, "fars": (0.1,)},
        "template": {},
        "to_float": {"images": torch.zeros(2, 3, 16, 16, dtype=torch.uint8)},
        "trainings": {"folder": folder},
        "verify": {"embeddings": of_test, "faces": test, "threshold": threshold, "seen": ""},
        "versions": {},
        "view1": {"faces": faces, "dev_people": 0.3, "seed": 0},
        "view2": {"faces": faces, "fold": 0, "dev_people": 0.3, "seed": 0},
        "whitened_pca": {"n_values": 4},
        "with_distractors": {"probes": x, "people": people, "distractors": x, "n_ranks": 2},
    }


def called(name, arguments):
    """Call a public function; of a sampler, draw the first batch too."""
    found = getattr(fl, name)(**arguments)
    return next(found) if inspect.isgenerator(found) else found


def refusal(name, arguments):
    """Return what a call was answered with, and whether that is as it should be."""
    try:
        called(name, arguments)
    except OSError as error:  # of a file that is not there, which a loader looks for first
        return str(error), "\n" not in str(error)
    except (ValueError, TypeError) as error:
        said = str(error)
        is_ours = "facelab" in Path(traceback.extract_tb(error.__traceback__)[-1].filename).parts
        is_line = re.fullmatch(r".*expected .+, (got|found) .+", said) and len(said) <= 500
        return said, is_ours and bool(is_line)
    except Exception as error:
        return repr(error), False
    return "accepted", False


def test_every_public_name_and_every_parameter_of_it_is_tried(valid):
    assert valid.keys() == set(fl.__all__)
    for name, arguments in valid.items():
        parameters = inspect.signature(getattr(fl, name)).parameters.values()
        named = {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}
        assert named <= arguments.keys(), name


def test_an_argument_of_a_wrong_kind_is_refused_in_one_line(valid, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a word may be a file to write
    wrong_answers = []
    for name, arguments in valid.items():
        for parameter in arguments:
            for kind, wrong in WRONG.items():
                if not is_right(name, parameter, kind):
                    said, is_refused = refusal(name, arguments | {parameter: wrong})
                    if not is_refused:
                        wrong_answers.append((name, parameter, kind, said[:100]))
    assert not wrong_answers


def test_all_of_these_work_with_arguments_of_the_right_kind(valid):
    elsewhere = {"align", "onnx_model", "trainings"}  # they need files of their own
    elsewhere |= {"export_onnx"}  # takes seconds, and stands in test_onnx as here
    for name in valid.keys() - elsewhere:
        if not name.startswith("load_"):
            called(name, valid[name])
            plt.close("all")
