"""Build one HTML file of a study's results, from what its runs have recorded."""

import base64
from collections.abc import Iterable, Mapping
from operator import itemgetter
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import PIL.Image

from facelab.checks import expect
from facelab.explorer.payload import page_of
from facelab.study.layout import notebooks_folder
from facelab.study.reading import NOTHING, opened, read_runs
from facelab.study.results import results_in, shown_in
from facelab.study.settings import heading
from facelab.study.tables import VIEW1, VIEW2, best_of_chapters
from facelab.study.writing import render, write_text


def spent(run: dict) -> tuple[float, str]:
    """Return the seconds that a run has taken in all, and what took them, in words.

    A run that went on from its checkpoints took less than the trainings that it records.
    """
    trained = sum(training["seconds"] for training in run["trainings"])
    return (trained, "of trainings") if trained > run["seconds"] else (run["seconds"], "")


def headlines(results: pd.DataFrame) -> list[dict]:
    """Return the headlines among rows of `load_results`: see `best_of_chapters`; View 2 first.

    A chapter that has done View 2 shows that: ``auc, accuracy`` are then means over folds, and
    ``_low, _high`` the ends of their 95 % intervals (Student's t).
    """
    strangers = results[results["seen"] == ""]
    of_folds = strangers[strangers["split"] == VIEW2]
    of_view1 = strangers[strangers["split"] == VIEW1]
    of_view1 = of_view1[~of_view1["chapter"].isin(of_folds["chapter"])]
    best = best_of_chapters(of_folds)
    for rate in ("auc", "accuracy"):
        averaged = best[f"{rate}_n"] > 1
        for end in ("", "_low", "_high"):
            mean = best[f"{rate}_mean{end}"]
            best[f"{rate}{end}"] = best[f"{rate}{end}"].mask(averaged, mean)
    return best.to_dict("records") + best_of_chapters(of_view1).to_dict("records")


def build_report(out: str | Path, expected: Iterable[str] = ()) -> Path:
    """Write ``report.html`` into `out`, a folder of runs: one file that needs nothing else.

    Notebooks in `expected` that were not run are listed as missing. Titles are the headings of the
    executed notebooks, or of `notebooks_folder` where there is none. Without any run it is a
    FileNotFoundError; with two of one notebook, as above two studies, a ValueError.
    """
    out = Path(out)
    records = read_runs(out)
    if not records:
        raise FileNotFoundError(f"expected a run.json in a folder below {out}, found none")
    runs = _all_runs(records, expected, out)
    shown = shown_in(records)
    explorer = page_of(shown) if shown else None
    best = headlines(results_in(records))
    titles = {run["notebook"]: run["title"] for run in runs}
    page = render("report.html", runs=runs, titles=titles, headlines=best, explorer=explorer)
    write_text(out / "report.html", page)
    return out / "report.html"


def check_places(names: Mapping[Path, str]) -> None:
    """Refuse two runs of one notebook, as above two studies; `names` are those of runs."""
    places = {}
    for folder, name in names.items():
        other = places.setdefault(name, folder)
        expected = "a study's own folder, one run a notebook"
        expect(other == folder, expected, f"{other} and {folder}")


def _all_runs(records: Mapping[Path, dict], expected: Iterable[str], out: Path) -> list[dict]:
    """Return what was run, was begun or is missing, in order, with figures and executed page."""
    check_places({folder: record["notebook"] for folder, record in records.items()})
    missing = set(expected) - {record["notebook"] for record in records.values()}
    runs = list(records.items())
    runs += [(out / name, NOTHING | {"notebook": name, "status": "missing"}) for name in missing]
    found = []
    for folder, record in runs:
        name = record["notebook"]
        pictures = []
        for figure in record["figures"]:
            picture = opened(_picture, folder / figure["file"], "a PNG or JPEG")
            pictures += [figure | picture] if picture else []
        page = folder / f"{name}.ipynb"
        is_there = page.is_file()
        link = quote(page.relative_to(out).as_posix()) if is_there else ""
        title = heading(page if is_there else notebooks_folder() / page.name)
        about = {"figures": pictures, "page": link, "title": title}
        found.append(record | about | {"spent": spent(record)})
    return sorted(found, key=itemgetter("notebook"))


def _picture(file: Path) -> dict[str, object]:
    """Return a figure's size and its bytes as they are, for a page."""
    with PIL.Image.open(file, formats=("PNG", "JPEG")) as image:
        width, height = image.size
        media = image.get_format_mimetype()
    data = base64.b64encode(file.read_bytes()).decode()
    return {"width": width, "height": height, "source": f"data:{media};base64,{data}"}
