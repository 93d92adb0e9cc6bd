"""The command line: what it prints, and what it exits with."""

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from records import make_record, write_record
from test_batch import PARAMETERS, write_notebook

from facelab.files import alone_in
from facelab.study.commands import LAB, main
from facelab.study.layout import LAID_OUT, notebooks_folder
from facelab.study.results import load_results

ROOT = Path(__file__).parents[1]
BROKEN = "raise ValueError('expected bread, got a stone')"


@pytest.fixture
def facelab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACELAB_LFW", raising=False)
    return lambda *arguments: CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    "arguments",
    ["", "new", "run", "lab", "explore", "report", "data", "data fetch", "data info"],
)
def test_every_command_explains_itself(facelab, arguments):
    result = facelab(*arguments.split(), "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_every_option_says_what_it_is():
    commands = [*main.commands.values(), *main.commands["data"].commands.values()]
    found = [one for command in commands for one in command.params if isinstance(one, click.Option)]
    assert len(found) > 15
    assert [one.name for one in found if not one.help] == []


def test_the_version_is_that_of_the_package(facelab):
    assert facelab("--version").output == f"facelab, version {version('facelab')}\n"


def test_a_record_of_another_version_is_one_line_that_names_the_file(facelab, tmp_path):
    write_record(tmp_path / "out" / "00_x", make_record() | {"schema": 1})
    result = facelab("report", "out")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "out/00_x/run.json" in result.stderr


def test_a_report_is_not_written_into_a_folder_that_a_run_writes_into(facelab, tmp_path):
    write_record(tmp_path / "out" / "00_x", make_record())
    with alone_in("out"):
        result = facelab("report", "out")
    assert result.exit_code == 2 and "expected a folder of its own" in result.stderr
    assert facelab("report", "out").exit_code == 0
    assert facelab("report", "none").exit_code == 2 and not Path("none").exists()


def test_a_notebooks_help_has_its_parameters_and_the_list_its_title(facelab, tmp_path):
    parameters = f"{PARAMETERS}SIZE = 32  # pixels [16, 64] step 16\n"
    write_notebook(tmp_path / "notebooks" / "00_x.ipynb", parameters=parameters)
    result = facelab("run", "00", "--help")
    assert result.exit_code == 0
    title, *lines = result.output.splitlines()
    assert title == "00_x: Title"
    assert "  EPOCHS = 2          passes over the images" in lines
    assert "  SIZE = 32           pixels [16, 64] step 16" in lines
    assert not [line for line in lines if "OUT" in line]
    assert facelab("run", "--list").output == "00_x  Title\n"
    assert not (tmp_path / "outputs").exists()


def test_a_message_is_one_line_of_bounded_length(facelab, tmp_path):
    place = tmp_path / "out" / "00_x"
    place.mkdir(parents=True)
    (place / "run.json").write_text("x\n" * 1_000_000)
    (tmp_path / "own.yaml").write_text(f"EPOCHS: {'[' * 100_000}")
    (tmp_path / "long.yaml").write_text(f"epochs: {'x' * 1_000_000}")
    write_notebook(tmp_path / "notebooks" / "00_x.ipynb", parameters="%magic")
    for command in ("report out", "run --profile own.yaml", "run --profile long.yaml", "run"):
        result = facelab(*command.split())
        assert result.exit_code == 2, command
        assert result.stderr.count("\n") == 1 and len(result.stderr) < 600, command


def test_a_terminal_that_lacks_a_character_gets_another():
    code = "from facelab.study.commands import main; main(['report', 'ж'])"
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert result.returncode == 2
    assert result.stderr.count(b"\n") == 1 and b"below ?, found none" in result.stderr


@pytest.mark.parametrize(
    ("given", "got"),
    [([], None), (["--scheduler"], "local"), (["--scheduler", "tcp://a:1"], "tcp://a:1")],
)
def test_a_scheduler_without_an_address_is_here(facelab, monkeypatch, given, got):
    asked = []

    def run(notebooks, scheduler, **options):
        asked.append(scheduler)
        return {}

    monkeypatch.setattr("facelab.study.batch.run_study", run)
    assert facelab("run", *given).exit_code == 0
    assert asked == [got]


def test_help_loads_no_torch():
    code = (
        "import sys, facelab.study.commands; sys.exit(bool({'torch', 'pandas'} & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_reads_results_loads_no_compiler():
    code = (
        "import sys, facelab.study.report, facelab.study.batch\n"
        "from facelab import Run, embed, load_network, load_results, siamese_cnn, verify\n"
        "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_run_in_a_shell_names_the_failed_cell_and_exits_with_1(facelab, tmp_path):
    write_notebook(tmp_path / "notebooks" / "00_x.ipynb", BROKEN)
    (tmp_path / "own.yaml").write_text("EPOCHS: 3")
    command = [sys.executable, "-m", "facelab", "run", "--profile", "own.yaml", "--out", "results"]
    command += ["-p", "LR", "-1e-3", "-p", "SEED", "4"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    complaint = (
        f"facelab: 00_x failed in cell 3 ({BROKEN}): ValueError: expected bread, got a stone"
    )
    assert complaint in result.stderr.splitlines()
    assert "Traceback" not in result.stderr
    assert "[1/1] 00_x:   0%" in result.stderr
    assert "/4 [" in result.stderr  # the cells, and the one with the parameters
    assert "[1/1] 00_x  FAILED after" in result.stderr
    assert "report: results/report.html" in result.stderr
    assert '"LR": -0.001' in Path(tmp_path / "results" / "00_x" / "run.json").read_text("utf-8")
    assert facelab("report", "results").output == "results/report.html\n"


def test_a_mistake_of_the_user_is_one_line_and_exits_with_2(facelab, tmp_path):
    write_notebook(tmp_path / "notebooks" / "00_x.ipynb", parameters=PARAMETERS)
    (tmp_path / "own.yaml").write_text("EPOCHS: 3")
    result = facelab("run", "--profile", "own.yaml", "-p", "EPOCH", "3")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(
        "facelab: expected a parameter of 00_x, got EPOCH (did you mean"
    )
    assert result.stderr.count("\n") == 1
    assert facelab("report", "nowhere").exit_code == 2
    assert not (tmp_path / "outputs").exists()


def files_below(folder):
    there = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix() for path in there}
    return {name for name in names if "checkpoints/" not in name}


def test_new_lays_out_a_study_that_run_lab_and_compare_work_in_and_overwrites_nothing(
    facelab, monkeypatch
):
    assert facelab("new", "study").exit_code == 0
    kept = {place: files_below(place / "notebooks") for place in (ROOT, Path("study"))}
    of_book = {"_config.yml", "_toc.yml"}
    assert kept[Path("study")] == kept[ROOT] - of_book > {"glossary.md"}
    text = Path("study/README.md").read_text()
    assert all(Path("study", file).is_file() for file in re.findall(r"\]\((.+?)\)", text))
    committed = load_results(ROOT / "outputs" / "lfw-cpu")
    assert len(load_results("study/outputs/lfw-cpu")) == len(committed) > 0
    Path("study/notebooks/00_faces_and_pairs.ipynb").write_text("mine")
    for place in ("study", "study/README.md"):
        refused = facelab("new", place)
        assert refused.exit_code == 2
        assert f"expected a new or an empty folder, got {place}" in refused.stderr
    assert Path("study/notebooks/00_faces_and_pairs.ipynb").read_text() == "mine"
    Path("empty").mkdir()
    assert facelab("new", "empty").exit_code == 0
    monkeypatch.chdir("study")
    assert notebooks_folder() == Path("notebooks")


def test_the_wheel_takes_what_new_lays_out():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert {f"/{pattern}" for pattern in LAID_OUT} < {*wheel["targets"]["wheel"]["include"]}
    sources = wheel["targets"]["wheel"]["sources"]
    assert sources == {name: f"facelab/{name}" for name in ("notebooks", "outputs")}


@pytest.mark.parametrize("command", ["lab", "explore"])
def test_notebooks_that_came_with_facelab_are_not_opened_to_be_changed(facelab, command):
    result = facelab(command)
    assert result.exit_code == 2
    assert "expected a folder with notebooks, as 'facelab new DIR' lays one out" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "begun", "expected"),
    [
        ([], "ne", ["new"]),
        (["run"], "0", ["00_x", "01_y"]),
        (["run", "01"], "01", ["01_y"]),
        (
            ["run", "--profile"],
            "",
            ["across", "lfw", "lfw-cpu", "lfw-resnet50", "own.yaml", "smoke"],
        ),
        (["run", "--profile"], "lfw-", ["lfw-cpu", "lfw-resnet50"]),
        (["run", "-p"], "E", ["EPOCHS"]),
        (["run", "-p"], "O", []),  # OUT is the batch's own
        (["run", "00", "-p"], "si", ["SIZE"]),
        (["run", "01", "-p"], "si", []),
        (["run", "00", "-p", "SIZE"], "", ["32"]),
        (["run", "00", "-p", "EPOCHS", "3", "-p", "WAY"], "", ["by", "for"]),
        (["run", "00", "-p", "WAY"], "f", ["for"]),
        (["run", "00", "-p", "FLIP"], "", ["False", "True"]),
        (["run", "-p", "NONE"], "", []),
        (["run", "-p", "SIZE", "32"], "01", ["01_y"]),
    ],
)
def test_a_shell_completes_notebooks_profiles_and_parameters(
    facelab, tmp_path, words, begun, expected
):
    more = f"{PARAMETERS}SIZE = 32  # pixels [16, 64] step 16\nWAY = 'by'  # {{by, for}}\n"
    more += "FLIP = True  # mirrored too\n"
    write_notebook(tmp_path / "notebooks" / "00_x.ipynb", parameters=more)
    write_notebook(tmp_path / "notebooks" / "01_y.ipynb", parameters=PARAMETERS)
    (tmp_path / "own.yaml").write_text("EPOCHS: 3")
    shell = ShellComplete(main, {}, "facelab", "_FACELAB_COMPLETE")
    found = shell.get_completions(words, begun)
    assert sorted(item.value for item in found) == expected
    if "SIZE" in expected or "32" in expected:
        assert found[0].help == "pixels [16, 64] step 16"


def test_lab_opens_a_study_in_jupyterlab_with_memory_settings_that_the_user_has_not_made(
    facelab, tmp_path, monkeypatch
):
    (tmp_path / "study" / "notebooks").mkdir(parents=True)
    started = []
    monkeypatch.setattr("os.execve", lambda *call: started.append(call))
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setattr("facelab.study.execute.MALLOC", {"MALLOC_MMAP_THRESHOLD_": "7"})
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    assert facelab("lab", "study", "--port", "9999", "--no-browser", "--ip=::1").exit_code == 0
    ((program, command, environment),) = started
    assert program == command[0] == sys.executable
    assert command[1:] == [
        "-m", "jupyterlab", "study", "--port", "9999", "--no-browser", "--ip=::1"
    ]  # fmt: skip
    assert environment == os.environ | {"MALLOC_MMAP_THRESHOLD_": "7"}
    assert environment["JUPYTER_CONFIG_PATH"] == f"{LAB}{os.pathsep}mine"
    assert "MALLOC_MMAP_THRESHOLD_" not in os.environ  # nor in any other program
    (tmp_path / "study" / "README.md").write_text("# Begin here")
    assert facelab("lab", "study").exit_code == 0
    assert started[1][1][3:] == ["study", "--LabApp.default_url=/lab/tree/README.md"]


def test_memory_settings_of_ones_own_win():
    code = "from facelab.study.execute import MALLOC; print(*MALLOC.values())"
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    environment["GLIBC_TUNABLES"] = "glibc.malloc.arena_max=2"
    environment.pop("MALLOC_TRIM_THRESHOLD_", None)
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said.split() == ["65536", "1000000000", "glibc.malloc.arena_max=2"]


def test_ctrl_c_stops_and_says_how_to_go_on(facelab, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("facelab.study.batch.run_study", stop)
    result = facelab("run")
    assert result.exit_code == 130
    assert result.stderr == "facelab: stopped; 'facelab run --resume' goes on from here\n"
    monkeypatch.setattr("facelab.study.layout.lay_out", stop)
    assert facelab("new", "study").stderr == "facelab: stopped\n"


@pytest.mark.skipif(os.name == "nt", reason="a signal to one process is POSIX's")
def test_ctrl_c_in_a_running_kernel_prints_one_line_after_the_bars(tmp_path):
    cell = "import sys, time; print('begun', file=sys.stderr, flush=True); time.sleep(300)"
    write_notebook(tmp_path / "notebooks" / "00_x.ipynb", cell)
    (tmp_path / "own.yaml").write_text("EPOCHS: 3")
    command = [sys.executable, "-m", "facelab", "run", "--profile", "own.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "begun" in line:
                break
        time.sleep(1)  # until the batch waits for the kernel again
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    said = [line for line in rest.splitlines() if line and not line.startswith("[1/1] 00_x: ")]
    again = "facelab run --profile own.yaml --resume"
    assert said == [f"facelab: stopped; '{again}' goes on from here"]


def test_data_commands_draw_faces_and_describe_them(facelab, tmp_path):
    result = facelab("data", "synthesize", "faces", "--people", "40", "--seed", "1")
    assert result.exit_code == 0, result.output
    result = facelab("data", "info", "faces")
    assert result.exit_code == 0, result.output
    assert "synthetic faces" in result.output
    next(Path("faces").rglob("*_0001.jpg")).write_bytes(b"no image")
    result = facelab("data", "info", "faces")
    assert result.exit_code == 1
    assert "_0001.jpg" in result.output


def test_a_folder_that_may_not_be_read_is_one_line(facelab, write_copy, monkeypatch):
    write_copy("faces")
    real = os.scandir

    def scan(path):  # root may read everything, so no mode of a folder would do
        if Path(path).name == "Person_Ab":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scan)
    result = facelab("data", "info", "faces")
    assert result.exit_code == 2 and result.stdout == ""
    assert re.fullmatch(r"facelab: \[Errno 13\] Permission denied: .*Person_Ab'\n", result.stderr)


def test_a_download_that_fails_is_one_line_and_exits_with_2(facelab, monkeypatch):
    from facelab.data import download

    def refuse(out, variant):
        raise download.DownloadError(f"no network for {variant} into {out}")

    monkeypatch.setattr(download, "fetch", refuse)
    result = facelab("data", "fetch", "--variant", "original")
    assert result.exit_code == 2
    assert result.stderr == "facelab: no network for original into data\n"
