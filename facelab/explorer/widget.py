"""The explorer as a widget: drag a threshold, look at pairs, compare runs, watch a training.

Everything that moves is computed in the browser. The kernel is asked only for what does not fit
into a message at the start: photos, the distance of two new ones, and resampled intervals.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import anywidget
import IPython.display
import numpy as np
import torch

from facelab import plots
from facelab.explorer.payload import front_end, intervals, pack, payload
from facelab.explorer.photos import Photos, jpeg, uploaded
from facelab.explorer.shown import Film, Shown
from facelab.faces import Faces, Pairs
from facelab.train import embed
from facelab.verification import Report, distances

PREVIEW = 128  # pixels of a side of a photo beside its pair


def explore(reports, films=None, faces=None, model=None, crop: int | None = 128):
    """Show reports as something to touch; the first one also as a plain figure.

    Parameters
    ----------
    reports : Report, dict of str to Report, or list of Shown
        One, several by name, or what ``load_shown`` found; a `Shown` brings its own film, photos
        and network.
    films : Training or dict of str to Training, optional
        From `fit`, or its ``distances`` alone: how they moved, epoch by epoch. One for the first
        report, or by name, of a report or of its own.
    faces : Faces, optional
        Holds the photos of the pairs.
    model : torch.nn.Module or callable, or dict of str to these, optional
        Measures two photos: a network, or a function from `Faces` to embeddings as `raw_pixels`
        and ``partial(embed, network, flip=True)`` are. One for the first report, or by name of the
        report. Needs `faces` for the image size.
    crop : int, optional
        Central pixels of each photo in `faces`, as given to `load_lfw`: so is an uploaded photo
        framed.

    Returns
    -------
    Explorer
        The widget. It keeps nothing in the notebook: stored notebooks show the figure alone.

    Raises
    ------
    ValueError
        If there is no report, one has more pairs than a browser sorts, or there is a `model`
        without `faces`.
    """
    if isinstance(reports, (list, tuple)):
        shown = list(reports)
    else:
        shown = _gather(reports, films, faces, model, crop)
    found = [one.report for one in shown if one.report is not None]
    if not found:
        raise ValueError("expected a report or more, got none; 'facelab run' makes some")
    explorer = Explorer(shown, faces)
    if "voila" not in os.environ.get("SERVER_SOFTWARE", ""):  # there nothing is stored
        _show_figure(found[0])
    return explorer


def _gather(reports, films, faces, model, crop) -> list[Shown]:
    """Put what belongs to one name together, reports first."""
    if isinstance(reports, Report):
        reports = {f"{reports.source}, {reports.name}": reports}
    first = next(iter(reports), None)
    films = _by_name(films, first)
    models = _by_name(model, first)
    if models and faces is None:
        raise ValueError("expected faces=... beside model=..., got none")
    shown = []
    for name in dict.fromkeys([*reports, *films]):
        one = Shown(name, reports.get(name), crop=crop)
        if name in films:
            one = replace(one, film=Film.of(films[name]))
        if name in models:
            size = faces.packed.shape[2]
            one = replace(one, embed=_embedder(models[name]), image_size=size)
        shown.append(one)
    return shown


def _by_name(given, first) -> Mapping:
    if given is None:
        return {}
    return given if isinstance(given, Mapping) else {first: given}


def _embedder(model):
    return partial(embed, model) if isinstance(model, torch.nn.Module) else model


def _show_figure(report) -> None:
    picture = plots.encode(plots.plot_distances(report))
    IPython.display.display(IPython.display.Image(picture.data))


class Explorer(anywidget.AnyWidget):
    """The widget that `explore` returns."""

    _esm, _css = front_end()

    def __init__(self, shown: list[Shown], faces: Faces | None = None):
        super().__init__()
        self.shown, self.faces = shown, faces
        self._photos_of: dict[str, Photos] = {}
        self.on_msg(self._answer)

    def _answer(self, _, message, buffers):
        """Answer one request of the browser; a request that asks for too much, in one line."""
        answers = {
            "ready": self._data,
            "intervals": self._intervals,
            "photos": self._photos,
            "measure": self._measure,
        }
        try:
            reply, out = answers[message["kind"]](message, buffers)
        except (ValueError, OSError, KeyError) as error:
            reply, out = {"error": str(error), "why": str(error)}, []
        self.send({"ask": message.get("ask"), **reply}, out)

    def _data(self, message, _):
        meta, out = payload(self.shown, with_intervals=False)
        return {"meta": meta}, out

    def _intervals(self, message, _):
        meta, out = pack(intervals(self._run(message).report))
        return {"meta": meta}, out

    def _photos(self, message, _):
        photos = self._photos_for(self._run(message))
        found, out, why = [], [], ""
        for image in map(str, message["images"]):
            try:
                out.append(jpeg(photos.pixels(image, PREVIEW)))
                found.append(image)
            except (ValueError, OSError) as error:
                why = str(error)
        return {"images": found, "why": why}, out

    def _measure(self, message, buffers):
        shown = self._run(message)
        if shown.embed is None:
            raise ValueError(
                "These two are no pair of this run, and its network is not at hand. Pass it: "
                "fl.explore(report, faces=faces, model=model)."
            )
        size, left = shown.image_size, list(buffers)
        pixels = []
        for photo in message["photos"]:
            if "image" in photo:
                pixels.append(self._photos_for(shown).pixels(str(photo["image"]), size))
            else:
                upload = bytes(left.pop(0)) if left else b""
                pixels.append(uploaded(upload, size, shown.crop))
        if len(pixels) != 2:
            raise ValueError(f"expected two photos, got {len(pixels)}")
        rows = np.arange(2)
        two = Faces(np.stack(pixels), rows, labels=rows, names=("a", "b"), numbers=rows + 1)
        (apart,) = distances(shown.embed(two), Pairs([0], [1], [False]))
        return {"distance": float(apart)}, []

    def _run(self, message) -> Shown:
        """Return what a request is about."""
        for shown in self.shown:
            if shown.report is not None and shown.name == message["run"]:
                return shown
        raise ValueError(f"expected a run of this explorer, got {message['run']!r}")

    def _photos_for(self, shown) -> Photos:
        if shown.name not in self._photos_of:
            self._photos_of[shown.name] = Photos(shown, self.faces)
        return self._photos_of[shown.name]
