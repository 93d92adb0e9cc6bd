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
SIZE_LIMIT = 500_000  # bytes of an executed notebook that can still be read on a web page

# Kernels see the terminal of the batch, but their bars do not end up on it: without these the
# width of the window would cut what they say.
TQDM = {"TQDM_NCOLS": "200", "TQDM_NROWS": "20", "TQDM_BAR_FORMAT": "{l_bar}{bar:10}{r_bar}"}


# For kernels alone, of `facelab run` and `facelab lab`: glibc hands large blocks back to the system
# and fetches them anew, 4 kB at a time, at every training step; kept, they make the small network
# up to 1.7 times as fast, and in pages of 2 MB, where Linux gives them for the asking, a tenth
# faster still. Set these variables yourself to override them; run.json has what held.
MALLOC = {
    name: os.environ.get(name, value)
    for name, value in {
        "MALLOC_MMAP_THRESHOLD_": "1000000000",
        "MALLOC_TRIM_THRESHOLD_": "1000000000",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }.items()
}


class _ThisPython(AsyncKernelManager):
    """Starts kernels of the Python that runs now, whatever kernels the user has installed."""

    transport_encryption = "auto"  # otherwise newer kernels warn on every start

    @property
    def kernel_spec(self):
        return KernelSpec(**get_kernel_dict(), env=TQDM | MALLOC)


class Progress:
    """One line: notebook, cell, and the last thing that the cell said on stderr (its epochs).

    On a terminal the line is rewritten; in a log a new one is written every few seconds.

    Parameters
    ----------
    title : str
        Begins the line.
    n_cells : int
        Code cells in the notebook.
    """

    def __init__(self, title: str, n_cells: int):
        self.title, self.n_cells, self.cell, self.said = title, n_cells, 0, ""
        self.live = sys.stdout.isatty()
        self.last = 0.0

    def start_cell(self, cell, cell_index) -> None:
        """Take note of the next code cell; a hook of nbclient."""
        self.cell += 1
        self.said = _first_line(cell.source)
        self.show()

    def write(self, text: str) -> None:
        """Take what the kernel wrote to stderr."""
        lines = [line for line in re.split(r"[\r\n]", text) if line.strip()]
        if lines:  # "epoch:  30%|██     | 3/9 [00:10<00:20, 3.33s/epoch, loss 1]": less will do
            self.said = re.sub(r"\s*\d+%\|.*?\||,\s+[\d.?]+\w*/\w+", "", lines[-1]).strip()
            self.show()

    def flush(self) -> None:
        """Do nothing: `write` shows it at once."""

    def show(self) -> None:
        """Print the line, unless that was done a moment ago."""
        if time.monotonic() - self.last < (0.1 if self.live else 5):
            return
        self.last = time.monotonic()
        line = f"{self.title}  cell {self.cell}/{self.n_cells}  {self.said}"
        if self.live:
            line = "\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1]
        print(line, end="" if self.live else "\n", flush=True)

    def clear(self) -> None:
        """Leave an empty line behind."""
        print("\r\x1b[K" if self.live else "", end="", flush=True)


def execute(path: Path, parameters: Mapping[str, object], out: Path, title: str) -> str:
    """Execute the notebook `path` with `parameters`, from the working folder, into `out`.

    Returns
    -------
    str
        Empty, or the cell that failed and why. The notebook is kept in `out` either way.
    """
    cells = nbformat.read(path, as_version=4).cells
    n_cells = 1 + sum(c.cell_type == "code" and bool(c.source.strip()) for c in cells)
    progress, cause = Progress(title, n_cells), ""
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
            coalesce_streams=True,  # of a progress bar only its last state is kept
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
        _strip(out)
        if out.stat().st_size > SIZE_LIMIT:
            size = out.stat().st_size / 1000
            print(f"{title}  note: {out} has {size:.0f} kB, more than {SIZE_LIMIT / 1000:.0f}")
    return cause


def _first_line(source: str) -> str:
    """Return the first line of a cell that is no comment."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("#")), lines[0])


def _strip(path: Path) -> None:
    """Drop papermill's records, which run.json has, and widgets, which need a kernel."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if WIDGET not in o.get("data", {})]
    for part in (notebook, *notebook.cells):
        part.metadata.pop("papermill", None)
    nbformat.write(notebook, path)
