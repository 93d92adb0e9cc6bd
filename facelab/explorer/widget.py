"""The explorer as a widget: drag a threshold, look at pairs, compare runs, watch a training.

Everything that moves is computed in the browser. The kernel is asked only for what does not fit
into a message at the start: photos, the distance of two new ones, and resampled intervals.
"""

import io
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import anywidget
import IPython.display
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image

from facelab import plots
from facelab.baselines import raw_pixels
from facelab.data.copies import _decode, find
from facelab.explorer import payload
from facelab.faces import Faces, Pairs
from facelab.train import embed
from facelab.verification import Report, distances

NO_PHOTOS = "Photos are shown where the environment variable FACELAB_LFW names a copy of LFW."


def explore(reports=None, films=None, faces=None, model=None):
    """Show reports as something to touch; the first one also as a plain figure.

    Parameters
    ----------
    reports : Report or dict of str to Report, optional
        One, or several by name. Default: those of all runs below ``outputs``.
    films : Training or dict of str to Training, optional
        From `fit`, or its ``distances`` alone: how they moved, epoch by epoch. Under the name of
        its report, or another.
    faces : Faces, optional
        Holds the photos of the pairs.
    model : torch.nn.Module or callable, or dict of str to these, optional
        Measures two photos: a network, or a function from `Faces` to embeddings as `raw_pixels`
        and ``partial(embed, network, flip=True)`` are. One for the first report, or by name of the
        report. Needs `faces` for the image size.

    Returns
    -------
    Explorer
        The widget. It keeps nothing in the notebook: stored notebooks show the figure alone.

    Raises
    ------
    FileNotFoundError
        If no report is given and no run below ``outputs`` has one.
    ValueError
        If there is no report, or one has more pairs than a browser sorts.
    """
    about = {}
    if reports is None:
        reports, found, about = payload.saved(_outputs())
        films = found if films is None else films
        if not reports:
            raise FileNotFoundError(
                f"expected a finished run with reports below {_outputs().name}/, found none; "
                "'facelab run' makes some"
            )
    if isinstance(reports, Report):
        reports = {f"{reports.source}, {reports.name}": reports}
    if not reports:
        raise ValueError("expected a report or more, got none")
    first = next(iter(reports))
    if films is not None and not _several(films):
        films = {first: films}
    if model is not None and not isinstance(model, Mapping):
        model = {first: model}
    explorer = Explorer(dict(reports), films or {}, faces, model or {}, about)
    if "voila" not in os.environ.get("SERVER_SOFTWARE", ""):  # there nothing is stored
        _show_figure(reports[first])
    return explorer


class Explorer(anywidget.AnyWidget):
    """The widget that `explore` returns."""

    _esm, _css = payload.front_end()

    def __init__(self, reports, films, faces, models, about):
        super().__init__()
        self.reports, self.films, self.faces = reports, films, faces
        self.models, self.about, self._rows, self._copies = models, about, None, {}
        self.on_msg(self._answer)

    def _answer(self, _, message, buffers):
        kind, ask = message.get("kind"), message.get("ask")
        answers = {"ready": self._data, "intervals": self._intervals}
        answers |= {"photos": self._photos, "measure": self._measure}
        try:
            reply, out = answers[kind](message, buffers)
        except (ValueError, OSError, KeyError) as error:
            reply, out = {"error": str(error), "why": str(error)}, []
        self.send({"ask": ask, **reply}, out)

    def _data(self, message, _):
        meta, out = payload.payload(self.reports, self.films, self.about, with_intervals=False)
        return {"meta": meta}, out

    def _intervals(self, message, _):
        meta, out = payload.encode(payload.intervals(self.reports[message["run"]]))
        return {"meta": meta}, out

    def _photos(self, message, _):
        name, found, out, why = message["run"], [], [], ""
        for image in message["images"]:
            try:
                out.append(_jpeg(self._pixels(name, image)))
                found.append(image)
            except (OSError, ValueError, KeyError):
                synthetic = "synthetic" in self.reports[name].source
                why = "These faces are not at hand: pass faces=... to fl.explore."
                why = why if synthetic or self.faces is not None else NO_PHOTOS
        return {"images": found, "why": why}, out

    def _pixels(self, name, image, size=128, crop=None):
        """Return an image of a report, uint8 of shape (3, height, width), as it was trained on."""
        if self.faces is not None:
            if self._rows is None:
                self._rows = {i: row for row, i in enumerate(self.faces.image_ids.tolist())}
            return self.faces.batch([self._rows[image]])[0]
        crop = crop or self.about.get(name, {}).get("parameters", {}).get("CROP", 128)
        person, _, number = image.rpartition("_")
        pixels, _, wrong = _decode(
            self._copy(name) / person / f"{person}_{int(number):04d}.jpg", size, crop
        )
        if wrong:
            raise ValueError(f"{image}: {wrong}")
        return pixels

    def _copy(self, name) -> Path:
        """Return the folder of people that the report's images come from."""
        synthetic = "synthetic" in self.reports[name].source
        data = "synthetic" if synthetic else "lfw"
        if data not in self._copies:
            self._copies[data] = find(data).path
        return self._copies[data]

    def _measure(self, message, buffers):
        name, buffers = message["run"], list(buffers)
        embed, size, crop = self._network(name)
        pixels = []
        for photo in message["photos"]:
            if photo.get("upload"):
                image, _, wrong = _decode(io.BytesIO(buffers.pop(0)), size, None)
                if wrong:
                    raise ValueError(f"the uploaded photo: {wrong}")
                pixels.append(image)
            else:
                pixels.append(self._pixels(name, photo["image"], size, crop))
        two = Faces(np.stack(pixels), np.arange(2), np.arange(2), ("a", "b"), np.ones(2, int))
        pair = Pairs([0], [1], [False])
        return {"distance": float(distances(embed(two), pair)[0])}, []

    def _network(self, name) -> tuple[Callable, int, int | None]:
        """Return what embeds `Faces` for a report, and the image size and crop that it wants."""
        if name in self.models:
            if self.faces is None:
                raise ValueError("expected faces=... beside model=..., got none")
            return _embedder(self.models[name]), self.faces.packed.shape[2], None
        about = self.about.get(name, {})
        parameters, folder = about.get("parameters", {}), about.get("folder")
        if about.get("prefix", "").startswith("pixels"):
            return raw_pixels, parameters.get("IMAGE_SIZE", 64), None
        if folder and (folder / "network.safetensors").is_file():
            from facelab.models import load_network

            model, settings = load_network(folder / "network.safetensors")
            if settings["threshold"] == self.reports[name].threshold:
                embed = partial(_embedder(model), flip=settings.get("flip", False))
                return embed, settings["image_size"], settings["crop"]
        raise ValueError(
            "These two are no pair of this run, and its network is not at hand. Pass it: "
            "fl.explore(report, faces=faces, model=model)."
        )


def _embedder(model) -> Callable:
    return partial(embed, model) if hasattr(model, "parameters") else model


def _several(films) -> bool:
    """Whether these are trainings by name, not one training (of `fit` or `read_film`)."""
    return isinstance(films, Mapping) and "epoch" not in films


def _outputs() -> Path:
    """Return ``outputs`` of the working folder or the one above it, or beside the package."""
    places = [Path("outputs"), Path("../outputs"), Path(__file__).parents[2] / "outputs"]
    return next((place.resolve() for place in places if place.is_dir()), places[0])


def _show_figure(report) -> None:
    drawn, pixels, encoded = plots.plot_distances(report), io.BytesIO(), io.BytesIO()
    drawn.figure.savefig(pixels, dpi=80, bbox_inches="tight")
    plt.close(drawn.figure)
    image = PIL.Image.open(pixels).convert("RGB")
    image.quantize(32, dither=PIL.Image.Dither.NONE).save(encoded, "png", optimize=True)
    IPython.display.display(IPython.display.Image(encoded.getvalue()))


def _jpeg(pixels) -> bytes:
    encoded = io.BytesIO()
    PIL.Image.fromarray(pixels.transpose(1, 2, 0)).save(encoded, "jpeg", quality=90)
    return encoded.getvalue()
