"""Send notebooks to the workers of dask.distributed, each at work on one at a time."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from urllib.parse import urlsplit

from tqdm import tqdm

from facelab.checks import expect, extra, one_line

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Kernels keep the variables of `execute`, and a notebook that ends its worker is not tried again.
LOCAL = {"distributed.nanny.pre-spawn-environ": {}, "distributed.scheduler.allowed-failures": 0}


def run_on(address: str, attempt: Callable, jobs: list) -> Iterator[tuple[str, str, str]]:
    """Yield what ``attempt(job)`` returns on a worker: name, what to say, why it failed.

    `address` is a scheduler's, ``tcp://host:8786``, whose workers have this package and this very
    folder, or ``local``: as many workers on this machine as there are jobs and cores. Each thread
    of a worker takes one notebook, and the notebooks on a machine share its cores. One that
    `waits`, for it reads the runs of those before it, runs alone.
    """
    is_address = address == "local" or ":" in address
    expect(is_address, "local or an address tcp://HOST:PORT", repr(address))
    distributed = extra("distributed", "the scheduler", "cluster")
    import dask.system  # which distributed brings

    settings = {"n_workers": min(len(jobs), dask.system.CPU_COUNT), "threads_per_worker": 1}
    to = settings | {"dashboard_address": None} if address == "local" else {"address": address}
    with dask.config.set(LOCAL), distributed.Client(**to) as client, tqdm(total=len(jobs)) as bar:
        if address == "local":
            client.run(_silence)
        at_once = Counter()  # notebooks, by machine
        for worker, n_threads in client.nthreads().items():
            at_once[urlsplit(worker).hostname] += n_threads
        expect(at_once, f"workers of the scheduler at {address}", "none")
        about = {"folder": os.getcwd(), "n_shares": max(at_once.values()), "pure": False}
        for _, wave in groupby(jobs, lambda job: job.waits and job.path):
            sent = {client.submit(_on_worker, attempt, job, **about): job for job in wave}
            for future in distributed.as_completed(sent):
                try:
                    result = future.result()
                except Exception as e:  # the worker ended, or has not what it needs
                    why = str(e).split(". ")[0]
                    cause = one_line(f"its worker: {type(e).__name__}: {why}")
                    job = sent[future]
                    result = (job.path.stem, f"{job.title}  FAILED\n  {cause}", cause)
                bar.update()
                yield result


def _on_worker(attempt: Callable, job, folder: str, n_shares: int):
    from dask.system import CPU_COUNT

    os.chdir(folder)
    os.environ |= dict.fromkeys(THREADS, str(max(1, CPU_COUNT // n_shares)))
    return attempt(job)


def _silence() -> None:
    """Show no bars of notebooks, which would write over each other."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
