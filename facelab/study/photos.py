"""Verify anybody's photos with a kept network: the people of a folder, or two photos."""

import io
import shlex
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from facelab.checks import real
from facelab.data.alignment import align, aligned, find_landmarks
from facelab.data.decoding import decode, open_picture
from facelab.data.own import find_photos, load_faces
from facelab.data.packing import check_sizes
from facelab.embedding import embed
from facelab.faces import Faces, Pairs
from facelab.field.exchange import onnx_model
from facelab.files import alone_in
from facelab.models import load_network
from facelab.plots import plot_calibration, plot_distances, plot_mistakes, set_style
from facelab.study.record import Run
from facelab.study.report import build_report
from facelab.study.writing import portable_path
from facelab.verification import Calibration, Report, calibrate, distances
from facelab.views import split_people

NETWORK = Path(__file__).with_name("network.safetensors")  # chapter 10's, of aligned faces

FEWEST = 8  # four to calibrate on and four to test


def verify_folder(folder: str | Path, network: str | Path, out: str | Path) -> tuple[Report, Path]:
    """Choose a threshold on half of the people, verify the others, and write a report.

    Parameters
    ----------
    folder : str or Path
        Of people, as in `facelab.load_faces`; photos are aligned first if the network expects it.
    network : str or Path
        A file of `facelab.save_network`, with its ``image_size``, or an ONNX file, see
        `facelab.onnx_model`.
    out : str or Path
        Where aligned photos, record, figures and ``report.html`` go.

    Returns
    -------
    Report, Path
        Of pairs of the other people, and of the page.
    """
    set_style()
    of_faces, settings = _network(network)
    _check_people(folder)
    with alone_in(out):
        return _verified(folder, network, Path(out), of_faces, settings)


def _verified(folder, network, out: Path, of_faces, settings: dict) -> tuple[Report, Path]:
    photos = folder
    source = f"faces in {Path(folder).name}"
    if settings.get("aligned"):
        align(folder, out / "aligned")
        folder = out / "aligned"
        source = f"{source}, aligned"
    faces = load_faces(folder, settings["image_size"], settings["crop"])
    faces = replace(faces, source=source)
    test = split_people(faces, dev=0.25, test=0.5).test
    dev = faces.select(set(faces.names) - set(test.names))
    run = Run("photos", {"SEED": 0, "NETWORK": Path(network).name, "OUT": str(out / "photos")})
    command = ["facelab", "verify", portable_path(photos)]
    command += [] if network == NETWORK else ["--model", portable_path(network)]
    run.entries["command"] = shlex.join(command)
    run.uses(faces, f"{len(dev.names)} people for the threshold, {len(test.names)} others tested")
    method = Path(network).stem
    learned_from = settings.get("training") or f"what {Path(network).name} has learned from"
    about = {"category": "labelled outside data", "outside_data": learned_from}
    of_network = cache(of_faces)  # dev people are asked twice
    report = run.verify(method, 0, of_network, dev, test, **about)
    calibration = calibrate(of_network(dev), dev)
    with redirect_stdout(io.StringIO()):  # outside a notebook, figures are shown as words
        run.figure(plot_distances(report), "distances", "Distances of pairs of people")
        run.figure(plot_calibration(calibration, report), "calibration", "How sure a distance is")
        if (report.accepted != report.same).any():
            run.figure(plot_mistakes(report, test), "mistakes", "The worst mistakes")
    run.finish()
    return report, build_report(out)


def _check_people(folder: str | Path) -> None:
    """Refuse too few people before their photos are aligned."""
    photos_of = Counter(photo.person for photo in find_photos(folder).photos)
    several = sum(n >= 2 for n in photos_of.values())
    if several < FEWEST:
        expected = f"{FEWEST} people with two photos or more, half of them to test"
        raise ValueError(f"{folder}: expected at least {expected}, got {several}")


def compare_photos(
    a: str | Path, b: str | Path, network: str | Path, prior: float = 0.5
) -> dict[str, object]:
    """Return the distance of two photos, the decision at the network's threshold, and how sure.

    `prior` is P(same) before one has looked. Without a calibration in the network's file, nothing
    is said about how sure; without a threshold it is a ValueError.
    """
    prior = real("prior", prior, 0, 1)
    of_faces, settings = _network(network)
    if settings.get("threshold") is None:
        expected = f"{network}: expected a network with its threshold"
        raise ValueError(f"{expected}, got none; facelab verify FOLDER chooses one")
    pixels = np.stack([_framed(photo, settings) for photo in (a, b)])
    rows = np.arange(2)
    faces = Faces(pixels, rows, rows, ("first", "second"), np.ones(2, int))
    (distance,) = distances(of_faces(faces), Pairs([0], [1], [False])).tolist()
    threshold = settings["threshold"]
    found = {"distance": distance, "threshold": threshold, "same": distance < threshold}
    if settings.get("calibration"):
        known = Calibration.of_plain(settings["calibration"])
        (row,) = known.how_sure(distance, prior).to_dict("records")
        found |= {"prior": prior} | row
    return found


def _network(path: str | Path) -> tuple[Callable[[Faces], np.ndarray], dict]:
    """Read a network from a file: what embeds `Faces`, and the settings of the file."""
    if Path(path).suffix.lower() == ".onnx":
        model = onnx_model(path)
        settings = model.about
    else:
        model, settings = load_network(path)
        model = partial(embed, model, flip=settings.get("flip") or False)
    settings = {"crop": None} | settings
    if settings.get("image_size") is None:
        raise ValueError(f"{path}: expected a network with its image_size, got {[*settings]}")
    check_sizes(settings["image_size"], settings["crop"])
    return model, settings


def _framed(photo: str | Path, settings: dict) -> np.ndarray:
    """Read a photo as the network's own images were read, (3, image_size, image_size)."""
    size, crop = settings["image_size"], settings["crop"]
    try:
        if not settings.get("aligned"):
            return decode(photo, size, crop)
        image = open_picture(photo)
        points = find_landmarks(image)
        if np.isnan(points).any():
            raise ValueError("expected a face, found none")
        data = io.BytesIO()
        aligned(image, points).save(data, "PNG")
        return decode(data, size, crop)
    except ValueError as error:
        raise ValueError(f"{photo}: {error}") from error
