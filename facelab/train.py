"""`fit`, the one training loop of the study, and `embed`."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from facelab.augmentation import to_float
from facelab.checkpoints import describe, resume, save
from facelab.faces import Faces
from facelab.learning import Learner
from facelab.samplers import shuffled
from facelab.verification import auc

COLLAPSED = 0.05  # mean distance of different people below which all embeddings are one point
WATCHED = ["epoch", "split", "source", "synthetic", "role", "distance", "same"]


class Training(NamedTuple):
    """What `fit` returns.

    Parameters
    ----------
    history : DataFrame
        A row per epoch: ``epoch, lr, source, synthetic, images, images_per_second, seconds``;
        means over batches of ``loss``, ``active`` (terms that are not zero), ``mined`` (pairs or
        triplets), ``empty`` (1 if none), ``accuracy`` (of a loss that classifies),
        ``same_distance`` and ``different_distance``; ``NAME_auc`` of what is watched; ``note``.
    distances : DataFrame
        A row per epoch and watched pair, columns `WATCHED`.
    settings : dict
        What was trained, on what and how, as JSON takes it.
    """

    history: pd.DataFrame
    distances: pd.DataFrame
    settings: dict


def fit(
    model: nn.Module,
    train: Faces,
    loss: nn.Module,
    miner: nn.Module | None = None,
    *,
    epochs: int,
    sampler: Callable = shuffled,
    batch_size: int = 128,
    lr: float = 1e-3,
    loss_lr: float | None = None,
    weight_decay: float = 0.0,
    optimizer: Callable = torch.optim.Adam,
    scheduler: Callable | None = None,
    augment: Callable | None = None,
    watch: Mapping[str, Faces] | None = None,
    keep_best: Mapping[str, nn.Module] | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    fabric: Fabric | None = None,
) -> Training:
    """Train `model` in place; the same seed gives the same training, stopped or not.

    A loss that is not finite raises FloatingPointError, a checkpoint of another set-up ValueError.

    Parameters
    ----------
    model : torch.nn.Module
        Maps images of shape (B, 3, H, W), values in [-1, 1], to embeddings of shape (B, D).
    loss, miner : torch.nn.Module
        ``loss(embeddings, labels, miner(embeddings, labels))``, as in pytorch-metric-learning.
    epochs : int
        Epochs in all, those of a resumed checkpoint included.
    sampler : callable
        Forms the batches; see `facelab.samplers`.
    lr, loss_lr, weight_decay : float
        Rate of the network, of the loss's own parameters (default: `lr`); decay of the network.
    optimizer, scheduler : callable
        ``optimizer(parameter_groups, lr=lr)``; ``scheduler(optimizer)``, stepped once an epoch.
    augment : callable, optional
        ``augment(uint8_images, generator)``; None: images are only scaled to [-1, 1].
    watch : mapping of str to Faces, optional
        Faces whose pairs are measured after every epoch. They never train.
    keep_best : mapping of str to torch.nn.Module, optional
        By watched name, a network like `model` that ends with the weights of the greatest AUC.
    seed : int
        Of everything random in training. The weights to start from are the caller's.
    checkpoint : path, optional
        Written after every epoch; if it exists, training goes on from it.
    fabric : lightning_fabric.Fabric, optional
        Devices, precision and strategy; default: one device at `best_precision`.
    """
    watch = watch or {}
    keep_best = keep_best or {}
    _check_watched(watch, keep_best)
    fabric = fabric or Fabric(devices=1, precision=best_precision())
    fabric.launch()
    facts = {  # for the record
        "people": len(train.names),
        "people_images": len(train),
        "fingerprint": train.fingerprint,
        "weights": sum(p.numel() for p in model.parameters()),
        "batch_size": batch_size,
        "lr": lr,
        "loss_lr": loss_lr,
        "weight_decay": weight_decay,
        "seed": seed,
        "threads": torch.get_num_threads(),
        "precision": fabric.strategy.precision.precision,
        "watched": list(watch),
        "loss": loss,
        "miner": miner,
        "sampler": sampler,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "augment": augment,
    }
    settings = describe(facts)

    # What learns. Whatever changes in training is one of these parts, and in the checkpoint.
    model.to(memory_format=torch.channels_last)
    loss.to(fabric.device)
    groups = [{"params": list(model.parameters()), "weight_decay": weight_decay}]
    own = list(loss.parameters())
    if own:
        own_lr = float(lr if loss_lr is None else loss_lr)  # NumPy's would not load again
        groups.append({"params": own, "lr": own_lr, "weight_decay": 0.0})
    opt = optimizer(groups, lr=float(lr))
    parts = {"model": model, "loss": loss, "optimizer": opt}
    if scheduler:
        parts["scheduler"] = scheduler(opt)
    for name, kept in keep_best.items():
        parts[f"best on {name}"] = fabric.to_device(kept)
    network, opt = fabric.setup(model, opt)
    learner = Learner(network, loss, miner, opt, sampler, batch_size, augment, seed, fabric)

    # The training of another set-up, or of as many other images, is not gone on with.
    same_training = settings | {
        "images_checksum": crc32(train.rows.tobytes()),
        "watched": {name: _identity(faces) for name, faces in watch.items()},
        "keep_best": sorted(keep_best),
        "processes": fabric.world_size,
    }
    rows, watched = resume(checkpoint, parts, same_training, epochs)
    remaining = range(len(rows) + 1, epochs + 1)
    silent = not fabric.is_global_zero
    progress = tqdm(remaining, "epoch", epochs, initial=len(rows), disable=silent)

    for epoch in progress:
        start = time.perf_counter()
        row = learner.learn(train, epoch)
        if scheduler:
            parts["scheduler"].step()
        for name, faces in watch.items():
            distance = _pair_distances(model, faces, fabric)
            watched.append((epoch, name, torch.from_numpy(distance)))
            score = f"{name}_auc"
            row[score] = float(auc(distance, faces.pairs.same))
            if name in keep_best and all(row[score] > before[score] for before in rows):
                keep_best[name].load_state_dict(model.state_dict())
        row["seconds"] = time.perf_counter() - start
        row["note"] = _note(row)
        rows.append(row)
        shown = {key: row[key] for key in row if key == "loss" or key.endswith("_auc")}
        progress.set_postfix(shown)
        if row["note"]:
            progress.write(f"epoch {epoch}: {row['note']}")
        if checkpoint and fabric.is_global_zero:
            save(checkpoint, parts, same_training, rows, watched)
    fabric.barrier()
    model.eval()
    return Training(pd.DataFrame(rows), _table(watched, watch), settings)


def _check_watched(watch: Mapping, keep_best: Mapping) -> None:
    for name, faces in watch.items():
        if not faces.pairs:
            raise ValueError(f"expected watched faces with pairs, got {name!r} without any")
    if not keep_best.keys() <= watch.keys():
        raise ValueError(f"expected to keep the best of {list(watch)}, got {list(keep_best)}")


def _identity(faces: Faces) -> dict:
    ends = faces.rows[[faces.pairs.left, faces.pairs.right]]  # (2, n_pairs)
    checksum = crc32(ends.tobytes())
    return {"fingerprint": faces.fingerprint, "pairs": len(faces.pairs), "checksum": checksum}


def _pair_distances(model: nn.Module, faces: Faces, fabric: Fabric) -> np.ndarray:
    """Measure the pairs of `faces`, every image embedded once, (n_pairs,)."""
    rows, position = np.unique([faces.pairs.left, faces.pairs.right], return_inverse=True)
    left, right = embed(model, faces, rows, fabric=fabric)[position.reshape(2, -1)]
    return np.linalg.norm(left - right, axis=1)


def _note(row: dict) -> str:
    if row["mined"] == 0:
        return "the miner found nothing in any batch: no weight has changed"
    if row["different_distance"] < COLLAPSED:
        return "collapsed: all faces are one point; try a smaller learning rate or an easier miner"
    return ""


def _table(watched: list[tuple], watch: Mapping[str, Faces]) -> pd.DataFrame:
    tables = []
    for epoch, name, distance in watched:
        faces = watch[name]
        pairs = faces.pairs
        facts = [epoch, name, faces.source, faces.synthetic, pairs.role, distance, pairs.same]
        tables.append(pd.DataFrame(dict(zip(WATCHED, facts, strict=True))))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=WATCHED)


def embed(
    model: nn.Module,
    faces: Faces,
    rows: np.ndarray | None = None,
    flip: bool = False,
    batch_size: int = 256,
    fabric: Fabric | None = None,
) -> np.ndarray:
    """Embed images once each: float32 of shape (n_images, D), of unit length.

    Parameters
    ----------
    rows : ndarray of shape (n_images,), optional
        Which images; default: all, in order.
    flip : bool
        Add the embedding of the mirrored image before scaling to unit length.
    fabric : lightning_fabric.Fabric, optional
        Compute at its precision instead of the model's own.
    """
    if rows is None:
        rows = np.arange(len(faces))
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    out = []
    with torch.inference_mode(), fabric.autocast() if fabric else nullcontext():
        for start in range(0, len(rows), batch_size):
            batch = torch.from_numpy(faces.batch(rows[start : start + batch_size]))
            images = to_float(batch.to(device))  # (B, 3, H, W)
            embeddings = model(images).float()  # (B, D)
            if flip:
                embeddings = embeddings + model(images.flip(3)).float()
            out.append(functional.normalize(embeddings).cpu())
    model.train(was_training)
    return torch.cat(out).numpy()


def best_precision() -> str:
    """Return ``"bf16-mixed"`` where the processor computes in bfloat16, else ``"32-true"``."""
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if fast else "32-true"
