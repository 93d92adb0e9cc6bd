"""The batch: what can be wrong beforehand, what is run, and what is skipped."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from records import make_record, write_record

from facelab.study.batch import run_study
from facelab.study.execute import strip
from facelab.study.report import build_report
from facelab.study.settings import (
    convert,
    find_notebooks,
    notebook_parameters,
    plan,
    read_profile,
)

PARAMETERS = """DATA = "synthetic"
OUT = ""
PROFILE = ""
SEED = 0
EPOCHS = 2  # passes over the images
LR = 0.1
"""
GOOD = (
    """import json, os, sys
from pathlib import Path
from tqdm import tqdm
for epoch in tqdm(range(EPOCHS), desc="epoch"): pass
print("Using bfloat16 Automatic Mixed Precision (AMP)", file=sys.stderr)
print("trained")""",
    """
record = json.loads(Path("record.json").read_text())
record["notebook"] = "{name}"
record["parameters"] = {{k: v for k, v in globals().items() if k.isupper() and k != "OUT"}}
record["notes"] = [str(sys.executable == os.environ.get("PARENT"))]
folder = Path(OUT)
(folder / "checkpoint.pt").open("a").write("x")
written = (folder / "run.json").write_text(json.dumps(record))""",
)


def write_notebook(path, *cells, parameters=PARAMETERS):
    cells = [new_markdown_cell("# Title"), *(new_code_cell(source) for source in cells)]
    if parameters:
        cells.insert(1, new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    path.parent.mkdir(parents=True, exist_ok=True)
    # A kernel of this name exists nowhere: the notebook runs in the Python of the batch.
    kernel = {"name": "somebody-elses", "display_name": "Elsewhere", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def write_study(folder):
    """Write a good notebook, a broken one and another good one, and a profile for them."""
    notebooks = folder / "notebooks"
    (folder / "record.json").write_text(json.dumps(make_record()))
    for name in ("00_first", "02_last"):
        cells = [cell.format(name=name) for cell in GOOD]
        more = "MARGIN = 1.0\n" if name == "02_last" else ""
        write_notebook(notebooks / f"{name}.ipynb", *cells, parameters=PARAMETERS + more)
    broken = "# what goes wrong:\nvalues = [1, 2]\nvalues[7]"
    write_notebook(notebooks / "01_broken.ipynb", "x = 1", broken, "print('never')")
    (folder / "other.yaml").write_text("SEEDS: 3\n")
    (folder / "tiny.yaml").write_text("EPOCHS: 3\nMARGIN: 2  # only the last one has it\n")


def record(out, name):
    return json.loads((Path(out) / name / "run.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Run all three notebooks once; the tests below look at what came of it."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PARENT", sys.executable)
        failed = run_study(profile="tiny.yaml", parameters={"SEED": "1"})
    return folder / "outputs" / "tiny", failed


@pytest.fixture
def here(tmp_path, monkeypatch):
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACELAB_LFW", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("value", "default", "expected"),
    [
        ("20", 100, 20),
        ("1e-3", 0.1, 0.001),
        ("3", 0.1, 3.0),
        (3, 0.1, 3.0),
        ("True", False, True),
        ("2024", "lfw", "2024"),
        ("[1, 2]", [3], [1, 2]),
        ("0.5", None, 0.5),
        ("resnet50", None, "resnet50"),
    ],
)
def test_a_value_takes_the_type_of_the_notebooks_own(value, default, expected):
    converted = convert("NAME", value, default)
    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "default"),
    [
        ("ten", 10),
        ("010", 10),
        ("1.5", 10),
        (1.5, 10),
        (True, 10),
        ("1", True),
        (5, "lfw"),
        (None, 0.1),
    ],
)
def test_a_value_of_another_type_is_refused(value, default):
    with pytest.raises(ValueError, match=f"NAME: expected {type(default).__name__}, like"):
        convert("NAME", value, default)


def test_notebooks_are_found_by_name_beginning_or_path_and_all_in_order(here):
    notebooks = Path("notebooks")
    elsewhere = write_notebook(here / "mine" / "own.ipynb")
    stems = [p.stem for p in find_notebooks([], notebooks)]
    assert stems == ["00_first", "01_broken", "02_last"]
    found = find_notebooks(["02", "00_first", "mine/own.ipynb", "02_last"], notebooks)
    assert found == [
        notebooks / "02_last.ipynb",
        notebooks / "00_first.ipynb",
        Path("mine/own.ipynb"),
    ]
    assert elsewhere.exists()
    with pytest.raises(
        ValueError, match="one notebook named 0, got 00_first, 01_broken, 02_last; there"
    ):
        find_notebooks(["0"], notebooks)
    with pytest.raises(ValueError, match="named 07, got none; there are 00_first"):
        find_notebooks(["07"], notebooks)


def test_a_notebook_must_name_its_parameters_as_literals(tmp_path):
    path = write_notebook(tmp_path / "00_x.ipynb", parameters=PARAMETERS + "TWICE = 2 * SEED")
    with pytest.raises(
        ValueError, match=r"00_x: expected .* NAME = literal alone, got TWICE = 2 \* SEED"
    ):
        notebook_parameters(path)
    path = write_notebook(tmp_path / "00_x.ipynb", "SEED = 0", parameters="")
    with pytest.raises(
        ValueError, match="00_x: expected a cell tagged 'parameters' .* for OUT, .* got none"
    ):
        notebook_parameters(path)


@pytest.mark.parametrize("line", ["import os", "A = B = 3", "print(SEED)", "A += 1", "A, B = 1, 2"])
@pytest.mark.parametrize("first", [True, False])
def test_no_line_of_the_parameters_is_passed_over(tmp_path, line, first):
    cell = f"{line}\n{PARAMETERS}" if first else PARAMETERS + line
    path = write_notebook(tmp_path / "00_x.ipynb", parameters=cell)
    with pytest.raises(ValueError, match="00_x: expected a cell .* NAME = literal alone, got"):
        notebook_parameters(path)


def test_parameters_may_be_lists_over_several_lines_and_have_comments(tmp_path):
    cell = (
        PARAMETERS + "# how far apart, = or not\nMARGINS = [\n    0.5,\n    1.0,  # the usual\n]\n"
    )
    path = write_notebook(tmp_path / "00_x.ipynb", parameters=cell)
    assert notebook_parameters(path) == {
        "DATA": "synthetic",
        "OUT": "",
        "PROFILE": "",
        "SEED": 0,
        "EPOCHS": 2,
        "LR": 0.1,
        "MARGINS": [0.5, 1.0],
    }


@pytest.mark.parametrize("name", ["smoke", "lfw-cpu", "lfw"])
def test_the_profiles_that_ship_are_flat(name):
    assert "DATA" in read_profile(name)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("TRAIN:\n  EPOCHS: 3", "plain value, got TRAIN"),
        ("epochs: 3", "lines NAME: plain value, got epochs: 3"),
        ("- EPOCHS", "expected lines NAME: plain value, got 'list'"),
        ("EPOCHS: [", "expected lines NAME: plain value, got while parsing"),
    ],
)
def test_a_profile_that_is_not_flat_is_refused(tmp_path, text, complaint):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_profile(str(tmp_path / "own.yaml"))


def test_an_unknown_profile_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"lfw-cpu, lfw, smoke.* got 'smok'"):
        read_profile("smok")


def test_p_wins_over_the_profile_and_the_profile_goes_where_it_fits(here):
    paths = find_notebooks([], Path("notebooks"))
    plans = plan(paths, read_profile("tiny.yaml"), {"EPOCHS": "5"})
    first, _, last = plans.values()
    assert first == {"DATA": "synthetic", "SEED": 0, "EPOCHS": 5, "LR": 0.1}
    assert last == first | {"MARGIN": 2.0}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"parameters": {"EPOCH": 3}}, r"parameter of 00_first, got EPOCH \(did you mean EPOCHS"),
        ({"parameters": {"MARGIN": 3}}, "parameter of 00_first, got MARGIN; there are DATA, EPO"),
        ({"parameters": {"OUT": "x"}}, "parameter of 00_first, got OUT"),
        ({"parameters": {"EPOCHS": "x"}}, "EPOCHS: expected int, like 2, got 'x'"),
        ({"parameters": {"DATA": "no/folder"}}, "LFW at .*no/folder, got nothing"),
        ({"parameters": {"DATA": "lfw"}}, "FACELAB_LFW .* got nothing"),
        ({"profile": "other.yaml"}, r"of any notebook.* got SEEDS \(did you mean SEED"),
        ({"notebooks": ["00", "nope"]}, "named nope, got none"),
    ],
)
def test_what_is_wrong_beforehand_stops_everything_before_anything_ran(here, arguments, complaint):
    with pytest.raises((ValueError, FileNotFoundError), match=complaint):
        run_study(**{"profile": "tiny.yaml", **arguments})
    assert not (here / "outputs").exists()


def test_data_in_a_folder_are_named_by_a_relative_path(here, monkeypatch):
    (here / "faces" / "lfw").mkdir(parents=True)
    paths = find_notebooks(["00"], Path("notebooks"))
    (values,) = plan(paths, {}, {"DATA": str(here / "faces")}).values()
    assert values["DATA"] == "faces"
    monkeypatch.setenv("FACELAB_LFW", str(here / "faces"))
    (values,) = plan(paths, {}, {"DATA": "lfw"}).values()
    assert values["DATA"] == "lfw"


def test_a_broken_notebook_names_cell_and_cause_and_the_others_go_on(study):
    out, failed = study
    assert failed == {"01_broken": "cell 4 (values = [1, 2]): IndexError: list index out of range"}
    assert [record(out, n)["status"] for n in ("00_first", "01_broken", "02_last")] == [
        "done",
        "failed",
        "done",
    ]
    assert record(out, "01_broken")["cause"] == failed["01_broken"]


def test_a_run_records_its_parameters_and_the_command_that_repeats_it(study):
    out, _ = study
    last = record(out, "02_last")
    assert last["profile"] == "tiny"
    assert last["parameters"] == {
        "DATA": "synthetic",
        "PROFILE": "tiny",
        "SEED": 1,
        "EPOCHS": 3,
        "LR": 0.1,
        "MARGIN": 2.0,
    }
    assert last["command"] == "facelab run 02_last --profile tiny.yaml -p SEED 1"
    assert last["resumed"] is False


def test_notebooks_run_in_the_python_that_runs_the_batch(study):
    assert record(study[0], "00_first")["notes"] == ["True"]


def test_no_absolute_path_gets_into_what_is_committed(study):
    out, _ = study
    for path in [*out.glob("*/run.json"), *out.glob("0[02]_*/*.ipynb"), out / "report.html"]:
        text = path.read_text("utf-8")
        assert str(out.parents[1]) not in text, path
        assert str(Path.home()) + os.sep not in text, path
        assert sys.prefix not in text, path


def test_nothing_of_a_run_alone_stays_in_its_notebook(study):
    executed = nbformat.read(study[0] / "00_first" / "00_first.ipynb", as_version=4)
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
    assert [(o.name, o.text) for o in outputs] == [("stdout", "trained\n")]
    assert "papermill" not in executed.metadata
    assert not any("papermill" in cell.metadata for cell in executed.cells)


def test_errors_stay_in_the_notebook_that_failed(study):
    kept = nbformat.read(study[0] / "01_broken" / "01_broken.ipynb", as_version=4)
    outputs = [output for cell in kept.cells for output in cell.get("outputs", ())]
    assert "IndexError" in [output.get("ename") for output in outputs]


def test_resume_skips_what_is_done_with_the_same_parameters_alone(here, capsys):
    out = Path("outputs/tiny")

    def run(**arguments):
        assert run_study(["00"], "tiny.yaml", **arguments) == {}
        return "skipped" in capsys.readouterr().out, (out / "00_first/checkpoint.pt").read_text()

    assert run() == (False, "x")
    assert run(resume=True) == (True, "x")
    assert run(resume=True, parameters={"SEED": 5}) == (False, "x")
    assert record(out, "00_first")["parameters"]["SEED"] == 5


def test_after_a_kill_the_notebook_goes_on_from_its_checkpoint(here):
    train = """import time
from pathlib import Path
checkpoint = Path(OUT, "checkpoint.pt")
started_before = checkpoint.exists()
checkpoint.touch()
if not started_before: time.sleep(600)
Path(OUT, "run.json").write_text(Path("record.json").read_text())"""
    write_notebook(here / "notebooks" / "00_first.ipynb", train)
    command = [sys.executable, "-m", "facelab", "run", "00", "--profile", "tiny.yaml", "--out", "o"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not Path("o/00_first/checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert record("o", "00_first")["status"] == "started"
    assert "did not come to its end" in build_report("o").read_text("utf-8")
    assert run_study(["00"], "tiny.yaml", out="o", resume=True) == {}
    assert record("o", "00_first")["resumed"]


def test_a_record_of_another_version_is_not_resumed(here, capsys):
    assert run_study(["00"], "tiny.yaml") == {}
    folder = Path("outputs/tiny/00_first")
    write_record(folder, record("outputs/tiny", "00_first") | {"schema": 1})
    assert run_study(["00"], "tiny.yaml", resume=True) == {}
    assert "skipped" not in capsys.readouterr().out
    assert (folder / "checkpoint.pt").read_text() == "x"
    assert record("outputs/tiny", "00_first")["schema"] == 2


def test_a_notebook_that_records_nothing_has_failed(here):
    write_notebook(here / "notebooks" / "00_first.ipynb", "x = 1")
    assert run_study(["00"], "tiny.yaml") == {
        "00_first": "it wrote no run.json: the last cell should be run.finish()"
    }
    assert record("outputs/tiny", "00_first")["status"] == "failed"


def test_links_of_an_executed_notebook_lead_to_the_same_files(tmp_path):
    source = tmp_path / "notebooks" / "01_a.ipynb"
    out = tmp_path / "outputs" / "smoke" / "01_a" / "01_a.ipynb"
    for folder in (source.parent, out.parent):
        folder.mkdir(parents=True)
    (tmp_path / "README.md").touch()
    text = "[next](02_b.ipynb), [page](../README.md), [paper](https://a.b/c.pdf), [gone](03.ipynb)"
    for path in (source, source.parent / "02_b.ipynb", out):
        nbformat.write(new_notebook(cells=[new_markdown_cell(text)]), path)
    strip(out, source)
    (cell,) = nbformat.read(out, as_version=4).cells
    assert cell.source == (
        "[next](../../../notebooks/02_b.ipynb), [page](../../../README.md), "
        "[paper](https://a.b/c.pdf), [gone](03.ipynb)"
    )
