"""Execute one notebook with papermill, whose bar says on the terminal where it is."""

import os
import re
import sys
from pathlib import Path

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from jupyter_core.utils import ensure_event_loop
from papermill.exceptions import PapermillExecutionError

from facelab.checks import one_line
from facelab.progress import IN_BATCH
from facelab.study.writing import relative, without_places

WIDGET = "application/vnd.jupyter.widget-view+json"

# For kernels alone, of `facelab run` and `facelab lab`: glibc hands large blocks back to the system
# and fetches them anew, 4 kB at a time, at every training step; kept, they make the small network
# up to 1.7 times as fast, and in pages of 2 MB a tenth faster still. Variables that you have set
# yourself stay; run.json has what held.
DEFAULTS = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
MALLOC = {name: os.environ.get(name, value) for name, value in DEFAULTS.items()}
# Else each training tells its precision, in the midst of the bars.
QUIET = "__import__('logging').getLogger('lightning_fabric.utilities.rank_zero').setLevel(30)"


class _ThisPython(AsyncKernelManager):
    """Starts kernels of the Python that runs now, whatever kernels the user has installed."""

    transport_encryption = "auto"  # otherwise newer kernels warn on every start
    kernel_spec = KernelSpec(**get_kernel_dict(), env=MALLOC | {IN_BATCH: "1"})
    kernel_spec.argv.append(f"--IPKernelApp.exec_lines={QUIET}")
    kernel_spec.argv.append("--IPKernelApp.log_level=CRITICAL")  # one that is stopped would tell


def execute(path: Path, parameters: dict, out: Path, title: str) -> str:
    """Execute the notebook `path` with `parameters`, from the working folder, into `out`.

    Returns the cell that failed and why, or nothing; `out` is kept either way.
    """
    begun = ["the start of the kernel"]
    error = ""
    try:
        papermill.execute_notebook(
            str(relative(path)),
            str(out),
            parameters,
            kernel_name="python3",
            language="python",
            progress_bar={"desc": title},
            stderr_file=sys.stderr,  # with the bars of the epochs
            on_cell_execute=lambda cell, cell_index: begun.append(cell.source),
            kernel_manager_class=_ThisPython,
            coalesce_streams=True,
            record_timing=False,
        )
    except PapermillExecutionError as e:
        error = f"{e.ename}: {e.evalue}"
    except KeyboardInterrupt:  # what was under way would tell of its end in tracebacks
        ensure_event_loop().set_exception_handler(lambda loop, context: None)
        raise
    except Exception as e:  # the kernel died, or could not be started
        error = f"{type(e).__name__}: {e}"
    try:
        if out.exists():
            strip(out, path)
    except (ValueError, OSError) as e:  # cut off, where the disk was full
        error = error or f"{out.name} could not be written: {e}"
    lines = [line.strip() for line in begun[-1].splitlines() if line.strip()]
    first = next((line for line in lines if not line.startswith("#")), "".join(lines[:1]))
    cell = f"cell {len(begun) - 1} ({one_line(first, 100)})"
    return f"{cell}: {one_line(without_places(error), 400)}" if error else ""


def strip(path: Path, source: Path) -> None:
    """Drop papermill's records, widgets, stderr (bars, remarks) and places of this machine.

    Links lead from `path` then.
    """

    def link(found: re.Match) -> str:
        file = source.parent / found[1]
        if not file.is_file():
            return found[0]
        return f"]({relative(file, path.parent).as_posix()})"

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        if cell.cell_type == "code":
            said = [output for output in cell.outputs if output.get("name") != "stderr"]
            cell.outputs = [output for output in said if WIDGET not in output.get("data", {})]
            for output in cell.outputs:
                if output.output_type == "error":
                    output.evalue = without_places(output.evalue)
                    output.traceback = [without_places(line) for line in output.traceback]
            if "injected-parameters" in cell.metadata.get("tags", ()):
                cell.source = without_places(cell.source)
        elif cell.cell_type == "markdown":
            cell.source = re.sub(r"\]\(([\w./-]+)\)", link, cell.source)
    nbformat.write(notebook, path)
