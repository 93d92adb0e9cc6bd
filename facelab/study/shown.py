"""What the explorer can show of recorded runs."""

import hashlib
from functools import cache, partial
from pathlib import Path

from facelab.baselines import raw_pixels
from facelab.explorer.shown import Film, Shown
from facelab.models import load_network
from facelab.study.results import read_runs
from facelab.train import embed
from facelab.verification import Report


def load_shown(folder: str | Path = "outputs") -> list[Shown]:
    """Read what the explorer can show of the finished runs below `folder`, real faces first."""
    records = {}
    for place, record in read_runs(folder).items():
        if record["status"] == "done":
            records[place] = record
    profiles = {record["profile"] for record in records.values() if record["reports"]}
    shown = []
    for place, record in sorted(records.items(), key=_is_synthetic):
        profile = f" · {record['profile']}" if len(profiles) > 1 else ""
        shown += _shown_of(place, record, profile)
    return shown


def _is_synthetic(item: tuple[Path, dict]) -> bool:
    return item[1]["data"].get("synthetic", False)


def _shown_of(place: Path, record: dict, profile: str) -> list[Shown]:
    number, _, rest = record["notebook"].partition("_")
    chapter = number if number.isdigit() else f"{number} {rest}".strip()
    data = record["data"]
    films = {t["method"]: place / t["film"] for t in record["trainings"] if t["film"]}
    methods = [entry["method"] for entry in record["reports"]]
    shown = []
    for entry in record["reports"]:
        method = entry["method"]
        pairs = f", {entry['split']}" if methods.count(method) > 1 else ""
        if not (place / entry["file"]).is_file():
            continue
        film = films.pop(method, None)
        shown.append(
            Shown(
                name=f"{chapter} · {method}{pairs}{profile}",
                report=Report.load(place / entry["file"]),
                film=_film(film, data),
                category=entry["category"],
                outside_data=entry["outside_data"],
                chapter=chapter,
                data="synthetic" if data["synthetic"] else data["root"],
                crop=entry.get("crop"),
                image_size=entry.get("image_size") or data["image_size"][0],
                embed=_embedding(entry, place),
            )
        )
    for method, path in films.items():
        name = f"{chapter} · {method}{profile}"
        shown.append(Shown(name=name, film=_film(path, data), chapter=chapter))
    return shown


def _film(path: Path | None, data: dict) -> Film | None:
    if path is None or not path.is_file():
        return None
    return Film.load(path, data["source"], data["synthetic"])


def _embedding(entry: dict, place: Path):
    """Return what embeds `Faces` as for this report: raw pixels, or the network that was kept."""
    if entry.get("embedding") == "raw_pixels":
        return raw_pixels
    if entry["network"]:
        return partial(_embed_with, place / entry["network"]["file"], entry["network"]["sha256"])
    return None


def _embed_with(path: Path, sha256: str, faces):
    model, settings = _network(path, sha256)
    return embed(model, faces, flip=settings.get("flip", False))


@cache
def _network(path: Path, sha256: str):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise ValueError(f"{path}: expected the network with SHA-256 {sha256}, got {digest}")
    return load_network(path)
