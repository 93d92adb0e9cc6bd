"""Build one HTML file of a study's results, from what its runs have left."""

import base64
import io
import json
from collections.abc import Iterable
from pathlib import Path

import jinja2
import PIL.Image

from facelab.explorer import payload
from facelab.study.record import claim_row, read_runs, write_text, written
from facelab.study.results import comparable, load_results

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
    found = {run["notebook"]: run for run in read_runs(out).values()}
    for path in sorted(out.glob("*/started.json")):
        found.setdefault(path.parent.name, json.loads(path.read_text(encoding="utf-8")))
    if not found:
        raise FileNotFoundError(f"expected a run.json in a folder below {out}, found none")
    for name in expected:
        found.setdefault(name, {"notebook": name, "status": "missing"})
    chapters = [found[name] for name in sorted(found)]
    for run in chapters:
        for figure in run.get("figures", ()):
            figure |= _drawn(out / run["notebook"] / figure["file"])
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


def _drawn(file: Path) -> dict[str, object]:
    """Return a figure's size and pixels; as WebP they take half of what PNG and JPEG would."""
    image, pixels = PIL.Image.open(file).convert("RGB"), io.BytesIO()
    lines = file.suffix == ".png"  # these have few colours and must stay sharp
    image = image.quantize(32, dither=PIL.Image.Dither.NONE).convert("RGB") if lines else image
    image.save(pixels, "webp", lossless=lines, quality=60)
    size = {"width": image.width, "height": image.height, "wide": image.width > WIDE}
    return size | {"data": base64.b64encode(pixels.getvalue()).decode()}


BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def results_tables(folders: Iterable[str | Path], root: str | Path) -> str:
    """Write the results of real runs as Markdown tables: View 1, then View 2, folder by folder.

    Parameters
    ----------
    folders : iterable of path
        Each holds a folder for every notebook.
    root : path
        The folder of the page, from which links start.

    Raises
    ------
    ValueError
        If a run is of synthetic faces.
    """
    parts = []
    for folder in map(Path, folders):
        found = read_runs(folder).values()
        runs = {run["notebook"]: run for run in found if run["status"] == "done"}
        drawn = [
            n for n, run in runs.items() if "synthetic" in run.get("data", {}).get("source", "")
        ]
        if drawn:
            raise ValueError(f"expected runs of real faces, got synthetic ones: {', '.join(drawn)}")
        link = {
            name: f"[{name[:2]}]({(folder / name / name).relative_to(root).as_posix()}.ipynb)"
            for name in runs
        }
        parts += [_view1_table(folder, link), _view2_table(runs, link)]
        expected = [path.stem for path in sorted((Path(root) / "notebooks").glob("[0-9]*.ipynb"))]
        missing = [label(name) for name in expected if name not in runs]
        if missing:
            parts.append(f"Not run yet in `{folder.relative_to(root)}`: {', '.join(missing)}.")
    return "\n\n".join(filter(None, parts))


def _markdown(rows: list[dict]) -> str:
    lines = [rows[0].keys(), ["---"] * len(rows[0]), *(row.values() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _view1_table(folder: Path, link: dict) -> str:
    results = load_results(folder)
    results = comparable(results[results.pairs == "View 1 test"])
    if results.empty:
        return ""
    results = results.sort_values("accuracy", ascending=False, kind="stable")
    forms = {"accuracy": ("accuracy", ".1%"), "auc": ("AUC", ".3f"), "eer": ("EER", ".1%")}
    forms["tar_at_far_1%"] = ("TAR at FAR 1 %", ".1%")
    rows = []
    for result in results.to_dict("records"):
        row = {"method": result["title"], "chapter": link[result["chapter"]]}
        for rate, (name, form) in forms.items():
            value, low, high = (written(result[f"{rate}{e}"], form) for e in ("", "_low", "_high"))
            row[name] = f"{value} ({low}–{high})"
            if rate == "auc" and results[f"{rate}_se"].notna().any():
                mean, error = (written(result[f"{rate}{e}"], form) for e in ("_mean", "_se"))
                row["AUC over seeds"] = "–" if mean == "–" else f"{mean} ± {error}"
        rows.append(row | {"outside data": result["outside_data"] or "no"})
    source, profile = results["source"].iloc[0], results["profile"].iloc[0]
    head = (
        f"**View 1**, {source}, profile `{profile}`: {len(results.report.iloc[0]):,} pairs of "
        "strangers, threshold of best F1 on held-out dev people. In brackets 95 % intervals, "
        "people resampled."
    )
    if "AUC over seeds" in rows[0]:
        head += " Over seeds: mean ± standard error of several trainings; else the first seed."
    return f"{head}\n\n{_markdown(rows)}"


def _view2_table(runs: dict, link: dict) -> str:
    rows, about = [], None
    classical = {"pixels": "raw pixels", "patterns": "LBP + PCA + LDA"}
    for name, run in runs.items():
        titles = {t["prefix"]: t["title"].rpartition(", fold")[0] for t in run.get("trainings", ())}
        titles |= classical
        for key in (k for k in run["metrics"] if k.endswith("view2_accuracy")):
            prefix, about = key.removesuffix("view2_accuracy").rstrip("_"), run
            row = {"method": titles.get(prefix) or label(prefix), "chapter": link[name]}
            for rate, form in (("accuracy", ".1%"), ("auc", ".3f"), ("eer", ".1%")):
                stem = key.replace("accuracy", rate)
                value, error = (run["metrics"].get(f"{stem}{end}") for end in ("", "_se"))
                column = rate if rate == "accuracy" else rate.upper()
                row[column] = f"{written(value, form)} ± {written(error, form)}"
            rows.append(row)
    if not rows:
        return ""
    head = (
        f"**View 2**, {about['data']['source']}, profile `{about['profile']}`: mean over ten "
        "folds ± standard error, std(ddof=1)/√10; one training and one threshold for each fold."
    )
    return f"{head}\n\n{_markdown(rows)}"


def write_results(readme: str | Path, folders: Iterable[str | Path]) -> None:
    """Put the tables of `results_tables` between the two marks of a README.

    Raises
    ------
    ValueError
        If the marks are not there, once each and in order.
    """
    readme = Path(readme)
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise ValueError(f"expected {BEGIN} and, below it, {END} once each in {readme}")
    folders = [Path(folder).resolve() for folder in folders]
    tables = results_tables(folders, readme.resolve().parent)
    write_text(readme, f"{before}{BEGIN}\n{tables}\n{END}{after}")
