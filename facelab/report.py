"""Build one HTML file of a study's results, from what its runs have left."""

import base64
import io
import json
from collections.abc import Iterable
from pathlib import Path

import jinja2
import PIL.Image

from facelab import payload
from facelab.runs import claim_row, read_runs, write_text, written

ABBREVIATIONS = {"auc", "eer", "tar", "far", "frr", "f1", "cnn"}
HEADLINES = ("auc", "accuracy", "f1", "eer")  # first among the cards
WIDE = 800  # pixels from which a figure gets a row of its own: at half its size nobody reads it
MAX_CARDS = 4  # per notebook; its table has all numbers


def label(name: str) -> str:
    """Put the name of a number or of a notebook in words.

    Examples
    --------
    >>> label("test_auc"), label("01_siamese_baseline")
    ('Test AUC', '01 Siamese baseline')
    """
    words = [w.upper() if w in ABBREVIATIONS else w for w in name.split("_")]
    first = next((k for k, w in enumerate(words) if not w.isdigit()), 0)
    words[first] = words[first][:1].upper() + words[first][1:]
    return " ".join(words)


def headlines(metrics: dict[str, float | None]) -> list[dict]:
    """Return the first numbers that have an interval, test before others, headlines first."""

    def rank(name: str) -> tuple[bool, int]:
        headline = [k for k, h in enumerate(HEADLINES) if name.endswith(h)]
        return not name.startswith("test"), min(headline, default=len(HEADLINES))

    names = sorted((k for k in metrics if {f"{k}_low", f"{k}_high"} <= metrics.keys()), key=rank)
    return [
        {"label": label(k), "value": metrics[k]}
        | {"low": metrics[f"{k}_low"], "high": metrics[f"{k}_high"]}
        for k in names[:MAX_CARDS]
    ]


def duration(seconds: float) -> str:
    """Write a time in words.

    Examples
    --------
    >>> duration(42.4), duration(200), duration(4000)
    ('42 s', '3 min 20 s', '1 h 6 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


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
    found = {run["notebook"]: run for run in read_runs(out)}
    for path in sorted(out.glob("*/started.json")):
        found.setdefault(path.parent.name, json.loads(path.read_text(encoding="utf-8")))
    if not found:
        raise FileNotFoundError(f"expected a run.json in a folder below {out}, found none")
    for name in expected:
        found.setdefault(name, {"notebook": name, "status": "missing"})
    chapters = [found[name] for name in sorted(found)]
    for run in chapters:
        for figure in run.get("figures", ()):
            image = (out / run["notebook"] / figure["file"]).read_bytes()
            width, height = PIL.Image.open(io.BytesIO(image)).size
            figure |= {"width": width, "height": height, "wide": width > WIDE}
            figure["type"] = figure["file"].rpartition(".")[2].replace("jpg", "jpeg")
            figure["data"] = base64.b64encode(image).decode()
    done = [run for run in chapters if run["status"] == "done"]
    data = [run["data"] for run in chapters if run.get("data")]
    sources = sorted({", ".join(filter(None, (d["source"], d["protocol"]))) for d in data})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["headlines"] = headlines
    reports, films, about = payload.saved(out)
    script, style = payload.front_end()
    data = payload.inline(*payload.payload(reports, films, about)) if reports else ""
    html = environment.get_template("report.html").render(
        explorer=data and {"data": data, "script": script, "style": style},
        chapters=chapters,
        profiles=sorted({run["profile"] for run in chapters if run.get("profile")}),
        sources=sources,
        synthetic=[source for source in sources if "synthetic" in source],
        n_done=len(done),
        claims=[claim for run in done for claim in run["claims"]],
        looks=sum(run.get("test_looks", 0) for run in chapters),
        seconds=sum(run.get("seconds", 0) for run in chapters),
        finished=max((run["finished"] for run in done), default=""),
        label=label,
        written=written,
        duration=duration,
        claim_row=claim_row,
    )
    path = out / "report.html"
    write_text(path, html)
    return path
