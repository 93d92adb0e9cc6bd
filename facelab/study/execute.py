"""Execute one notebook with papermill, and say on the terminal where it is."""

import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from papermill.exceptions import PapermillExecutionError

WIDGET = "application/vnd.jupyter.widget-view+json"
BAR = r"\s*\d+%\|.*?\||,\s+[\d.?]+\w*/\w+"  # of "epoch:  30%|██   | 3/9 [00:10<00:20, 3.33s/epoch]"

# Bars of kernels do not end up on the terminal whose width would cut what they say.
TQDM = {"TQDM_NCOLS": "200", "TQDM_NROWS": "20", "TQDM_BAR_FORMAT": "{l_bar}{bar:10}{r_bar}"}

# For kernels alone, of `facelab run` and `facelab lab`: glibc hands large blocks back to the system
# and fetches them anew, 4 kB at a time, at every training step; kept, they make the small network
# up to 1.7 times as fast, and in pages of 2 MB, where Linux gives them for the asking, a tenth
# faster still. Set these variables yourself to override them; run.json has what held.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
MALLOC = {name: os.environ.get(name, value) for name, value in MALLOC.items()}


class _ThisPython(AsyncKernelManager):
    """Starts kernels of the Python that runs now, whatever kernels the user has installed."""

    transport_encryption = "auto"  # otherwise newer kernels warn on every start

    @property
    def kernel_spec(self):
        return KernelSpec(**get_kernel_dict(), env=TQDM | MALLOC)


class Progress:
    """One line: `title`, cell of `n_cells`, and what it last said on stderr (its epochs).

    On a terminal the line is rewritten; in a log a new one is written every few seconds.
    """

    def __init__(self, title: str, n_cells: int):
        self.title = title
        self.n_cells = n_cells
        self.cell = 0
        self.said = ""
        self.live = sys.stdout.isatty()
        self.last = 0.0

    def start_cell(self, cell, cell_index) -> None:
        """Take note of the next code cell; a hook of nbclient."""
        self.cell += 1
        self.write(_first_line(cell.source))

    def write(self, text: str) -> None:
        """Take what the kernel wrote to stderr; show it, unless that was done a moment ago."""
        lines = [line for line in re.split(r"[\r\n]", text) if line.strip()]
        self.said = re.sub(BAR, "", lines[-1]).strip() if lines else self.said
        pause = 0.1 if self.live else 5
        if time.monotonic() - self.last < pause:
            return
        self.last = time.monotonic()
        line = f"{self.title}  cell {self.cell}/{self.n_cells}  {self.said}"
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            print("\r\x1b[K" + line[:width], end="", flush=True)
        else:
            print(line, flush=True)

    def flush(self) -> None:
        """Do nothing: `write` shows it at once."""

    def clear(self) -> None:
        """Leave an empty line behind."""
        print("\r\x1b[K" if self.live else "", end="", flush=True)


def execute(path: Path, parameters: Mapping[str, object], out: Path, title: str) -> str:
    """Execute the notebook `path` with `parameters`, from the working folder, into `out`.

    Returns the cell that failed and why, or nothing; `out` is kept either way.
    """
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    progress = Progress(title, 1 + len(code))  # papermill adds a cell with the parameters
    cause = ""
    try:
        papermill.execute_notebook(
            os.path.relpath(path),
            str(out),
            dict(parameters),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            stderr_file=progress,
            on_cell_execute=progress.start_cell,
            kernel_manager_class=_ThisPython,
            coalesce_streams=True,
            record_timing=False,
        )
    except PapermillExecutionError as e:
        why = "\n  ".join(f"{e.ename}: {e.evalue}".strip().splitlines()[:5])
        cause = f"cell {e.exec_count} ({_first_line(e.source)}): {why}"
    except Exception as e:  # the kernel died, or could not be started
        cause = f"cell {progress.cell} ({progress.said}): {type(e).__name__}: {e}"
    finally:
        progress.clear()
    if out.exists():
        strip(out)
    return cause


def _first_line(source: str) -> str:
    """Return the first line of a cell that is no comment."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("#")), lines[0])


def strip(path: Path) -> None:
    """Drop papermill's records, widgets, and stderr (bars, remarks of libraries); errors stay."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            said = [output for output in cell.outputs if output.get("name") != "stderr"]
            cell.outputs = [output for output in said if WIDGET not in output.get("data", {})]
    nbformat.write(notebook, path)
