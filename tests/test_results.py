"""The committed results are whole, and the README says what they say."""

import json
import re
from pathlib import Path

import pytest

from facelab.report import build_report

ROOT = Path(__file__).parents[1]
OUT = ROOT / "outputs" / "lfw-cpu"
RUNS = {path.parent.name: json.loads(path.read_text()) for path in sorted(OUT.glob("*/run.json"))}
ROWS = {"pixels_test": "Raw pixels", "test": "Siamese CNN, margin 2", "short_test": "The same"}

each = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


def test_the_chapters_are_there_on_real_faces():
    assert RUNS.keys() >= {"00_faces_and_pairs", "01_siamese_baseline"}


@each
def test_a_committed_run_says_what_it_is(run):
    assert run["status"] == "done"
    assert run["profile"] == "lfw-cpu"
    assert run["data"]["source"] == "LFW deep-funneled"
    assert (run["data"]["people"], run["data"]["images"]) == (5749, 13233)
    assert re.fullmatch("[0-9a-f]{40}", run["commit"])
    assert run["changed"] is False


@each
def test_a_committed_run_has_its_figures_and_its_notebook_and_is_small(run):
    folder = OUT / run["notebook"]
    files = {figure["file"] for figure in run["figures"]} | {f"{run['notebook']}.ipynb"}
    assert all((folder / file).is_file() for file in files)
    assert (folder / f"{run['notebook']}.ipynb").stat().st_size < 500_000


@pytest.mark.parametrize("prefix", ROWS)
def test_the_readme_has_the_numbers_of_the_run(prefix):
    m = RUNS["01_siamese_baseline"]["metrics"]

    def cell(metric, form):
        value, low, high = (m[f"{prefix}_{metric}{end}"] for end in ("", "_low", "_high"))
        return f"{value:{form}} ({low:{form}} to {high:{form}})"

    cells = [cell("accuracy", ".1%"), cell("auc", ".3f"), cell("eer", ".1%")]
    cells.append(cell("tar_at_far_1%", ".1%"))
    row = next(r for r in (ROOT / "README.md").read_text().splitlines() if f"| {ROWS[prefix]}" in r)
    assert row.split(" | ")[1:] == [*cells[:-1], cells[-1] + " |"]


def test_the_report_can_be_built_from_what_is_committed(tmp_path):
    for path in OUT.glob("*/*"):
        if path.suffix in (".json", ".png", ".jpg"):
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    html = build_report(tmp_path).read_text()
    for run in RUNS.values():
        assert all(claim["sentence"].split()[0] in html for claim in run["claims"])
