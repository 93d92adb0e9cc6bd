"""What the runs of a study came to: the best of each chapter, and the tables of the README."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from facelab.study.claims import written
from facelab.study.files import write_text
from facelab.study.results import comparable, load_results, read_runs

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
VIEW1 = "View 1 test"
VIEW2 = "View 2 test"  # all folds together; means over seeds are those over folds
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


def of_strangers(folder: str | Path, split: str) -> pd.DataFrame:
    """Return the rows of `load_results` that are of these pairs, and of nobody trained on."""
    results = load_results(folder)
    if results.empty:
        return results
    return results[(results["split"] == split) & (results["seen"] == "")]


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
        links = _links(folder, root)
        for rule, results in _by_rule(of_strangers(folder, VIEW1)):
            parts += _view1_tables(results, rule, links)
        for rule, results in _by_rule(of_strangers(folder, VIEW2)):
            parts += _view2_table(results, rule, links)
        missing = [label(path.stem) for path in chapters if path.stem not in links]
        if missing:
            place = folder.relative_to(root).as_posix()
            parts.append(f"Not run yet in `{place}`: {', '.join(missing)}.")
    return "\n\n".join(parts)


def _links(folder: Path, root: str | Path) -> dict[str, str]:
    """Return a link to the executed notebook of each finished run."""
    links = {}
    for place, record in read_runs(folder).items():
        name = record["notebook"]
        if record["data"].get("synthetic"):
            raise ValueError(f"expected runs of real faces, got synthetic ones: {name}")
        if record["status"] == "done":
            page = (place / f"{name}.ipynb").relative_to(root).as_posix()
            links[name] = f"[{name.partition('_')[0]}]({page})"
    return links


def _by_rule(results: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Part results by the rule of their thresholds, which is put in words; best AUC first."""
    if results.empty:
        return []
    results = comparable(results).sort_values("auc", ascending=False, kind="stable")
    parts = [(words, results[results["rule"] == rule]) for rule, words in RULES.items()]
    return [(words, part) for words, part in parts if len(part)]


def _view1_tables(results: pd.DataFrame, rule: str, links: Mapping[str, str]) -> list[str]:
    head = (
        f"**View 1**, {_about(results)}; {rule}. In brackets 95 % intervals, people resampled. "
        "Over seeds: mean ± standard error (number of trainings)."
    )
    best = best_of_chapters(results).sort_values("auc", ascending=False).index[:MOST_ROWS]
    rest = results.drop(best)
    parts = [head, _markdown(results.loc[best], _view1_row, links)]
    if len(rest):
        parts.append(f"<details>\n<summary>All others: {len(rest)}</summary>")
        parts += [_markdown(rest, _view1_row, links), "</details>"]
    return parts


def _view2_table(results: pd.DataFrame, rule: str, links: Mapping[str, str]) -> list[str]:
    head = (
        f"**View 2**, {_about(results)}; {rule}. Mean over {results['auc_n'].max():.0f} folds ± "
        "standard error, std(ddof=1)/√n; one training and one choice of thresholds for each fold."
    )
    return [head, _markdown(results, _view2_row, links)]


def _about(results: pd.DataFrame) -> str:
    first = results.iloc[0]
    n_pairs = f"{len(first['report']):,} pairs of strangers"
    return f"{first['source']}, profile `{first['profile']}`, {n_pairs}"


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
            row["AUC over seeds"] = _mean(result, rate)
            if result["auc_n"] > 1:
                row["AUC over seeds"] += f" ({result['auc_n']:.0f})"
    return row


def _view2_row(result: dict) -> dict[str, str]:
    return {title: _mean(result, rate) for rate, (title, _) in RATES.items()}


def _mean(result: dict, rate: str) -> str:
    """Write a mean over several seeds or folds."""
    if not result[f"{rate}_n"] > 1:  # nan: none was recorded
        return "–"
    form = RATES[rate][1]
    return f"{written(result[f'{rate}_mean'], form)} ± {written(result[f'{rate}_error'], form)}"


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
