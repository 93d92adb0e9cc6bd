"""What the explorer can show of recorded runs."""

import hashlib
from functools import partial
from pathlib import Path

from facelab.baselines import raw_pixels
from facelab.explorer.shown import Film, Shown
from facelab.models import load_network
from facelab.study.results import read_runs
from facelab.train import embed
from facelab.verification import Report


def load_shown(folder: str | Path = "outputs") -> list[Shown]:
    """Read what the explorer can show of the finished runs below `folder`, real faces first."""
    runs = [run for run in read_runs(folder).items() if run[1]["status"] == "done"]
    runs.sort(key=lambda run: run[1]["data"].get("synthetic", False))
    profiles = {record["profile"] for _, record in runs if record["reports"]}
    shown = []
    for place, record in runs:
        profile = f" · {record['profile']}" if len(profiles) > 1 else ""
        shown += _shown_of(place, record, profile)
    return shown


def _shown_of(place: Path, record: dict, profile: str) -> list[Shown]:
    number, _, rest = record["notebook"].partition("_")
    chapter = number if number.isdigit() else f"{number} {rest}".strip()
    data = record["data"]
    films = {}
    for training in record["trainings"]:
        if training["film"] and (place / training["film"]).is_file():
            film = Film.load(place / training["film"], data["source"], data["synthetic"])
            films[training["method"]] = film
    methods = [entry["method"] for entry in record["reports"]]
    shown = []
    for entry in record["reports"]:
        method = entry["method"]
        pairs = f", {entry['split']}" if methods.count(method) > 1 else ""
        if not (place / entry["file"]).is_file():
            continue
        one = Shown(
            name=f"{chapter} · {method}{pairs}{profile}",
            report=Report.load(place / entry["file"]),
            film=films.pop(method, None),
            category=entry["category"],
            outside_data=entry["outside_data"],
            data=data["root"],
            crop=entry.get("crop"),
            image_size=entry.get("image_size") or data["image_size"][0],
            embed=_embedding(entry, place),
        )
        shown.append(one)
    for method, film in films.items():
        shown.append(Shown(f"{chapter} · {method}{profile}", film=film))
    return shown


def _embedding(entry: dict, place: Path):
    """Return what embeds `Faces` as for this report: raw pixels, or the network that was kept."""
    if entry.get("embedding") == "raw_pixels":
        return raw_pixels
    kept = entry["network"]
    return partial(_embed_with, place / kept["file"], kept["sha256"]) if kept else None


def _embed_with(path: Path, sha256: str, faces):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise ValueError(f"{path}: expected the network with SHA-256 {sha256}, got {digest}")
    model, settings = load_network(path)
    return embed(model, faces, flip=settings.get("flip", False))
