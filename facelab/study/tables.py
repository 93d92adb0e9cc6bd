"""What the runs of a study came to: the best of each chapter, and the tables of the README."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from facelab.study.claims import written
from facelab.study.files import write_text
from facelab.study.results import comparable, load_results, read_runs

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
VIEW1 = "View 1 test"
VIEW2 = "View 2 test"  # all folds together; means over seeds are those over folds
MOST_ROWS = 10  # of the first table; the rest is folded
RULES = {
    "accuracy and f1": "accuracy and F1, each at the dev threshold best for it",
    "f1": "older runs: everything at the dev threshold of best F1, "
    "until their chapter is run again",
    "given": "everything at a threshold that was given",
}
RATES = {  # as columns: title and form
    "auc": ("AUC", ".3f"),
    "accuracy": ("accuracy", ".1%"),
    "f1": ("F1", ".3f"),
    "eer": ("EER", ".1%"),
    "tar_at_far_1%": ("TAR at FAR 1 %", ".1%"),
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


def best_of_chapters(results: pd.DataFrame) -> pd.DataFrame:
    """Keep one row of each chapter: the best by dev AUC; without any, the best by AUC."""
    ordered = results.sort_values(["dev_auc", "auc"], ascending=False, kind="stable")
    return ordered.drop_duplicates("chapter").sort_values("chapter")


def results_tables(folders: Iterable[str | Path], root: str | Path) -> str:
    """Write the results of real runs as Markdown tables: View 1, then View 2, folder by folder.

    Links start from the folder `root`. A run of synthetic faces is a ValueError.
    """
    parts = []
    chapters = sorted((Path(root) / "notebooks").glob("[0-9]*.ipynb"))
    for folder in map(Path, folders):
        links = _links(folder, root)
        results = load_results(folder)
        results["link"] = results["chapter"].map(links)
        for split, tables in {VIEW1: _view1, VIEW2: _view2}.items():
            alike = comparable(results[results["split"] == split])
            alike = alike.sort_values("auc", ascending=False, kind="stable")
            for rule, words in RULES.items():
                ranked = alike[alike["rule"] == rule]
                parts += tables(ranked, words) if len(ranked) else []
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


def _view1(results: pd.DataFrame, rule: str) -> list[str]:
    best = best_of_chapters(results).sort_values("auc", ascending=False).index[:MOST_ROWS]
    rest = results.drop(best)
    parts = [
        f"**View 1**, {_about(results)}; {rule}. In brackets 95 % intervals, people resampled. "
        "Over seeds: mean ± standard error (number of trainings).",
        _markdown(results.loc[best], _view1_row),
    ]
    if len(rest):
        parts.append(f"<details>\n<summary>All others: {len(rest)}</summary>")
        parts += [_markdown(rest, _view1_row), "</details>"]
    return parts


def _view2(results: pd.DataFrame, rule: str) -> list[str]:
    return [
        f"**View 2**, {_about(results)}; {rule}. Mean over {results['auc_n'].max():.0f} folds ± "
        "standard error, std(ddof=1)/√n; one training and one choice of thresholds for each fold.",
        _markdown(results, _view2_row),
    ]


def _about(results: pd.DataFrame) -> str:
    first = results.iloc[0]
    n_pairs = len(first["report"])
    return f"{first['source']}, profile `{first['profile']}`, {n_pairs:,} pairs of strangers"


def _markdown(results: pd.DataFrame, row_of: Callable[[dict], dict[str, str]]) -> str:
    lines = []
    for result in results.to_dict("records"):
        row = {"method": result["method"].replace("|", r"\|"), "chapter": result["link"]}
        row |= row_of(result) | {"category": result["category"]}
        lines.append(f"| {' | '.join(row.values())} |")
    head = f"| {' | '.join(row)} |"
    return "\n".join([head, re.sub(r"[^|]+", " --- ", head), *lines])


def _view1_row(result: dict) -> dict[str, str]:
    row = {}
    for rate, (title, form) in RATES.items():
        value, low, high = (written(result[f"{rate}{end}"], form) for end in ("", "_low", "_high"))
        row[title] = f"{value} ({low}–{high})" if rate in ("auc", "accuracy") else value
        if rate == "auc":
            n = result["auc_n"]
            row["AUC over seeds"] = _mean(result, rate) + (f" ({n:.0f})" if n > 1 else "")
    return row


def _view2_row(result: dict) -> dict[str, str]:
    return {title: _mean(result, rate) for rate, (title, _) in RATES.items()}


def _mean(result: dict, rate: str) -> str:
    """Write a mean over several seeds or folds; a dash if none was recorded."""
    form = RATES[rate][1]
    mean, error = (written(result[f"{rate}{end}"], form) for end in ("_mean", "_error"))
    return f"{mean} ± {error}" if result[f"{rate}_n"] > 1 else "–"


def write_results(readme: str | Path, folders: Iterable[str | Path]) -> None:
    """Put the tables of `results_tables` between the two marks of a README, once each in it."""
    readme = Path(readme)
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise ValueError(f"expected {BEGIN} and, below it, {END} once each in {readme}")
    tables = results_tables([Path(folder).resolve() for folder in folders], readme.resolve().parent)
    write_text(readme, f"{before}{BEGIN}\n{tables}\n{END}{after}")
