"""With what a run was made: parameters, commit, versions, machine."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = ("facelab", "torch", "torchvision", "pytorch-metric-learning", "numpy", "pillow")


def parameters(namespace: Mapping[str, object]) -> dict[str, object]:
    """Collect the UPPER_CASE str, int, float, bool, None and lists of these.

    >>> parameters({"EPOCHS": 20, "MARGIN": 0.5, "faces": "no parameter", "_X": 1, "TABLE": {}})
    {'EPOCHS': 20, 'MARGIN': 0.5}
    """
    names = [name for name in namespace if name.isupper() and not name.startswith("_")]
    return {name: namespace[name] for name in names if _is_plain(namespace[name])}


def _is_plain(value) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def commit() -> dict[str, object]:
    """Return the ``commit`` around the package; ``changed`` if package or notebooks differ."""
    here = Path(__file__).resolve().parent
    try:
        _git(here, "ls-files", "--error-unmatch", __file__)  # not installed in another repository
        root = _git(here, "rev-parse", "--show-toplevel")
        changes = _git(root, "status", "--porcelain", "--", "facelab", "notebooks")
        return {"commit": _git(root, "rev-parse", "HEAD"), "changed": bool(changes)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "changed": None}


def tracked(folder: Path) -> bool:
    """Return whether git holds anything in a folder."""
    try:
        return bool(_git(folder, "ls-files", "--", "."))
    except (OSError, subprocess.CalledProcessError):  # no git, no repository, no such folder
        return False


def _git(folder, *arguments: str) -> str:
    command = ["git", "-C", folder, *arguments]
    said = subprocess.check_output(command, stderr=subprocess.DEVNULL)
    return said.decode(errors="surrogateescape").strip()  # UTF-8 on Windows too


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    installed = {package: metadata.version(package) for package in PACKAGES}
    return {"python": platform.python_version()} | installed


def device() -> dict[str, object]:
    """Return processor, cores, torch's threads, the GPU if one was used, and glibc's settings."""
    cuda = torch.cuda
    gpu_used = cuda.is_available() and cuda.max_memory_allocated() > 0
    of_glibc = sorted(name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_")))
    information = Path("/proc/cpuinfo")
    text = information.read_text(errors="replace") if information.exists() else ""
    model = re.search(r"model name\s*: (.*)", text)
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": cuda.get_device_name() if gpu_used else None,
        "malloc": {name: os.environ[name] for name in of_glibc},
    }
