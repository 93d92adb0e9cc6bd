"""Notebooks on the workers of dask.distributed."""

import sys

import nbformat
import pytest
from test_batch import PARAMETERS, record, write_notebook, write_study

from facelab.study import cluster
from facelab.study.batch import run_study

distributed = pytest.importorskip("distributed")
N_CORES = pytest.importorskip("dask.system").CPU_COUNT

ABOUT = "import os; print(os.getppid(), os.environ['OMP_NUM_THREADS'])"
DONE = """import json
from pathlib import Path
runs = [json.loads(path.read_text()) for path in Path(OUT).parent.glob("*/run.json")]
print(*sorted(one["notebook"] for one in runs if one["status"] == "done"))
raise LookupError("seen")"""
KILL = "import os, signal, time; os.kill(os.getppid(), signal.SIGKILL); time.sleep(9)"


def printed(out, name):
    cells = nbformat.read(out / name / f"{name}.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


@pytest.fixture
def here(tmp_path, monkeypatch):
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARENT", sys.executable)
    monkeypatch.setattr("dask.system.CPU_COUNT", 2)
    return tmp_path


def test_two_workers_share_the_notebooks_and_what_reads_their_runs_waits(here, capsys, caplog):
    caplog.set_level("INFO", "facelab")
    for name in ("05_one", "06_other"):
        write_notebook(here / "notebooks" / f"{name}.ipynb", ABOUT)
    write_notebook(
        here / "notebooks" / "03_compare.ipynb", DONE, parameters=PARAMETERS + 'RUNS = ""\n'
    )
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as workers:
        address = workers.scheduler_address
        failed = run_study(profile="tiny.yaml", parameters={"SEED": "1"}, scheduler=address)
    out = here / "outputs" / "tiny"
    assert failed["01_broken"] == "cell 4 (values = [1, 2]): IndexError: list index out of range"
    assert failed["03_compare"].endswith("LookupError: seen")
    assert printed(out, "03_compare") == "00_first 02_last\n"
    (one, threads), (other, as_many) = (printed(out, n).split() for n in ("05_one", "06_other"))
    assert one != other
    assert threads == as_many == str(max(1, N_CORES // 2))
    assert record(out, "00_first")["status"] == "done"
    assert "[1/6] 00_first  done after" in caplog.text
    assert "6/6" in capsys.readouterr().err


def test_a_notebook_that_ends_its_worker_has_failed_and_the_others_go_on(here, capsys):
    write_notebook(here / "notebooks" / "01_kills.ipynb", KILL)
    failed = run_study(["00", "01_k"], "tiny.yaml", {"SEED": "1"}, scheduler="local")
    assert list(failed) == ["01_kills"] and "its worker: KilledWorker" in failed["01_kills"]
    assert record(here / "outputs" / "tiny", "00_first")["status"] == "done"


def test_a_scheduler_without_workers_or_without_the_extra_is_one_line(here, monkeypatch):
    nobody = distributed.LocalCluster(n_workers=0, dashboard_address=None)
    with nobody, pytest.raises(ValueError, match="expected workers of the scheduler at tcp.*none"):
        run_study(["00"], "tiny.yaml", scheduler=nobody.scheduler_address)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"expected the scheduler of facelab\[cluster\]"):
        list(cluster.run_on("local", None, []))
    with pytest.raises(ValueError, match="expected local or an address tcp://.*, got '01'"):
        list(cluster.run_on("01", None, []))
    assert not (here / "outputs" / "tiny" / "00_first").exists()
