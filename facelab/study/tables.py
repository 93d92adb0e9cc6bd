"""What the runs of a study came to: the best of each chapter, and the tables of the README."""

import re
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
RULES = {
    "accuracy and f1": "accuracy and F1, each at the dev threshold best for it",
    "f1": "older runs: everything at the dev threshold of best F1, until their chapter is "
    "run again",
    "given": "everything at a threshold that was given",
}
RATES = "accuracy | F1 | EER | TAR at FAR 1 % | category |"
HEADS = {
    VIEW1: f"| method | chapter | AUC | AUC over seeds | {RATES}",
    VIEW2: f"| method | chapter | AUC | {RATES}",
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

    Parameters
    ----------
    folders : iterable of path
        Each holds a folder for every notebook. Synthetic faces in one are a ValueError.
    root : path
        The folder of the page, from which links start.
    """
    parts = []
    chapters = sorted((Path(root) / "notebooks").glob("[0-9]*.ipynb"))
    for folder in map(Path, folders):
        links = _links(folder, root)
        results = load_results(folder)
        for split, tables in {VIEW1: _view1, VIEW2: _view2}.items():
            alike = comparable(results[results["split"] == split])
            alike = alike.sort_values("auc", ascending=False, kind="stable")
            for rule, words in RULES.items():
                ranked = alike[alike["rule"] == rule]
                parts += tables(ranked, words, links) if len(ranked) else []
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


def _view1(results: pd.DataFrame, rule: str, links: Mapping[str, str]) -> list[str]:
    best = best_of_chapters(results).sort_values("auc", ascending=False).index[:MOST_ROWS]
    lines = results.apply(_view1_line, axis=1, links=links)
    rest = lines.drop(best)
    parts = [
        f"**View 1**, {_about(results)}; {rule}. In brackets 95 % intervals, people resampled. "
        "Over seeds: mean ± standard error (number of trainings).",
        _markdown(VIEW1, lines[best]),
    ]
    if len(rest):
        parts.append(f"<details>\n<summary>All others: {len(rest)}</summary>")
        parts += [_markdown(VIEW1, rest), "</details>"]
    return parts


def _view2(results: pd.DataFrame, rule: str, links: Mapping[str, str]) -> list[str]:
    lines = results.apply(_view2_line, axis=1, links=links)
    return [
        f"**View 2**, {_about(results)}; {rule}. Mean over {results['auc_n'].max():.0f} folds ± "
        "standard error, std(ddof=1)/√n; one training and one choice of thresholds for each fold.",
        _markdown(VIEW2, lines),
    ]


def _about(results: pd.DataFrame) -> str:
    first = results.iloc[0]
    n_pairs = len(first["report"])
    return f"{first['source']}, profile `{first['profile']}`, {n_pairs:,} pairs of strangers"


def _markdown(split: str, lines: Iterable[str]) -> str:
    head = HEADS[split]
    return "\n".join([head, re.sub(r"[^|]+", " --- ", head), *lines])


def _view1_line(r: pd.Series, links: Mapping[str, str]) -> str:
    seeds = f" ({r['auc_n']:.0f})" if r["auc_n"] > 1 else ""
    return (
        f"| {_name(r)} | {links[r['chapter']]} | {_value(r, 'auc', '.3f')} "
        f"| {_mean(r, 'auc', '.3f')}{seeds} | {_value(r, 'accuracy', '.1%')} | {written(r['f1'])} "
        f"| {written(r['eer'], '.1%')} | {written(r['tar_at_far_1%'], '.1%')} | {r['category']} |"
    )


def _view2_line(r: pd.Series, links: Mapping[str, str]) -> str:
    return (
        f"| {_name(r)} | {links[r['chapter']]} | {_mean(r, 'auc', '.3f')} "
        f"| {_mean(r, 'accuracy', '.1%')} | {_mean(r, 'f1', '.3f')} | {_mean(r, 'eer', '.1%')} "
        f"| {_mean(r, 'tar_at_far_1%', '.1%')} | {r['category']} |"
    )


def _name(r: pd.Series) -> str:
    return r["method"].replace("|", r"\|")


def _value(r: pd.Series, rate: str, form: str) -> str:
    value, low, high = (written(r[f"{rate}{end}"], form) for end in ("", "_low", "_high"))
    return f"{value} ({low}–{high})"


def _mean(r: pd.Series, rate: str, form: str) -> str:
    """Write a mean over several seeds or folds; a dash if none was recorded."""
    if not r[f"{rate}_n"] > 1:
        return "–"
    return f"{written(r[f'{rate}_mean'], form)} ± {written(r[f'{rate}_error'], form)}"


def write_results(readme: str | Path, folders: Iterable[str | Path]) -> None:
    """Put the tables of `results_tables` between the two marks of a README, once each in it."""
    readme = Path(readme)
    text = readme.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise ValueError(f"expected {BEGIN} and, below it, {END} once each in {readme}")
    folders = [Path(folder).resolve() for folder in folders]
    tables = results_tables(folders, readme.resolve().parent)
    write_text(readme, f"{before}{BEGIN}\n{tables}\n{END}{after}")
