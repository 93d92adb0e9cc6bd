"""Bars: where they go, and what a training's says."""

import io
import sys
from dataclasses import replace

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from pytorch_metric_learning import losses

import facelab as fl
from facelab.field.streamed import files_as_faces
from facelab.progress import IN_BATCH, Progress

BAR = "from facelab.progress import Progress\nfor _ in Progress(range(3), 'three'): pass\nprint(7)"


def test_a_bar_in_a_notebook_is_not_red_and_leaves_nothing(tmp_path):
    notebook = new_notebook(cells=[new_code_cell(BAR)])
    NotebookClient(notebook, coalesce_streams=True).execute()
    (output,) = notebook.cells[0].outputs
    assert output.name == "stdout"  # stderr is shown on red
    assert output.text.strip() == "7"
    assert nbformat.validate(notebook) is None


def test_a_bar_elsewhere_and_in_a_batch_goes_to_stderr_and_stays(monkeypatch, capsys):
    stdout = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setenv(IN_BATCH, "1")
    monkeypatch.setattr(sys, "stdout", stdout)
    list(Progress(range(3), "three"))
    assert stdout.getvalue() == ""
    assert "three: 100%" in capsys.readouterr().err
    monkeypatch.delenv(IN_BATCH)
    list(Progress(range(3), "three"))
    assert "three" in stdout.getvalue() and stdout.getvalue().endswith("\r")


@pytest.mark.parametrize(
    ("title", "said"), [("", "epoch 2/2"), ("mine, seed 1", "mine, seed 1, epoch 2/2")]
)
def test_the_bar_of_a_training_has_its_title_and_counts_epochs_that_are_done(
    small_faces, capsys, title, said
):
    pixels = np.random.default_rng(0).integers(0, 256, (len(small_faces), 3, 16, 16), np.uint8)
    faces = fl.Faces(
        pixels, small_faces.rows, small_faces.labels, small_faces.names, small_faces.numbers
    )
    model = fl.siamese_cnn(8, 16)
    fl.fit(model, faces, losses.TripletMarginLoss(), epochs=2, batch_size=16, title=title)
    bars = capsys.readouterr().err.split("\r")
    assert bars[1].startswith(said.replace("2/2", "0/2"))
    assert bars[-1].startswith(said) and "loss=" in bars[-1]


def test_many_images_take_a_bar_and_few_none(small_faces, capsys, monkeypatch, tmp_path):
    pixels = np.zeros((len(small_faces), 3, 16, 16), np.uint8)
    faces = replace(small_faces, packed=pixels)
    files = [tmp_path / f"{k}.jpg" for k in range(3)]
    for file in files:
        file.touch()

    def bars():
        fl.embed(fl.siamese_cnn(8, 16), faces)
        files_as_faces(files, "aab", None, "set", 16, None)
        return capsys.readouterr().err

    assert bars() == ""
    monkeypatch.setattr("facelab.embedding.MANY", 2)
    monkeypatch.setattr("facelab.field.streamed.MANY", 2)
    assert "embedding: 100%" in (said := bars()) and "set: 100%" in said
    fl.fit(fl.siamese_cnn(8, 16), faces, fl.ContrastiveLoss(1.0), epochs=1, batch_size=16)
    assert "embedding" not in capsys.readouterr().err
