"""Where a study lies: the notebooks and runs that came with facelab, and a copy of one's own."""

import shutil
from pathlib import Path

from facelab.checks import expect

PACKAGE = Path(__file__).parents[1]
# What came with facelab, and a study of one's own begins with; the wheel takes the same.
LAID_OUT = ("notebooks/*.ipynb", "notebooks/*.md", "notebooks/solutions/*.ipynb")
LAID_OUT += ("outputs/lfw*/*.md", "outputs/lfw*/*.html", "outputs/lfw*/*/*.ipynb")
LAID_OUT += ("outputs/lfw*/*/*.json", "outputs/lfw*/*/*.npz", "outputs/lfw*/*/*.png")
LAID_OUT += ("outputs/lfw*/*/*.jpg", "outputs/lfw*/*/*.safetensors")


def shipped(name: str) -> Path:
    """Return the folder ``notebooks`` or ``outputs`` that came with facelab."""
    installed = PACKAGE / name
    return installed if installed.is_dir() else PACKAGE.parent / name  # of a checkout


def notebooks_folder() -> Path:
    """Return ``notebooks`` in the working folder, or else those that came with facelab."""
    here = Path("notebooks")
    return here if here.is_dir() else shipped("notebooks")


def own_notebooks(study: str | Path) -> Path:
    """Return the notebooks in a folder, which may be changed; without them it is a ValueError."""
    folder = Path(study) / "notebooks"
    expected = "a folder with notebooks, as 'facelab new DIR' lays one out"
    expect(folder.is_dir(), expected, Path(study).resolve())
    return folder


def lay_out(study: str | Path) -> Path:
    """Copy the notebooks, and the committed runs, into a new folder."""
    study = Path(study)
    is_empty = not study.exists() or (study.is_dir() and not any(study.iterdir()))
    expect(is_empty, "a new or an empty folder", f"{study}, which holds something")
    for pattern in LAID_OUT:
        name, below = pattern.split("/", 1)
        for file in shipped(name).glob(below):
            copy = study / name / file.relative_to(shipped(name))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    shutil.copyfile(Path(__file__).with_name("start.md"), study / "README.md")
    return study
