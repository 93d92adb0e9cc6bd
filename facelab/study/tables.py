"""What the runs of a study came to: the best of each chapter, and the tables of the README."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from facelab.study.claims import written
from facelab.study.files import write_text
from facelab.study.results import comparable, load_results, read_runs

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
VIEW1 = "View 1 test"
VIEW2 = "View 2"  # of means over the folds; the folds' own pairs are "View 2, fold 3 test"
MOST_ROWS = 10  # of the first table; the rest is folded
RATES = {  # as columns: title and form
    "auc": ("AUC", ".3f"),
    "accuracy": ("accuracy", ".1%"),
    "f1": ("F1", ".3f"),
    "eer": ("EER", ".1%"),
    "tar_at_far_1%": ("TAR at FAR 1 %", ".1%"),
}
RULES = {
    "accuracy and f1": "accuracy and F1, each at the dev threshold best for it",
    "f1": "older runs: everything at the dev threshold of best F1, until their chapter is "
    "run again",
    "given": "everything at a threshold that was given",
}


def label(name: str) -> str:
    """Put the name of a notebook in words.

    Examples
    --------
    >>> label("01_siamese_baseline")
    '01 Siamese baseline'
    """
    number, _, rest = name.partition("_")
    return f"{number} {rest.replace('_', ' ').capitalize()}".strip()


def view1_results(folder: str | Path) -> pd.DataFrame:
    """Return the rows of `load_results` that are of View 1's test pairs, of strangers alone."""
    results = load_results(folder)
    if results.empty:
        return results
    return results[(results["split"] == VIEW1) & (results["seen"] == "")]


def view2_results(folder: str | Path) -> pd.DataFrame:
    """Return means over the folds of View 2, a row for each method.

    They are the rows of the records whose split is ``"View 2"``, with ``error`` and ``n`` (folds).

    Returns
    -------
    DataFrame
        ``method, chapter, rule, category, source, profile``; ``dev_auc``, the mean over the folds;
        ``auc, accuracy, f1, eer, tar_at_far_1%`` as far as recorded, each with ``_low, _high``
        (95 %, Student's t) and ``_error``; ``n``.
    """
    rows = []
    for record in read_runs(folder).values():
        if record["status"] == "done":
            rows += _view2_rows(record)
    return pd.DataFrame(rows)


def _view2_rows(record: dict) -> Iterable[dict]:
    reports = {entry["method"]: entry for entry in record["reports"]}
    dev_aucs: dict[str, list[float]] = {}
    rows: dict[str, dict] = {}
    for number in record["results"]:
        method, metric = number["method"], number["metric"]
        if number["role"] == "dev" and metric in ("auc", "watched_auc"):
            dev_aucs.setdefault(method, []).append(number["value"])
        if number["split"] != VIEW2 or metric not in RATES:
            continue
        row = rows.setdefault(method, {"method": method, "chapter": record["notebook"]})
        row["n"] = number["n"]
        row[metric] = number["value"]
        for end in ("low", "high", "error"):
            row[f"{metric}_{end}"] = number[end]
    for method, row in rows.items():
        row["rule"] = reports[method]["rule"]
        row["category"] = reports[method]["category"]
        row["source"] = record["data"]["source"]
        row["profile"] = record["profile"]
        row["dev_auc"] = pd.Series(dev_aucs.get(method, []), dtype=float).mean()
    return rows.values()


def best_of_chapters(results: pd.DataFrame) -> pd.DataFrame:
    """Keep one row of each chapter: the best by dev AUC; without any, the best by AUC."""
    ordered = results.sort_values(["dev_auc", "auc"], ascending=False, kind="stable")
    return ordered.drop_duplicates("chapter").sort_values("chapter")


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
    chapters = sorted((Path(root) / "notebooks").glob("[0-9]*.ipynb"))
    for folder in map(Path, folders):
        links = {}
        for place, record in read_runs(folder).items():
            name = record["notebook"]
            if record["status"] != "done":
                continue
            if record["data"].get("synthetic"):
                raise ValueError(f"expected runs of real faces, got synthetic ones: {name}")
            page = (place / f"{name}.ipynb").relative_to(root).as_posix()
            links[name] = f"[{name.partition('_')[0]}]({page})"
        parts += _view1_tables(view1_results(folder), links)
        parts += _view2_tables(view2_results(folder), links)
        missing = [label(path.stem) for path in chapters if path.stem not in links]
        if missing:
            place = folder.relative_to(root).as_posix()
            parts.append(f"Not run yet in `{place}`: {', '.join(missing)}.")
    return "\n\n".join(parts)


def _view1_tables(results: pd.DataFrame, links: Mapping[str, str]) -> list[str]:
    if results.empty:
        return []
    parts = []
    strangers = comparable(results).sort_values("auc", ascending=False, kind="stable")
    for rule, shown in _by_rule(strangers):
        n_pairs = f"{len(shown['report'].iloc[0]):,}"
        parts.append(
            f"**View 1**, {_about(shown)}, {n_pairs} pairs of strangers; {rule}. In brackets 95 % "
            "intervals, people resampled. Over seeds: mean ± standard error (number of trainings)."
        )
        best = best_of_chapters(shown).sort_values("auc", ascending=False).index
        best = shown.index.isin(best[:MOST_ROWS])
        parts.append(_markdown(shown[best], _view1_row, links))
        rest = shown[~best]
        if len(rest):
            parts.append(f"<details>\n<summary>All others: {len(rest)}</summary>")
            parts += [_markdown(rest, _view1_row, links), "</details>"]
    return parts


def _view2_tables(results: pd.DataFrame, links: Mapping[str, str]) -> list[str]:
    parts = []
    for rule, of_rule in _by_rule(results):
        shown = of_rule.sort_values("auc", ascending=False, kind="stable")
        parts.append(
            f"**View 2**, {_about(shown)}; {rule}. Mean over {shown['n'].iloc[0]:.0f} folds ± "
            "standard error, std(ddof=1)/√n; one training and one choice of thresholds a fold."
        )
        parts.append(_markdown(shown, _view2_row, links))
    return parts


def _by_rule(results: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Part results by the rule of their thresholds, which is put in words."""
    if results.empty:
        return []
    parts = [(words, results[results["rule"] == rule]) for rule, words in RULES.items()]
    return [(words, part) for words, part in parts if len(part)]


def _about(results: pd.DataFrame) -> str:
    return f"{results['source'].iloc[0]}, profile `{results['profile'].iloc[0]}`"


def _markdown(results: pd.DataFrame, row_of, links: Mapping[str, str]) -> str:
    rows = []
    for result in results.to_dict("records"):
        method = result["method"].replace("|", r"\|")
        row = {"method": method, "chapter": links[result["chapter"]]}
        rows.append(row | row_of(result) | {"category": result["category"]})
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [list(row.values()) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _view1_row(result: dict) -> dict[str, str]:
    row = {}
    for rate, (title, form) in RATES.items():
        row[title] = written(result[rate], form)
        if rate in ("auc", "accuracy"):
            low = written(result[f"{rate}_low"], form)
            high = written(result[f"{rate}_high"], form)
            row[title] += f" ({low}–{high})"
        if rate == "auc":
            row["AUC over seeds"] = _mean(result, "auc_mean", form)
            if row["AUC over seeds"] != "–":
                row["AUC over seeds"] += f" ({result['auc_n']:.0f})"
    return row


def _view2_row(result: dict) -> dict[str, str]:
    return {title: _mean(result, rate, form) for rate, (title, form) in RATES.items()}


def _mean(result: dict, name: str, form: str) -> str:
    mean = written(result.get(name), form)
    error = written(result.get(f"{name.removesuffix('_mean')}_error"), form)
    return mean if mean == "–" else f"{mean} ± {error}"


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
