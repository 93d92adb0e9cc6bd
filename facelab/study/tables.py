"""What the runs of a study came to: the best of each chapter, and the tables of the README."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from facelab.checks import expect
from facelab.files import loaded
from facelab.study.reading import read_runs
from facelab.study.record import CATEGORIES
from facelab.study.results import comparable, results_in
from facelab.study.writing import numbered, relative, render, write_text

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
VIEW1 = "View 1 test"
VIEW2 = "View 2 test"  # all folds together; means over seeds are those over folds
MOST_ROWS = 8  # of the first table; below it all are folded


def best_of_chapters(results: pd.DataFrame) -> pd.DataFrame:
    """Keep the best of each chapter and category by dev AUC; without any, the best by AUC."""
    ordered = results.sort_values(["dev_auc", "auc"], ascending=False, kind="stable")
    return ordered.drop_duplicates(["chapter", "category"]).sort_values("chapter", kind="stable")


def results_tables(folders: Iterable[str | Path], root: str | Path) -> str:
    """Write the results of real runs as Markdown tables: View 1, then View 2, folder by folder.

    They are folded; above them stand the best of View 1's chapters in the first folder, in short.
    Links start from the folder `root`. A run of synthetic faces is a ValueError.
    """
    tables = [table for folder in folders for table in _tables(Path(folder), Path(root))]
    best = []
    if tables and tables[0]["split"] == VIEW1:
        ranked = tables[0]["ranked"]
        best = _by_category(best_of_chapters(ranked).nlargest(MOST_ROWS, "auc"))
    return render("results.md", tables=tables, best=best).strip()


def _tables(folder: Path, root: Path) -> list[dict]:
    records = read_runs(folder)
    results = results_in(records)
    results["link"] = results["chapter"].map(_links(records, root))
    tables = []
    for split in (VIEW1, VIEW2):
        alike = comparable(results[results["split"] == split], any_images=True)
        for rule, ranked in alike.groupby("rule"):
            rows = {"ranked": ranked, "all": _by_category(ranked)}
            sources = dict.fromkeys(report.source for report in ranked["report"])
            tables.append(rows | {"split": split, "rule": rule, "sources": sources})
    return tables


def _by_category(results: pd.DataFrame) -> list[dict]:
    """Order results by what they were allowed to learn from, and by AUC within each category."""
    ordered = results.sort_values("auc", ascending=False, kind="stable")
    ordered = ordered.sort_values("category", key=lambda c: c.map(CATEGORIES.index), kind="stable")
    return ordered.to_dict("records")


def _links(records: Mapping[Path, dict], root: Path) -> dict[str, str]:
    """Return a link to the executed notebook of each finished run."""
    links = {}
    for place, record in records.items():
        name = record["notebook"]
        is_drawn = record["data"].get("synthetic")
        expect(not is_drawn, "runs of real faces", f"synthetic ones: {name}")
        if record["status"] == "done":
            page = quote(relative(place / f"{name}.ipynb", root).as_posix())
            links[name] = f"[{numbered(name)[0] or name}]({page})"
    return links


def write_results(readme: str | Path, folders: Iterable[str | Path]) -> None:
    """Put the tables of `results_tables` between the two marks of a README, once each in it."""
    readme = Path(readme)
    text = loaded(partial(Path.read_text, encoding="utf-8"), readme, "text in UTF-8", "save it so")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in after:
        raise ValueError(f"expected {BEGIN} and, below it, {END} once each in {readme}")
    tables = results_tables([Path(folder).resolve() for folder in folders], readme.resolve().parent)
    write_text(readme, f"{before}{BEGIN}\n{tables}\n{END}{after}")
