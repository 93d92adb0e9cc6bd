"""The explorer as a widget: drag a threshold, look at pairs, compare runs, watch a training.

Everything that moves is computed in the browser. The kernel is asked only for what does not fit
into a message at the start: photos, the distance of two new ones, and resampled intervals.
"""

import io
import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

import anywidget
import IPython.display
import numpy as np
import pandas as pd
import torch
from PIL import Image

from facelab import plots
from facelab.checks import expect, kinds, one_line
from facelab.data.alignment import framed
from facelab.data.copies import find, is_aligned, side_of
from facelab.embedding import embed
from facelab.explorer.payload import front_end, opening, pack, payload, resampled
from facelab.explorer.shown import Film, Shown, distance_of
from facelab.faces import Faces
from facelab.train import Training
from facelab.verification import Report

PREVIEW = 128  # pixels of a side of a photo beside its pair
_copy_of = cache(find)  # every photo of a run asks for it
MOST_BYTES = 10_000_000  # of an uploaded photo; the page sends less than one of these
MOST_SAID = 300  # characters of an error message
KINDS = ("ready", "intervals", "photos", "measure")  # of requests


@kinds
def explore(
    reports: Report | Mapping[str, Report] | list[Shown],
    films: Training | pd.DataFrame | Mapping | None = None,
    faces: Faces | None = None,
    model: torch.nn.Module | Callable | Mapping | None = None,
):
    """Show reports as something to touch, an `Explorer`; the first one also as a plain figure.

    No report and a `model` without `faces` are ValueErrors. Where `load_shown` found none, the page
    says what to do.

    Parameters
    ----------
    reports : Report, dict of str to Report, or list of Shown
        One, several by name, or what ``load_shown`` found, which has films and networks already.
    films : Training, its ``distances``, or dict of str to these, optional
        Of the first report, or by name, of a report or of its own.
    faces : Faces, optional
        Holds the photos of the pairs, and says how an uploaded one is framed.
    model : torch.nn.Module, callable from `Faces` to embeddings, or dict of str to these, optional
        Measures two photos. Of the first report, or by name.
    """
    if isinstance(reports, Report):
        reports = {f"{reports.source}, {reports.name}": reports}
    if isinstance(reports, Mapping):
        expect(reports, "a report or more", "none")
        shown = _gather(reports, films, faces, model)
    else:
        is_alone = films is None and model is None
        expect(is_alone, "reports by name beside films=... and model=...", "a list")
        shown = reports
    explorer = Explorer(shown, faces)
    found = [one for one in shown if one.report is not None]
    is_stored = "voila" not in os.environ.get("SERVER_SOFTWARE", "")
    if found and is_stored:
        first = found[opening(found)]
        picture = plots.encode(plots.plot_distances(first.report))
        IPython.display.display(IPython.display.Image(picture.data, alt=first.name))
    return explorer


def _gather(reports: Mapping, films, faces, model) -> list[Shown]:
    """Put what belongs to one name together, reports first."""
    expect(model is None or faces is not None, "faces=... beside model=...", "none")
    first = next(iter(reports))
    films = films if isinstance(films, Mapping) else {first: films}
    model = model if isinstance(model, Mapping) else {first: model}
    frame = {}
    if faces is not None:
        frame = {"crop": faces.crop, "side": side_of(faces.source)}
        frame |= {"aligned": is_aligned(faces.source), "image_size": faces.packed.shape[2]}
    shown = []
    for name in dict.fromkeys([*reports, *films]):
        film, measure = films.get(name), model.get(name)
        if film is not None:
            film = Film.of(film)
        if isinstance(measure, torch.nn.Module):
            measure = partial(embed, measure)
        shown.append(Shown(name, reports.get(name), film, embed=measure, **frame))
    return shown


class Explorer(anywidget.AnyWidget):
    """The widget. It keeps nothing in the notebook: stored notebooks show the figure alone."""

    _esm, _css = front_end()

    def __init__(self, shown: list[Shown], faces: Faces | None = None):
        super().__init__()
        self.shown = shown
        self.faces = faces
        self.on_msg(self._answer)

    def _answer(self, _, message, uploads):
        """Answer one request of the browser; one that cannot be answered, in one line."""
        try:
            reply, out = self._reply(message, uploads)
        except Exception as error:  # whatever was asked: the browser waits for an answer
            is_told = isinstance(error, (ValueError, OSError, ImportError))
            why = one_line(str(error) if is_told else error, MOST_SAID)
            reply, out = {"error": why, "why": why}, []
        asked = message.get("ask") if isinstance(message, dict) else None
        self.send({"ask": asked, **reply}, out)

    def _reply(self, message, uploads) -> tuple[dict, list[bytes]]:
        kind = message.get("kind") if isinstance(message, dict) else None
        expect(kind in KINDS, f"a request for {', '.join(KINDS)}", repr(message))
        if kind == "ready":
            meta, out = payload(self.shown, with_intervals=False)
            return {"meta": meta}, out
        with_report = {one.name: one for one in self.shown if one.report is not None}
        name = message.get("run")
        expect(isinstance(name, str) and name in with_report, "a run of this explorer", repr(name))
        shown = with_report[name]
        if kind == "intervals":
            meta, out = pack(resampled(shown))
            return {"meta": meta}, out
        if kind == "photos":
            return self._photos(shown, message.get("images", ()))
        return {"distance": self._distance(shown, message.get("photos", ()), uploads)}, []

    def _photos(self, shown, images):
        found, out, why = [], [], ""
        for image in map(str, images):
            try:
                photo = pixels(shown, image, PREVIEW, self.faces)
            except (ValueError, OSError) as error:
                why = one_line(str(error), MOST_SAID)
                continue
            encoded = io.BytesIO()
            Image.fromarray(photo.transpose(1, 2, 0)).save(encoded, "jpeg", quality=90)
            out.append(encoded.getvalue())
            found.append(image)
        return {"images": found, "why": why}, out

    def _distance(self, shown, photos, uploads) -> float:
        if shown.embed is None:
            raise ValueError(
                "These two are no pair of this run, and its network is not at hand. Pass it: "
                "fl.explore(report, faces=faces, model=model)."
            )
        expect(len(photos) == 2, "two photos", len(photos))
        size = shown.image_size
        files = iter(uploads)
        two = []
        for photo in photos:
            if "image" in photo:
                two.append(pixels(shown, str(photo["image"]), size, self.faces, shown.aligned))
            else:
                frame = (size, shown.crop, shown.side, shown.aligned)
                two.append(uploaded(next(files, b""), *frame))
        return distance_of(shown.embed, two)


def pixels(
    shown: Shown, image: str, size: int, faces: Faces | None = None, align: bool = False
) -> np.ndarray:
    """Return a photo of a report as the run saw it, uint8 of shape (3, size, size).

    Only names that are in the report are answered; no path is made of anything else. Photos of
    `faces`, as those that `load_faces` has loaded, keep their own size. With `align` those of a
    copy that is not aligned are aligned first.
    """
    known = shown.report.image_ids.tolist()
    expect(image in known, f"an image of {shown.name}", repr(image))
    person = str(shown.report.people[known.index(image)])
    if shown.data and not image.startswith(f"{person}/"):
        file = f"{image}.jpg"
        is_plain = all(part == Path(part).name != ".." for part in (person, file))
        expect(is_plain, f"names without folders in {shown.name}", f"{person}/{file}")
        copy = _copy_of(shown.data)
        align = align and not is_aligned(copy.source)
        return framed(copy.path / person / file, size, shown.crop, is_aligned=align)
    row = [] if faces is None else np.flatnonzero(faces.image_ids == image)
    if not len(row):
        raise ValueError("these faces are not at hand: pass faces=... to fl.explore")
    return faces.batch(row)[0]


def uploaded(
    photo, size: int, crop: int | None, side: int | None = None, align: bool = False
) -> np.ndarray:
    """Decode a reader's photo as a run's own, uint8 of shape (3, size, size); keep nothing.

    It should be framed like the run's photos, in whose pixels `crop` counts: `side` of them, for
    LFW's 250, are its own side. With `align` its face is looked for, as in `framed`. What is too
    large and what `framed` refuses is a ValueError.
    """
    n_bytes = memoryview(photo).nbytes
    expect(n_bytes <= MOST_BYTES, f"a photo of {MOST_BYTES:,} bytes or fewer", f"{n_bytes:,}")
    return framed(io.BytesIO(photo), size, crop, side, align)
