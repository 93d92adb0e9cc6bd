"""The threshold that ``facelab verify FOLDER`` chose, kept for two photos by the same network."""

import json
from collections.abc import Mapping
from pathlib import Path

from facelab.checks import expect, expect_in, numbers, of_kind, real
from facelab.files import loaded, sha256_of
from facelab.models import check_settings
from facelab.study.writing import strict_json, write_json
from facelab.verification import Calibration, Report

FILE = "threshold.json"
SEEN = ("image_size", "crop", "side", "aligned", "colours", "mean", "scale")  # what a network sees
WORDS = ("model", "sha256", "rule", "threshold_from")
THRESHOLDS = ("threshold", "f1_threshold")
FIELDS = (*WORDS, *THRESHOLDS, "preprocessing", "calibration")
EXPECTED = "a threshold of facelab verify FOLDER"


def keep_threshold(
    folder: Path, network: str | Path, settings: Mapping, report: Report, sure: Calibration
) -> None:
    """Write what was chosen for a network, and the preprocessing for which it was, as JSON."""
    kept = {"model": Path(network).name, "sha256": sha256_of(network)}
    kept |= {name: getattr(report, name) for name in ("rule", "threshold_from", *THRESHOLDS)}
    kept |= {"preprocessing": seen_in(settings), "calibration": sure.as_plain()}
    write_json(folder / FILE, kept)


def kept_threshold(folder: str | Path, network: str | Path) -> dict:
    """Read what `keep_threshold` wrote of this network; all else is a ValueError that names it."""
    path = Path(folder) / FILE
    expect_in(path, path.is_file(), EXPECTED, "no such file; its --out says where")
    kept = loaded(_read, path, EXPECTED, "verify the folder again")
    digest = sha256_of(network)
    got = f"one of {kept['model'][:100]}, {kept['sha256'][:64]}"
    of_it = f"a threshold of {Path(network).name}, SHA-256 {digest}"
    expect_in(path, kept["sha256"] == digest, of_it, got)
    return kept


def check_seen(folder: str | Path, kept: Mapping, settings: Mapping) -> None:
    """Refuse settings by which a network would see other images than when it was verified."""
    seen, chosen = seen_in(settings), kept["preprocessing"]
    differing = [name for name in SEEN if seen[name] != chosen[name]]
    words = [", ".join(f"{name} {of[name]}" for name in differing) for of in (chosen, seen)]
    expect_in(Path(folder) / FILE, not differing, *words)


def seen_in(settings: Mapping) -> dict[str, object]:
    """Return `SEEN` of a network's settings, as JSON has them."""
    return json.loads(strict_json({name: settings.get(name) for name in SEEN}))


def _read(path: Path) -> dict:
    kept = json.loads(path.read_bytes())
    expect(isinstance(kept, dict) and set(kept) == set(FIELDS), ", ".join(FIELDS), "others")
    for name in WORDS:
        of_kind(name, kept[name], str)
    for name in THRESHOLDS:
        real(name, kept[name])
    seen = check_settings(of_kind("preprocessing", kept["preprocessing"], dict))
    expect(set(seen) == set(SEEN), f"preprocessing: {', '.join(SEEN)}", "others")
    colours = None, "RGB", "BGR"
    expect(seen["colours"] in colours, "colours RGB or BGR", seen["colours"])
    for name in ("mean", "scale"):
        is_fit = numbers(name, seen[name] or 0).size in (1, 3)
        expect(is_fit, f"one or three numbers as {name}", seen[name])
    Calibration.of_plain(kept["calibration"])
    return kept
