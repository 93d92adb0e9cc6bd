"""`embed`, from images to embeddings with any network, and what is said when one does not fit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from facelab.augmentation import to_float
from facelab.checks import expect, kinds, one_line, places, whole
from facelab.faces import Faces
from facelab.progress import MANY, Progress

STEPS = (0, -1, 1)  # of a moved image, times `shift`


@kinds
def embed(
    model: nn.Module,
    faces: Faces,
    rows: np.ndarray | None = None,
    flip: bool = False,
    shift: int = 0,
    batch_size: int = 32,
    progress: bool = True,
) -> np.ndarray:
    """Embed images, by default all, once each: float32 of shape (n_images, D), of unit length.

    With `flip`, the embedding of the mirrored image is added before scaling to unit length; with
    `shift`, those of the image moved by so many pixels up, down, left, right and to its corners,
    too. Small batches reuse their memory from one to the next; no embedding depends on their size.
    """
    rows = np.arange(len(faces)) if rows is None else places("rows", rows, len(faces))
    batch_size = whole("batch_size", batch_size, 1)
    shift = whole("shift", shift, 0, min(faces.packed.shape[2:]) - 1)
    expect(len(rows), "images to embed", "none")
    weight = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(0))
    out = []
    with _evaluated(model), torch.inference_mode():
        starts = range(0, len(rows), batch_size)
        for start in Progress(starts, "embedding", disable=not progress or len(rows) < MANY):
            batch = torch.from_numpy(faces.batch(rows[start : start + batch_size]))
            images = to_float(batch.to(weight.device)).to(weight.dtype)  # (B, 3, H, W)
            shown = looks(images, flip, shift)
            embeddings = sum(embeddings_of(model, look) for look in shown)  # (B, D)
            out.append(functional.normalize(embeddings).cpu())
    return torch.cat(out).numpy()


@contextmanager
def _evaluated(model: nn.Module) -> Iterator[None]:
    """Evaluate a model, then leave each of its parts as it was: some may be frozen in training."""
    was_training = {part: part.training for part in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for part, was in was_training.items():
            part.training = was


def averaged(settings: dict) -> dict:
    """Return what `embed` averages for a network with these settings, as its arguments."""
    return {"flip": settings.get("flip") or False, "shift": settings.get("shift") or 0}


def looks(images: torch.Tensor, flip: bool = False, shift: int = 0) -> Iterator[torch.Tensor]:
    """Yield a batch (B, 3, H, W) in every way that `embed` shows it to a network, itself first."""
    height, width = images.shape[2:]
    wide = functional.pad(images, [shift] * 4, mode="replicate") if shift else images
    for down, right in product(STEPS, STEPS) if shift else [(0, 0)]:
        top, left = shift * (1 + down), shift * (1 + right)
        moved = wide[:, :, top : top + height, left : left + width]
        yield moved
        if flip:
            yield moved.flip(3)


@contextmanager
def expecting(what: str) -> Iterator[None]:
    """Say in one line what was expected of a part of the user's own when it fails."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise ValueError(f"expected {what}, got {one_line(error)}") from error


def embeddings_of(network: Callable, images: torch.Tensor) -> torch.Tensor:
    """Return the embeddings of a batch, float32 of shape (B, D); any other output is refused."""
    n, *shape = images.shape
    shape = ", ".join(map(str, shape))
    what = f"a model that maps images of shape (B, {shape}) to embeddings of shape (B, D)"
    with expecting(what):
        embeddings = network(images)
    got = f"a {type(embeddings).__name__}; return the tensor"
    expect(torch.is_tensor(embeddings), what, got)
    got = f"shape {tuple(embeddings.shape)} for {n} images"
    expect(embeddings.ndim == 2 and len(embeddings) == n, what, got)
    return embeddings.float()
