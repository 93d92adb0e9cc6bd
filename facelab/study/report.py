"""Build one HTML file of a study's results, from what its runs have recorded."""

import base64
from collections.abc import Iterable
from pathlib import Path

import jinja2
import PIL.Image

from facelab.explorer.payload import front_end, inline, payload
from facelab.study.claims import claim_row, written
from facelab.study.files import write_text
from facelab.study.results import load_results, read_runs
from facelab.study.shown import load_shown
from facelab.study.tables import VIEW1, VIEW2, best_of_chapters, label

MEDIA = {".png": "image/png", ".jpg": "image/jpeg"}
NOTHING = {"data": {}, "profile": "", "claims": [], "trainings": [], "figures": []}
NOTHING |= {"seconds": 0, "test_looks": 0, "finished": ""}


def duration(seconds: float) -> str:
    """Write a time in words.

    Examples
    --------
    >>> duration(42.4), duration(200), duration(4000)
    ('42 s', '3 min 20 s', '1 h 6 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def spent(run: dict) -> tuple[float, str]:
    """Return the seconds that a run has taken in all, and what took them, in words.

    A run that went on from its checkpoints took less than the trainings that it records.
    """
    trained = sum(training["seconds"] for training in run["trainings"])
    return (trained, "of trainings") if trained > run["seconds"] else (run["seconds"], "")


def cards(out: str | Path) -> list[dict]:
    """Return the study's headlines, rows of `load_results`: see `best_of_chapters`; View 2 first.

    A chapter that has done View 2 shows that: ``auc, accuracy`` are then means over folds, and
    ``_low, _high`` the ends of their 95 % intervals (Student's t).
    """
    results = load_results(out)
    strangers = results[results["seen"] == ""]
    view2 = strangers[strangers["split"] == VIEW2]
    view1 = strangers[strangers["split"] == VIEW1]
    view1 = view1[~view1["chapter"].isin(view2["chapter"])]
    folds = best_of_chapters(view2).to_dict("records")
    for card in folds:
        for rate in ("auc", "accuracy"):
            if card[f"{rate}_n"] > 1:
                card[rate] = card[f"{rate}_mean"]
                card[f"{rate}_low"] = card[f"{rate}_mean_low"]
                card[f"{rate}_high"] = card[f"{rate}_mean_high"]
    return folds + best_of_chapters(view1).to_dict("records")


def build_report(out: str | Path, expected: Iterable[str] = ()) -> Path:
    """Write ``report.html`` into `out`, a folder of runs: one file that needs nothing else.

    Notebooks in `expected` that were not run are listed as missing. Without any run it is a
    FileNotFoundError.
    """
    out = Path(out)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    functions = {"label": label, "written": written, "duration": duration, "claim_row": claim_row}
    template = environment.get_template("report.html", globals=functions)
    runs = _all_runs(out, expected)
    path = out / "report.html"
    write_text(path, template.render(runs=runs, cards=cards(out), explorer=_explorer(out)))
    return path


def _all_runs(out: Path, expected: Iterable[str]) -> list[dict]:
    """Read what was run, was begun or is missing, in order, and the figures with it."""
    found = {}
    for folder, run in read_runs(out).items():
        found[run["notebook"]] = NOTHING | run
        for figure in run.get("figures", ()):
            figure |= _picture(folder / figure["file"])
    if not found:
        raise FileNotFoundError(f"expected a run.json in a folder below {out}, found none")
    for name in expected:
        found.setdefault(name, NOTHING | {"notebook": name, "status": "missing"})
    for run in found.values():
        run["spent"] = spent(run)
    return [found[name] for name in sorted(found)]


def _picture(file: Path) -> dict[str, object]:
    """Return a figure's size and its bytes as they are, for a page."""
    with PIL.Image.open(file) as image:
        width, height = image.size
    data = base64.b64encode(file.read_bytes()).decode()
    return {"width": width, "height": height, "source": f"data:{MEDIA[file.suffix]};base64,{data}"}


def _explorer(out: Path) -> dict[str, str] | None:
    shown = load_shown(out)
    if not shown:
        return None
    script, style = front_end()
    return {"data": inline(*payload(shown)), "script": script, "style": style}
