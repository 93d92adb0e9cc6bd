"""Verify anybody's photos with a kept network: the people of a folder, or two photos."""

import io
import json
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from facelab.checks import expect, expect_in, real
from facelab.data.alignment import align, framed, without_a_face
from facelab.data.copies import SIDE
from facelab.data.lfw import name_of
from facelab.data.own import UNLISTED, Album, Photo, faces_of, find_photos, load_faces
from facelab.data.packing import check_sizes, name_apart
from facelab.embedding import averaged, embed
from facelab.explorer.shown import distance_of
from facelab.faces import Faces
from facelab.field.exchange import INSIGHTFACE, embeddings_of, onnx_model
from facelab.files import alone_in, check_folder
from facelab.models import load_network
from facelab.plots import plot_calibration, plot_distances, plot_mistakes, set_style
from facelab.study.chosen import check_seen, keep_threshold, kept_threshold
from facelab.study.reading import read_runs
from facelab.study.record import Run
from facelab.study.report import build_report, check_places
from facelab.study.writing import portable_path
from facelab.verification import Calibration, Report, calibrate, check_rule, every_pair
from facelab.verification.sweep import too_few
from facelab.views import split_people

NETWORK = Path(__file__).with_name("network.safetensors")  # chapter 10's, of aligned faces
OF_NONE = 112  # pixels a side of photos that no network sees, in figures
UNCALIBRATED = "no calibration was kept with the network; facelab verify FOLDER --out DIR makes one"
UNCALIBRATED += " of dev people, which --from DIR reads (in Python: fl.calibrate)"
COST = "Cllr {before:.3f} before, {after:.3f} after calibration, on the {people:,} tested people; "
COST += "calibrated on {calibrated_on:,} dev people"  # in words
TABLES = (".npy", ".npz")  # of embeddings
FEWEST = 8  # four to calibrate on and four to test


def verify_folder(
    folder: str | Path,
    network: str | Path,
    out: str | Path,
    by: str = "accuracy",
    far: float | None = None,
    preprocessing: Mapping | None = None,
) -> tuple[Report, Path, list[str] | None, Calibration]:
    """Choose a threshold on half of the people, verify the others, and write a report.

    Threshold and calibration are kept in `out`, where `compare_photos` finds them.

    Parameters
    ----------
    folder : str or Path
        Of people, as in `facelab.load_faces`; photos are aligned first if the network expects it.
    network : str or Path
        A file of `facelab.save_network`, with its ``image_size``; an ONNX file, see
        `facelab.onnx_model`; or a ``.npy`` or ``.npz`` with ids, see `facelab.embeddings_of`.
    out : str or Path
        Where aligned photos, record, figures and ``report.html`` go. If it lies in `folder`, it is
        nobody's there, so it may not hold any of the photos.
    by, far : str, float
        How the threshold is chosen, see `facelab.fit_threshold`.
    preprocessing : dict, optional
        Of an ONNX file, as in `facelab.onnx_model`.

    Returns
    -------
    Report, Path, list of str or None, Calibration
        Of pairs of the other people; of the page; the photos in which no face was found, of which
        the centre was kept, None if the network expects no aligned ones; of the half that chose.
    """
    set_style()
    check_rule(by, far)
    out, file = Path(out), Path(network).name
    check_folder(out)
    of_faces, settings = _network(network, preprocessing)
    album = find_photos(folder)
    _check_enough(album, far)
    is_apart = album.table or not _holds(out, album)
    expect(is_apart, "out another folder than that of the people", out)
    runs = {}
    with suppress(ValueError, FileNotFoundError):  # none that can be read
        runs = {place: record["notebook"] for place, record in read_runs(out).items()}
    check_places(runs | {out / "photos": "photos"})  # else its report would fail when all is done
    learned_from = settings.get("training") or f"what {file} has learned from"
    about = {"category": "labelled outside data", "outside_data": learned_from}
    of_network = cache(of_faces)  # dev people are asked twice
    with alone_in(out):
        faces, missing = _faces(folder, album, out, settings)
        dev, test = _halves(faces)
        run = Run("photos", {"SEED": 0, "NETWORK": file, "OUT": str(out / "photos")})
        run.entries["command"] = _command(folder, network, out, by, far, preprocessing)
        told = f"{len(dev.names)} people for the threshold, {len(test.names)} others tested"
        run.uses(faces, told)
        if missing is not None:
            run.note(without_a_face(missing))
        method = Path(network).stem
        sure = calibrate(of_network(dev), dev)
        about["calibration"] = sure.as_plain()
        report = run.verify(method, 0, of_network, dev, test, by=by, far=far, **about)
        _draw(run, report, test, sure)
        run.finish()
        keep_threshold(out, network, settings, report, sure)
        return report, build_report(out), missing, sure


def _holds(out: Path, album: Album) -> bool:
    """Say whether photos lie in a folder, which would be nobody's then, but not all people."""
    place, root = (Path(os.path.realpath(folder)) for folder in (out, album.folder))
    files = (Path(os.path.realpath(photo.file)) for photo in album.photos)
    return place not in root.parents and any(place in file.parents for file in files)


def _check_enough(album: Album, far: float | None) -> None:
    """Refuse too few people, and too few pairs for a FAR, before their photos are aligned."""
    photos_of = Counter(photo.person for photo in sorted(album.photos))
    several = sum(n >= 2 for n in photos_of.values())
    expected = f"at least {FEWEST} people with two photos or more, half of them to test"
    expect_in(album.path, several >= FEWEST, expected, several)
    if far is None:
        return
    labels = np.repeat(np.arange(len(photos_of)), list(photos_of.values()))
    unseen = np.zeros((1, 3, 1, 1), np.uint8)
    dev, _ = _halves(Faces(unseen, np.zeros_like(labels), labels, tuple(photos_of)))
    n_different = np.count_nonzero(~every_pair(dev).same)
    if refusal := too_few(far, n_different):
        who = f"of the {len(dev.names)} people who choose the threshold"
        raise ValueError(f"{album.path}: {refusal} {who}")


def _halves(faces: Faces) -> tuple[Faces, Faces]:
    """Deal people: those who choose the threshold, and those who are tested, with their pairs."""
    test = split_people(faces, dev=0.25, test=0.5).test
    return faces.select(set(faces.names) - set(test.names)), test


def _command(folder, network, out, by, far, preprocessing) -> str:
    """Return what `verify_folder` is called with as a line for a shell, without folders above."""
    words = ["facelab", "verify", portable_path(folder)]
    words += [] if network == NETWORK else ["--model", portable_path(network)]
    for name, value in (preprocessing or {}).items():
        words += ["-p", name, str(value)]
    words += [] if by == "accuracy" else ["--by", by]
    words += [] if far is None else ["--far", str(far)]
    return shlex.join([*words, "--out", portable_path(out)])


def _draw(run: Run, report: Report, test: Faces, sure: Calibration) -> None:
    """Add the figures of a report to its run; outside a notebook they are shown as words."""
    with redirect_stdout(io.StringIO()):
        run.figure(plot_distances(report), "distances", "Distances of pairs of people")
        run.figure(plot_calibration(sure, report), "calibration", "How sure a distance is")
        if (report.accepted != report.same).any():
            run.figure(plot_mistakes(report, test), "mistakes", "The worst mistakes")


def _faces(
    folder: str | Path, album: Album, out: Path, settings: dict
) -> tuple[Faces, list[str] | None]:
    """Load photos as the network expects them, aligned, if so, into a folder of this source's.

    Of aligned ones those without a face are named too.
    """
    (out / UNLISTED).touch()
    source = f"faces in {album.path.name}"
    size, crop = settings["image_size"], settings["crop"]
    if not settings.get("aligned"):
        faces = load_faces(folder, size, crop, side=settings["side"])
        return replace(faces, source=source), None
    place = out / "aligned" / name_apart(album.path.name, os.path.realpath(album.path))
    found = align(folder, place)
    photos = [Photo(file.split("/")[0], file, str(place / file)) for file in found["file"]]
    faces = faces_of(Album(place, photos), size, crop)
    faces = replace(faces, source=f"{source}, aligned", root=name_of(place))
    return faces, found.loc[found["faces"] == 0, "file"].tolist()


def compare_photos(
    a: str | Path,
    b: str | Path,
    network: str | Path,
    prior: float = 0.5,
    preprocessing: Mapping | None = None,
    chosen: str | Path | None = None,
) -> dict[str, object]:
    """Return the distance of two photos, the decision at the network's threshold, and how sure.

    `prior` is P(same) before one has looked. Threshold, calibration and preprocessing are those
    that `verify_folder` kept in the folder `chosen`, else of the network's file. Without a
    calibration, P(same) is missing; without a threshold it is a ValueError.
    """
    prior = real("prior", prior, 0, 1)
    suffix, given = Path(network).suffix.lower(), dict(preprocessing or {})
    kept = {} if chosen is None else kept_threshold(chosen, network)
    if kept and suffix == ".onnx":
        chosen_for = kept["preprocessing"]
        known = {name: chosen_for[name] for name in INSIGHTFACE if chosen_for[name] is not None}
        given = known | given
    of_faces, settings = _network(network, given)
    if kept:
        check_seen(chosen, kept, settings)
        settings |= {name: kept[name] for name in ("threshold", "calibration")}
    is_table = suffix in TABLES
    threshold = None if is_table else settings.get("threshold")
    to_do = f"facelab verify FOLDER --model {network} --out DIR chooses one, --from DIR reads it"
    got = f"none; {'a table of embeddings knows no other photos' if is_table else to_do}"
    expect_in(network, threshold is not None, "a network with its threshold", got)
    frame = [settings.get(name) for name in ("image_size", "crop", "side", "aligned")]
    pixels, wrong = [], []
    for photo in (a, b):
        try:
            pixels.append(framed(photo, *frame))
        except ValueError as error:
            wrong.append(f"{photo}: {error}")
    if wrong:
        raise ValueError("; ".join(wrong))
    distance = distance_of(of_faces, pixels)
    found = {"distance": distance, "threshold": threshold, "same": distance < threshold}
    found |= {"threshold_from": kept["threshold_from"]} if kept else {}
    if settings.get("calibration"):
        known = Calibration.of_plain(settings["calibration"])
        (row,) = known.how_sure(distance, prior).to_dict("records")
        found |= {"prior": prior} | row
    return found


def in_words(found: Mapping) -> str:
    """Tell what `compare_photos` found."""
    said = "one person" if found["same"] else "two people"
    words = f"{said}: distance {found['distance']:.3f}, threshold {found['threshold']:.3f}"
    words += f": {found['threshold_from']}" if "threshold_from" in found else ""
    if "p_same" not in found:
        return f"{words}\nP(same) unknown: {UNCALIBRATED}"
    sure = f"{found['p_same']:.1%} ({found['p_low']:.1%} to {found['p_high']:.1%})"
    on = f"if it was {found['prior']:.0%} before; calibrated on dev people"
    return f"{words}\nP(same) {sure}, {on}"


def cost_of(report: Report, sure: Calibration) -> dict[str, float | int]:
    """Return the Cllr of the tested people, before and after the calibration on the others."""
    before, after = sure.cllr_on(report)
    of_people = {"people": len(np.unique(report.people)), "calibrated_on": sure.n_people}
    return {"before": before, "after": after} | of_people


def values_of(words: Iterable[tuple[str, str]]) -> dict[str, object]:
    """Read names and values, numbers as JSON writes them.

    >>> values_of([("image_size", "160"), ("mean", "[104, 117, 123]"), ("colours", "BGR")])
    {'image_size': 160, 'mean': [104, 117, 123], 'colours': 'BGR'}
    """
    values = dict(words)
    for name, text in values.items():
        with suppress(ValueError):
            values[name] = json.loads(text)
    return values


def _network(
    path: str | Path, preprocessing: Mapping | None
) -> tuple[Callable[[Faces], np.ndarray], dict]:
    """Read a network from a file: what embeds `Faces`, and the settings of the file."""
    known = {"crop": None, "side": SIDE}  # crops are LFW's
    suffix = Path(path).suffix.lower()
    is_told = not preprocessing or suffix == ".onnx"
    expect(is_told, f"{', '.join(preprocessing or ())} with an ONNX file", path)
    if suffix in TABLES:
        return embeddings_of(path), known | {"image_size": OF_NONE}
    if suffix == ".onnx":
        model = onnx_model(path, **preprocessing or {})
        settings = model.about
    else:
        model, settings = load_network(path)
        model = partial(embed, model, **averaged(settings))
    settings = known | settings
    is_sized = settings.get("image_size") is not None
    expect_in(path, is_sized, "a network with its image_size", [*settings])
    check_sizes(*(settings[name] for name in ("image_size", "crop", "side")))
    return model, settings
