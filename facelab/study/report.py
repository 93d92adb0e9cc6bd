"""Build one HTML file of a study's results, from what its runs have recorded."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path

import jinja2
import PIL.Image
from scipy import stats

from facelab.explorer.payload import front_end, inline, payload
from facelab.study.claims import claim_row, written
from facelab.study.files import write_text
from facelab.study.results import read_runs
from facelab.study.shown import load_shown
from facelab.study.tables import VIEW1, VIEW2, best_of_chapters, label, of_strangers

MEDIA = {".png": "image/png", ".jpg": "image/jpeg"}
WIDE = 800  # pixels from which a figure gets a row of its own: at half its size nobody reads it


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
    trained = sum(training["seconds"] for training in run.get("trainings", ()))
    seconds = run.get("seconds", 0)
    return (trained, "of trainings") if trained > seconds else (seconds, "")


def cards(out: str | Path) -> list[dict]:
    """Choose the study's headlines: of each chapter its best result on test pairs.

    See `best_of_chapters`. A chapter that has done View 2 shows that, before the others.

    Returns
    -------
    list of dict
        Rows of `load_results`; of View 2 ``auc, accuracy`` are means over the folds, and
        ``_low, _high`` the ends of their 95 % intervals (Student's t).
    """
    view2 = of_strangers(out, VIEW2)
    view1 = of_strangers(out, VIEW1)
    if len(view1) and len(view2):
        view1 = view1[~view1["chapter"].isin(view2["chapter"])]
    chosen = []
    for results in (view2, view1):
        if len(results):
            chosen += best_of_chapters(results).to_dict("records")
    for card in chosen:
        if card["split"] == VIEW2:
            _average_folds(card)
    return chosen


def _average_folds(card: dict) -> None:
    """Put the mean over folds in the place of rates of all pairs together."""
    for rate in ("auc", "accuracy"):
        n = card[f"{rate}_n"]
        if n > 1:
            mean, error = card[f"{rate}_mean"], card[f"{rate}_error"]
            card[rate] = mean
            card[f"{rate}_low"], card[f"{rate}_high"] = stats.t.interval(0.95, n - 1, mean, error)


def build_report(out: str | Path, expected: Iterable[str] = ()) -> Path:
    """Write ``report.html`` into `out`: one file that needs nothing else, not even a network.

    Parameters
    ----------
    out : path
        The folder that holds a folder for every notebook.
    expected : iterable of str
        Notebooks of the study; those that were not run are listed as missing.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    FileNotFoundError
        If there is nothing to report.
    """
    out = Path(out)
    runs = _all_runs(out, expected)
    done = [run for run in runs if run["status"] == "done"]
    sources = {"real": [], "drawn": []}
    for data in [run["data"] for run in runs if run.get("data")]:
        kind = sources["drawn" if data["synthetic"] else "real"]
        source = f"{data['source']}, {data['protocol']}".removesuffix(", ")
        if source not in kind:
            kind.append(source)
    times = {run["notebook"]: spent(run) for run in runs}
    html = (
        _environment()
        .get_template("report.html")
        .render(
            explorer=_explorer(out),
            runs=runs,
            cards=cards(out),
            profiles=sorted({run["profile"] for run in runs if run.get("profile")}),
            sources=sources,
            n_done=len(done),
            claims=[claim for run in done for claim in run["claims"]],
            looks=sum(run.get("test_looks", 0) for run in runs),
            times=times,
            seconds=sum(seconds for seconds, _ in times.values()),
            trained=any(of for _, of in times.values()),
            finished=max((run["finished"] for run in done), default=""),
        )
    )
    path = out / "report.html"
    write_text(path, html)
    return path


def _all_runs(out: Path, expected: Iterable[str]) -> list[dict]:
    """Read what was run, was begun or is missing, in order, and the figures with it."""
    found = {}
    for folder, run in read_runs(out).items():
        found[run["notebook"]] = run
        for figure in run.get("figures", ()):
            figure |= _picture(folder / figure["file"])
    for path in sorted(out.glob("*/started.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(run["notebook"], run)
    if not found:
        raise FileNotFoundError(f"expected a run.json in a folder below {out}, found none")
    for name in expected:
        found.setdefault(name, {"notebook": name, "status": "missing"})
    return [found[name] for name in sorted(found)]


def _picture(file: Path) -> dict[str, object]:
    """Return a figure's size and its bytes as they are, for a page."""
    with PIL.Image.open(file) as image:
        width, height = image.size
    data = base64.b64encode(file.read_bytes()).decode()
    source = f"data:{MEDIA[file.suffix]};base64,{data}"
    return {"width": width, "height": height, "wide": width > WIDE, "source": source}


def _explorer(out: Path) -> dict[str, str] | None:
    shown = load_shown(out)
    if not shown:
        return None
    script, style = front_end()
    return {"data": inline(*payload(shown)), "script": script, "style": style}


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    for function in (label, written, duration, claim_row):
        environment.globals[function.__name__] = function
    return environment
