"""The batch: what can be wrong beforehand, what is run, and what is skipped."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from records import make_record, notebook_parameters, write_record

from facelab.study import batch
from facelab.study.batch import run_study
from facelab.study.execute import execute, strip
from facelab.study.report import build_report
from facelab.study.settings import (
    chapters,
    convert,
    described_parameters,
    find_notebooks,
    heading,
    limits,
    plan,
    profiles,
    read_profile,
)

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
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


@pytest.fixture
def log(caplog):
    caplog.set_level("INFO", "facelab")
    return caplog


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


@pytest.mark.parametrize(
    ("cell", "got"),
    [
        ("%matplotlib inline\nWAYS = {'by': 1}", "SyntaxError"),
        ("WAYS = {'by': 1, **MORE}", "ValueError"),
    ],
)
def test_choices_are_the_keys_of_a_dict_in_a_cell_of_python(tmp_path, cell, got):
    parameters = PARAMETERS + "WAY = 'by'  # one of {WAYS}"
    path = write_notebook(
        tmp_path / "00_x.ipynb", "WAYS = {'by': 1}", "WAYS |= {2: 3}", parameters=parameters
    )
    notebook = json.loads(path.read_text())
    notebook["cells"][0]["source"] = "WAYS = {as the cell below has them"  # Markdown
    path.write_text(json.dumps(notebook))
    assert described_parameters(path)["WAY"].comment == "one of {by, 2}"
    write_notebook(path, cell, parameters=parameters)
    with pytest.raises(ValueError, match=rf"00_x: expected WAYS = {{.* Python alone, got {got}"):
        described_parameters(path)


@pytest.mark.parametrize("name", profiles())
def test_the_profiles_that_ship_are_flat(name):
    assert "DATA" in read_profile(name)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("TRAIN:\n  EPOCHS: 3", "plain value, got TRAIN"),
        ("epochs: 3", "lines NAME: plain value, got epochs: 3"),
        ("- EPOCHS", "expected lines NAME: plain value, got 'list'"),
        ("EPOCHS: [", "expected lines NAME: plain value, got while parsing"),
        ("EPOCHS: [[1]]", "plain value, got EPOCHS"),
        ("EPOCHS: 2024-01-01", "plain value, got EPOCHS"),
        ("EPOCHS: 2024-99-99", "own.yaml: expected lines NAME: plain value, got month must be"),
        ("EPOCHS: 5\nSEED: 1\nEPOCHS: 50", "own.yaml: expected each NAME once, got EPOCHS 2 times"),
    ],
)
def test_a_profile_that_is_not_flat_is_refused(tmp_path, text, complaint):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_profile(str(tmp_path / "own.yaml"))


@pytest.mark.parametrize("tags", [None, 5])
def test_a_notebook_whose_tags_are_no_list_is_named(here, tags):
    path = here / "notebooks" / "00_first.ipynb"
    notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"][-1]["metadata"]["tags"] = tags
    path.write_text(json.dumps(notebook))
    with pytest.raises(ValueError, match="00_first.ipynb: expected a Jupyter notebook, got Type"):
        run_study(["00"], "tiny.yaml")


def test_an_unknown_profile_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"lfw-cpu, lfw-resnet50, lfw, smoke.* got 'smok'"):
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


def test_a_notebook_that_loads_ones_own_faces_takes_a_folder_of_people(here, write_copy):
    write_copy(here / "copy")
    (here / "copy" / "lfw-synthetic").rename(here / "friends")
    paths = find_notebooks(["00"], Path("notebooks"))
    with pytest.raises(ValueError, match="expected one copy, .*fl.load_faces loads other people"):
        plan(paths, {}, {"DATA": "friends"})
    own = write_notebook(here / "own.ipynb", "faces = fl.load_faces(DATA)")
    (values,) = plan([own], {}, {"DATA": str(here / "friends")}).values()
    assert values["DATA"] == "friends"
    with pytest.raises(FileNotFoundError, match="expected a folder of people or a CSV at .*nobody"):
        plan([own], {}, {"DATA": "nobody"})


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


def test_the_kernels_of_a_batch_do_not_tell_their_precision_between_the_bars(tmp_path):
    level = "logging.getLogger('lightning_fabric.utilities.rank_zero').level"
    path = write_notebook(tmp_path / "00_x.ipynb", f"import logging\nassert {level} == 30")
    assert execute(path, {}, tmp_path / "out.ipynb", "quiet") == ""


def test_notebooks_run_in_the_python_that_runs_the_batch(study):
    assert record(study[0], "00_first")["notes"] == ["True"]


def test_no_absolute_path_gets_into_what_is_committed(study):
    out, _ = study
    for path in [*out.glob("*/run.json"), *out.glob("*/*.ipynb"), out / "report.html"]:
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


def test_resume_skips_what_is_done_with_the_same_parameters_alone(here, log):
    out = Path("outputs/tiny")

    def run(**arguments):
        log.clear()
        assert run_study(["00"], "tiny.yaml", keep_checkpoints=True, **arguments) == {}
        return "skipped" in log.text, (out / "00_first/checkpoint.pt").read_text()

    assert run() == (False, "x")
    assert run(resume=True) == (True, "x")
    assert run(resume=True, parameters={"SEED": 5}, force=True) == (False, "x")
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
    deadline = time.monotonic() + 300
    while not Path("o/00_first/checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert record("o", "00_first")["status"] == "started"
    assert "did not come to its end" in build_report("o").read_text("utf-8")
    assert run_study(["00"], "tiny.yaml", out="o", resume=True) == {}
    assert record("o", "00_first")["resumed"]


def test_a_record_of_another_version_is_not_resumed(here, log):
    assert run_study(["00"], "tiny.yaml", keep_checkpoints=True) == {}
    folder = Path("outputs/tiny/00_first")
    write_record(folder, record("outputs/tiny", "00_first") | {"schema": 1})
    assert run_study(["00"], "tiny.yaml", resume=True, keep_checkpoints=True) == {}
    assert "skipped" not in log.text
    assert (folder / "checkpoint.pt").read_text() == "x"
    assert record("outputs/tiny", "00_first")["schema"] == 2


def test_a_notebook_that_records_nothing_has_failed(here):
    write_notebook(here / "notebooks" / "00_first.ipynb", "x = 1")
    assert run_study(["00"], "tiny.yaml") == {
        "00_first": "it wrote no run.json: the last cell should be run.finish()"
    }
    assert record("outputs/tiny", "00_first")["status"] == "failed"


# What is refused before anything runs, what a kill or a full disk leaves: without kernels.


def end_as(status, **more):
    """Return what stands in for `execute`: a notebook that wrote its record with a status."""

    def run(path, parameters, out, title):
        recorded = {name: value for name, value in parameters.items() if name != "OUT"}
        made = make_record(path.stem, status=status, parameters=recorded, **more)
        write_record(out.parent, made)
        return ""

    return run


@pytest.fixture
def quick(here, monkeypatch):
    """Run notebooks in no time; the notebook itself has not said that it is done."""
    monkeypatch.setattr(batch, "execute", end_as("started"))
    return here


def refused(match, **arguments):
    with pytest.raises(ValueError, match=match) as caught:
        run_study(**({"notebooks": ["00"], "profile": "tiny.yaml"} | arguments))
    assert "\n" not in str(caught.value)


def test_only_the_batchs_own_last_write_says_that_a_run_is_done(quick, monkeypatch, log):
    written = []

    def write(path, value):
        written.append(value["status"])
        if value["status"] == "done":
            raise KeyboardInterrupt  # a kill between the notebook's last record and the batch's
        return real(path, value)

    real = batch.write_json
    monkeypatch.setattr(batch, "write_json", write)
    with pytest.raises(KeyboardInterrupt):
        run_study(["00"], "tiny.yaml")
    assert record("outputs/tiny", "00_first")["status"] == "started"
    monkeypatch.setattr(batch, "write_json", real)
    assert run_study(["00"], "tiny.yaml", resume=True) == {}
    assert "skipped" not in log.text
    assert record("outputs/tiny", "00_first")["status"] == "done"
    assert written == ["started", "done"]


def test_resume_notices_another_text_but_not_outputs_or_metadata(quick, log):
    path = quick / "notebooks" / "00_first.ipynb"

    def says(edit):
        notebook = nbformat.read(path, as_version=4)
        edit(notebook)
        nbformat.write(notebook, path)
        log.clear()
        assert run_study(["00"], "tiny.yaml", resume=True, keep_checkpoints=True) == {}
        return log.text

    assert "skipped" not in says(lambda notebook: None)
    (quick / "outputs/tiny/00_first/a_0.pt").touch()
    (quick / "outputs/tiny/00_first/old.png").touch()
    output = nbformat.v4.new_output("stream", text="2")
    assert "skipped" in says(lambda notebook: notebook.cells[2].outputs.append(output))
    assert "skipped" in says(lambda notebook: notebook.metadata.update(mine=1))
    said = says(lambda notebook: notebook.cells[2].update(source="print(2)"))
    assert "its text had changed" in said
    assert (quick / "outputs/tiny/00_first/a_0.pt").exists()  # `fit` refuses another training
    assert not (quick / "outputs/tiny/00_first/old.png").exists()


def test_checkpoints_go_when_a_notebook_is_done_and_stay_when_it_failed_or_on_request(
    quick, monkeypatch
):
    checkpoint = quick / "outputs/tiny/00_first/a_0.pt"

    def left_after(cause, **arguments):
        def run(path, parameters, out, title):
            checkpoint.touch()
            return end_as("started")(path, parameters, out, title) or cause

        monkeypatch.setattr(batch, "execute", run)
        run_study(["00"], "tiny.yaml", **arguments)
        return checkpoint.exists()

    assert left_after("cell 1: no bread")
    assert not left_after("")
    assert left_after("", keep_checkpoints=True)


def test_the_time_left_is_told_beforehand_and_after_each_notebook(quick, log, monkeypatch):
    def left():
        said = [message for message in log.messages if message.startswith("  ")]
        log.clear()
        return said

    def record_seconds(name, seconds):
        took = record("outputs/tiny", name) | {"seconds": seconds}
        write_record(quick / "outputs/tiny" / name, took)

    unknown = "time not known for {}, never recorded with this profile"
    assert run_study(["00", "02"], "tiny.yaml") == {}
    first, second = left()
    assert first == "  " + unknown.format(2)
    assert second.startswith("  about 0:")
    assert second.endswith(
        "left for 1 more; 1 of them, never recorded, counted as the mean of those done"
    )
    record_seconds("00_first", 100.0)
    record_seconds("02_last", 3500.0)
    now = [0.0]  # the first takes twice as long as it did
    monkeypatch.setattr(batch, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slowly(path, parameters, out, title):
        now[0] += 200
        return end_as("started")(path, parameters, out, title)

    monkeypatch.setattr(batch, "execute", slowly)
    assert run_study(["00", "02"], "tiny.yaml") == {}
    assert left() == ["  about 1:00:00 left for 2 more", "  about 1:56:40 left for 1 more"]
    (quick / "outputs/tiny/00_first/run.json").unlink()
    record_seconds("02_last", 60.0)  # the first, never recorded, says nothing of its pace
    assert run_study(["00", "02"], "tiny.yaml") == {}
    about = "about 0:01:00 left for 1 more"
    assert left() == [f"  {about}; {unknown.format(1)}", f"  {about}"]
    assert run_study(["00", "02"], "tiny.yaml", resume=True) == {}
    assert left() == []


def test_a_failed_notebook_says_nothing_of_the_pace_of_the_others(quick, log, monkeypatch):
    assert run_study(["00", "02"], "tiny.yaml") == {}
    for name, seconds in (("00_first", 1000.0), ("02_last", 60.0)):
        took = record("outputs/tiny", name) | {"seconds": seconds}
        write_record(quick / "outputs/tiny" / name, took)
    monkeypatch.setattr(batch, "execute", lambda *arguments: "cell 1: no bread")
    log.clear()
    assert [*run_study(["00", "02"], "tiny.yaml")] == ["00_first", "02_last"]
    assert "  about 0:01:00 left for 1 more" in log.messages


def test_results_of_other_parameters_are_refused_before_anything_is_lost(quick):
    assert run_study(["00"], "tiny.yaml") == {}
    checkpoint = quick / "outputs/tiny/00_first/a_0.pt"
    checkpoint.touch()
    refused(r"00_first holds results of other parameters \(SEED: 0\)", parameters={"SEED": 5})
    refused("other parameters", parameters={"SEED": 5}, resume=True)
    assert checkpoint.exists()
    assert run_study(["00"], "tiny.yaml", {"SEED": 5}, force=True) == {}
    assert not checkpoint.exists()


def test_checkpoints_of_other_parameters_are_not_deleted_where_one_wants_to_resume(
    quick, monkeypatch
):
    checkpoint = quick / "outputs/tiny/00_first/a_0.pt"

    def stop(path, parameters, out, title):
        checkpoint.touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch, "execute", stop)
        with pytest.raises(KeyboardInterrupt):
            run_study(["00"], "tiny.yaml", {"SEED": 5})
    refused(r"00_first holds checkpoints of other parameters \(SEED: 5\)", resume=True)
    assert checkpoint.exists()
    assert run_study(["00"], "tiny.yaml", resume=True, force=True) == {}
    assert not checkpoint.exists()


def test_results_that_git_tracks_are_refused(quick):
    assert run_study(["00"], "tiny.yaml") == {}
    for command in (["init", "-q"], ["add", "-f", "outputs/tiny/00_first/run.json"]):
        subprocess.run(["git", *command], check=True)
    refused("00_first holds results that git tracks: choose another --out, or --force")
    assert run_study(["00"], "tiny.yaml", resume=True) == {}  # skipped
    assert run_study(["00"], "tiny.yaml", force=True) == {}


def test_a_folder_above_or_within_a_study_is_refused_before_anything_runs(quick, monkeypatch):
    assert run_study(["00"], "tiny.yaml") == {}
    monkeypatch.setattr(batch, "execute", None)
    refused("outputs/tiny/00_first lies deeper in it", out="outputs")
    refused("outputs/tiny/00_first is that of one run", out="outputs/tiny/00_first")
    refused("outputs/tiny/00_first is that of one run", out="outputs/tiny/00_first/more")
    refused("outputs/tiny is that of a study", out="outputs/tiny/mine")
    (quick / "file").touch()
    refused("expected a folder to write into, got the file file", out="file/mine")
    write_notebook(quick / "mine" / "00_first.ipynb")
    refused("two named 00_first", notebooks=["00", "mine/00_first.ipynb"])


def test_a_second_run_into_one_folder_is_refused_until_the_first_ends(quick, monkeypatch):
    seen = []

    def again(path, parameters, out, title):
        refused("expected a folder of its own, got one that another run writes into: outputs/tiny")
        seen.append(path)
        return end_as("started")(path, parameters, out, title)

    monkeypatch.setattr(batch, "execute", again)
    assert run_study(["00"], "tiny.yaml") == {}
    assert run_study(["00"], "tiny.yaml") == {}
    assert len(seen) == 2


def test_a_full_disk_is_called_that_and_the_next_notebook_runs(quick, monkeypatch, log):
    real = batch.write_json

    def write(path, value):
        if path.parent.name == "00_first" and value["status"] == "done":
            raise OSError(errno.ENOSPC, "No space left on device", str(path.absolute()))
        real(path, value)

    monkeypatch.setattr(batch, "write_json", write)
    failed = run_study(["00", "02"], "tiny.yaml")
    assert list(failed) == ["00_first"]
    assert "writing its results: [Errno 28] No space left on device" in failed["00_first"]
    assert str(quick) not in failed["00_first"]
    assert record("outputs/tiny", "02_last")["status"] == "done"
    assert "00_first  FAILED" in log.text


def test_a_notebook_that_is_cut_off_on_a_full_disk_is_no_broken_json(tmp_path, monkeypatch):
    path = write_notebook(tmp_path / "00_x.ipynb")
    out = tmp_path / "out.ipynb"

    def fill(*_, **__):
        out.write_text('{"cells": [')
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("papermill.execute_notebook", fill)
    assert execute(path, {}, out, "").endswith("OSError: [Errno 28] No space left on device")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}'])
def test_a_bad_record_is_named_and_the_next_notebook_runs(quick, monkeypatch, text):
    def run(path, parameters, out, title):
        if path.stem == "00_first":
            (out.parent / "run.json").write_text(text)
            return ""
        return end_as("started")(path, parameters, out, title)

    monkeypatch.setattr(batch, "execute", run)
    failed = run_study(["00", "02"], "tiny.yaml")
    assert list(failed) == ["00_first"]
    assert "run.json: expected a record of schema 2, got" in failed["00_first"]
    assert record("outputs/tiny", "02_last")["status"] == "done"


def test_a_notebook_is_not_written_over_by_its_own_execution(quick):
    path = write_notebook(quick / "mine" / "mine.ipynb")
    before = path.read_bytes()
    refused("expected an --out in which nothing is written over, got", notebooks=[path], out=".")
    assert path.read_bytes() == before


def test_the_recorded_command_finds_an_own_notebook_and_its_folder(quick):
    write_notebook(quick / "my work" / "mine.ipynb")
    parameters = {"SEED": "3", "DATA": "synthetic"}
    assert run_study(["my work/mine.ipynb"], "tiny.yaml", parameters, out="else/where") == {}
    command = record("else/where", "mine")["command"]
    expected = "facelab run 'my work/mine.ipynb' --profile tiny.yaml -p SEED 3 -p DATA synthetic"
    assert command == f"{expected} --out else/where"


def test_the_recorded_command_names_no_place_outside(quick, monkeypatch):
    (quick / "here").mkdir()
    monkeypatch.chdir("here")
    write_notebook(quick / "mine.ipynb")
    assert run_study([quick / "mine.ipynb"], str(quick / "tiny.yaml"), out="../out") == {}
    command = record("../out", "mine")["command"]
    assert command == "facelab run mine.ipynb --profile tiny.yaml --out out"


def test_no_place_of_this_machine_is_recorded_of_a_failed_run_or_of_its_data(quick, monkeypatch):
    faces = quick.parent / f"{quick.name} faces" / "lfw_funneled"
    faces.mkdir(parents=True)

    def fail(path, parameters, out, title):
        end_as("started")(path, {"DATA": "lfw_funneled"}, out, title)
        return f"cell 3 (x): ValueError: nothing in {faces / 'a.jpg'} nor in {quick}/b.jpg"

    monkeypatch.setattr(batch, "execute", fail)
    (quick / "sub").mkdir()
    failed = run_study(["00"], "tiny.yaml", {"DATA": str(faces)})
    assert failed
    text = Path("outputs/tiny/00_first/run.json").read_text("utf-8")
    assert record("outputs/tiny", "00_first")["status"] == "failed"
    for place in (str(quick), str(quick.parent), os.path.relpath(faces), ".."):
        assert place not in text
    begun = batch.portable({"DATA": os.path.relpath(faces)})
    assert begun == {"DATA": "lfw_funneled"}


def test_a_name_of_a_notebook_reaches_no_other_folder(here):
    write_notebook(here / "elsewhere" / "03_other.ipynb")
    for name in ("../elsewhere/03", str(here / "elsewhere" / "03"), "*", "[0-9]0", "", ".."):
        with pytest.raises(ValueError, match="expected one notebook named"):
            find_notebooks([name], Path("notebooks"))


@pytest.mark.parametrize("text", ["", "{}", "null", "[1]", "no notebook", '{"cells": 3}'])
def test_a_file_that_is_no_notebook_is_named_in_one_line(here, text):
    (here / "mine.ipynb").write_text(text)
    refused("mine", notebooks=["mine.ipynb"])


# Limits of parameters


LIMITED = """EPOCHS = 2  # passes over the images [1, 100]
SIZE = 32  # pixels [16, 64] step 16
LR = 0.1  # of Adam (0, 1]
SHARE = 0.5  # held out [0, 1)
NETWORK = "small"  # {small, large net}
RADII = [1, 2]  # pixels [1, 8]
DIRECTIONS = 4  # of those [1, SIZE]
KEPT = ["wider"]  # of the changes {CHANGES}
FOLDS = 5  # {5, 10}
FREE = "x"  # a word (or two)
PROFILE = ""
OUT = ""
"""
CHANGES = """CHANGES = {"wider": some(3), "K = 2": {"k": 2}}
CHANGES |= {
    "longer": 3,
}
"""


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("EPOCHS", "0", r"EPOCHS: expected a value of \[1, 100\], got 0"),
        ("EPOCHS", -1, r"got -1"),
        ("EPOCHS", 101, r"got 101"),
        ("EPOCHS", "9" * 5000, "EPOCHS: expected int, like 2, got '9999.* ... 9"),
        ("SIZE", 33, r"SIZE: expected a value of \[16, 64\] step 16, got 33"),
        ("LR", 0, r"LR: expected a value of \(0, 1\], got 0.0"),
        ("LR", "nan", "LR: expected float, like 0.1, got 'nan'"),
        ("LR", float("nan"), "LR: expected float, like 0.1, got nan"),
        ("LR", "1e999", "LR: expected float, like 0.1, got '1e999'"),
        ("SHARE", 1, r"SHARE: expected a value of \[0, 1\), got 1.0"),
        ("NETWORK", "huge", "NETWORK: expected a value of {small, large net}, got 'huge'"),
        ("RADII", "[1, 9]", r"RADII: expected a value of \[1, 8\], got 9"),
        ("RADII", [], r"RADII: expected a list like \[1, 2\], got an empty one"),
        ("RADII", [1, "a"], r"RADII\[1\]: expected int, like 1, got 'a'"),
        ("RADII", "[" * 5000, "RADII: expected list"),
        ("DIRECTIONS", 33, r"DIRECTIONS: expected a value of \[1, SIZE = 32\], got 33"),
        ("FOLDS", 6, "FOLDS: expected a value of {5, 10}, got 6"),
        ("KEPT", ["longer", "x"], "KEPT: expected a value of {wider, K = 2, longer}, got 'x'"),
    ],
)
def test_a_value_out_of_the_limits_of_its_parameter_is_refused(tmp_path, name, value, complaint):
    path = write_notebook(tmp_path / "00_x.ipynb", CHANGES, parameters=LIMITED)
    with pytest.raises(ValueError, match=complaint) as caught:
        plan([path], {}, {name: value})
    assert len(str(caught.value)) < 200


def test_values_at_the_limits_are_taken(tmp_path):
    path = write_notebook(tmp_path / "00_x.ipynb", CHANGES, parameters=LIMITED)
    at = {"EPOCHS": 100, "SIZE": "64", "LR": 1, "SHARE": 0, "NETWORK": "large net", "RADII": [8]}
    at |= {"DIRECTIONS": 64, "KEPT": ["longer", "K = 2"]}
    (values,) = plan([path], {}, at).values()
    assert values == at | {"SIZE": 64, "FREE": "x", "FOLDS": 5}


FREE = {"DATA", "TRAIN_DATA", "PROFILE", "OUT", "RUNS", "ALIGNED"}  # folders and names


@pytest.mark.parametrize("path", chapters(NOTEBOOKS), ids=lambda path: path.stem)
def test_every_parameter_of_a_chapter_states_its_limits(path):
    for name, parameter in described_parameters(path).items():
        if name not in FREE and not isinstance(parameter.default, bool):
            assert limits(parameter.comment)[0], name


@pytest.mark.parametrize("name", profiles())
def test_every_chapter_is_planned_with_every_profile(name, tmp_path, monkeypatch):
    (tmp_path / "lfw").mkdir()
    monkeypatch.setenv("FACELAB_LFW", str(tmp_path))
    assert len(plan(chapters(NOTEBOOKS), read_profile(name), {})) == len(chapters(NOTEBOOKS))


@pytest.mark.parametrize(
    ("names", "parameters", "complaint"),
    [
        ("03 04 05 06 07", {"IMAGE_SIZE": 16}, r"IMAGE_SIZE: expected a value of \[32, 256\]"),
        ("05 08 10", {"ALIGNED": "no/folder"}, "LFW at .*no/folder, got nothing"),
        ("06", {"RUNS": "no/folder"}, "RUNS: expected a folder of runs, got none in no/folder"),
        ("07", {"LBP_PCA": 1, "LBP_LDA": 1024}, r"LBP_LDA: expected .* \[1, LBP_PCA = 1\], got"),
        ("09", {"TRAIN_DATA": "no/folder"}, "TRAIN_DATA: expected .*, got nothing at no/folder"),
        ("10", {"KEPT": ["nonsense"]}, "KEPT: expected .* dropout 0.1, .*, got 'nonsense'"),
    ],
)
def test_what_a_chapter_would_fail_by_or_ignore_is_refused(names, parameters, complaint):
    for path in find_notebooks(names.split(), NOTEBOOKS):
        with pytest.raises((ValueError, FileNotFoundError), match=complaint) as caught:
            plan([path], {}, parameters)
        assert "\n" not in str(caught.value)


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


def test_a_comment_in_code_is_no_heading(tmp_path):
    path = write_notebook(tmp_path / "my_own.ipynb", "# Parameters\nx = 1")
    notebook = nbformat.read(path, as_version=4)
    del notebook.cells[0]
    nbformat.write(notebook, path)
    assert heading(path) == "My own"
