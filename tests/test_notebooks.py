"""What every chapter keeps to, read from the files; nbval executes them."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from records import notebook_parameters

import facelab as fl
from facelab.study.settings import chapters

FOLDER = Path(__file__).parents[1] / "notebooks"
CHAPTERS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
SOLUTIONS = sorted((FOLDER / "solutions").glob("*.ipynb"))
ALL = [*sorted(FOLDER.glob("*.ipynb")), *SOLUTIONS]
PROFILES = sorted((FOLDER.parent / "facelab" / "study" / "profiles").glob("*.yaml"))

each = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
each_solved = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
each_of_all = pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)


def code(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


@each_of_all
def test_outputs_are_stored_and_small_and_without_errors(path):
    cells = code(path)
    assert path.stat().st_size < 500_000
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    assert not [o for c in cells for o in c.outputs if o.output_type == "error"]


@each_of_all
def test_no_path_of_a_machine_is_stored(path):
    places = [str(FOLDER.parent), str(Path.home()), "/home/", "/Users/", "/tmp/", "/usr/", "C:\\"]
    assert not [place for place in places if place in path.read_text()]


@each_of_all
def test_no_widget_is_stored_and_an_explorer_has_its_figure(path):
    assert "widgets" not in nbformat.read(path, as_version=4).metadata
    assert "application/vnd.jupyter.widget" not in path.read_text()
    told = ""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "fl.explore(" in cell.source:
            assert any("image/png" in output.get("data", {}) for output in cell.outputs)
            assert "run the next cell, and the explorer takes the place" in told.lower()
        told = cell.source


@each
def test_code_cells_are_short_and_there_is_as_much_prose(path):
    cells = nbformat.read(path, as_version=4).cells
    assert 20 <= len(cells) <= 47
    assert max(len(c.source.splitlines()) for c in code(path)) <= 25
    prose = [c for c in cells if c.cell_type == "markdown"]
    assert len(prose) >= len(code(path)) * 0.8


@each
def test_parameters_are_literals_that_depend_on_nothing_and_each_says_what_it_is(path):
    tagged = [c for c in code(path) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    for line in tagged[0].source.splitlines():
        assert re.fullmatch(r"[A-Z_0-9]+ = [^#]+  # .+", line), line
    assert {"DATA", "SEED", "PROFILE", "OUT"} <= notebook_parameters(path).keys()


@each
def test_the_defaults_are_the_profile_smoke_on_synthetic_faces(path):
    defaults = notebook_parameters(path)
    smoke = yaml.safe_load((FOLDER.parent / "facelab/study/profiles/smoke.yaml").read_text())
    assert {k: v for k, v in smoke.items() if k in defaults}.items() <= defaults.items()
    assert defaults["DATA"] == "synthetic"
    assert defaults["OUT"] == ""


@each
def test_a_chapter_ends_with_claims_exercises_and_further_reading(path):
    text = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells)
    places = [text.find(head) for head in ("run.claims()", "## Exercises", "## Further reading")]
    assert -1 < places[0] < places[1] < places[2]
    assert "Predict before you run" in text[places[1] :]


@each
def test_a_count_of_seeds_is_right_for_one(path):
    assert not re.findall("SEEDS} seeds", "\n".join(cell.source for cell in code(path)))


@pytest.mark.parametrize(
    "name", ["06_compare", "08_alignment", "09_trained_elsewhere", "10_best_recipe", "11_entry"]
)
def test_a_table_of_results_says_what_outside_data_a_method_has_seen(name):
    text = "\n".join(c.source for c in code(FOLDER / f"{name}.ipynb"))
    assert '["outside data"] = ' in text and "fl.outside" in text


@each
def test_a_kept_network_has_a_threshold_and_a_calibration(path):
    for cell in code(path):
        if "run.keep_network(" in cell.source:
            assert '"threshold"' in cell.source and "fl.calibrate(" in cell.source


def test_every_chapter_has_solutions_and_they_are_no_chapters():
    assert [path.stem[:2] for path in SOLUTIONS] == [path.stem[:2] for path in CHAPTERS]
    assert [path for path in chapters(FOLDER) if path not in CHAPTERS] == []


@each_solved
def test_every_exercise_of_the_chapter_is_asked_run_and_answered(path):
    (chapter,) = (one for one in CHAPTERS if one.stem[:2] == path.stem[:2])
    text = "\n".join(cell.source for cell in nbformat.read(chapter, as_version=4).cells)
    exercises = text.partition("## Exercises")[2].partition("## Further reading")[0]
    cells = nbformat.read(path, as_version=4).cells
    kinds = {"markdown": "m", "code": "c"}
    order = "".join(kinds[cell.cell_type] for cell in cells)
    n = len(re.findall(r"^[0-9]\. ", exercises, re.MULTILINE))
    assert re.fullmatch(f"mc+(mc+m){{{n}}}", order)
    asked = [cell.source for cell in cells if cell.source.startswith("## ")]
    assert [question[3] for question in asked] == [str(k) for k in range(1, n + 1)]
    assert all(re.search(r"\*.+\?\*", question) for question in asked)
    assert f"](../{chapter.name})" in cells[0].source


@each_solved
def test_a_solution_is_short_and_trains_on_drawn_faces_alone(path):
    for cell in code(path):
        assert len(cell.source.splitlines()) <= 25
        assert set(re.findall(r"load_lfw\((.+?)[,)]", cell.source)) <= {'"synthetic"'}
        assert "nbval-ignore-output" in cell.metadata["tags"]
        assert not [o for o in cell.outputs if o.get("name") == "stderr"]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_key_of_a_profile_is_a_parameter_of_some_chapter(path):
    known = set().union(*map(notebook_parameters, CHAPTERS))
    assert set(yaml.safe_load(path.read_text())) <= known


def test_half_the_side_is_enough_for_resnet50_or_chapter_05_ends_before_data_are_loaded():
    (begin,) = [c.source for c in code(FOLDER / "05_cures.ipynb") if "fl.Run(" in c.source]
    with pytest.raises(AssertionError, match="expected 64 pixels or more, got 48"):
        exec(begin, {"NETWORK": "resnet50", "IMAGE_SIZE": 48})


def test_one_documented_line_adds_a_miner_of_ones_own_to_the_comparison(small_faces):
    cells = [c.source for c in code(FOLDER / "03_mining_comparison.ipynb")]
    imports, methods = cells[0], next(k for k, c in enumerate(cells) if c.startswith("METHODS"))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (len(small_faces), 3, 16, 16), np.uint8)
    learners = replace(small_faces, packed=pixels).at_least(2)
    space = {"learners": learners}
    exec("\n".join(line for line in imports.splitlines() if "import" in line), space)
    for cell in cells[methods - 1 : methods + 2]:  # losses and miners, the six, and one's own
        exec(cell.replace("# METHODS", "METHODS"), space)
    assert len(space["METHODS"]) == 7
    assert space["METHODS"].keys() == space["CANDIDATES"].keys()
    loss, miner = space["METHODS"]["my own"](space["CANDIDATES"]["my own"][0])
    sampler = partial(fl.people_by_images, images_per_person=2)
    model = fl.siamese_cnn(8, 16)
    before = [p.clone() for p in model.parameters()]
    training = fl.fit(model, learners, loss, miner, sampler=sampler, epochs=1, batch_size=16)
    assert training.history.mined.item() == 16  # an anchor for every image of the batch
    assert any((a != b).any() for a, b in zip(before, model.parameters(), strict=True))
