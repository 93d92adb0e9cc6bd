"""`fit`, the one training loop of the study, and `embed`."""

import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from facelab.augmentation import to_float
from facelab.checkpoints import describe, plain, resume, save
from facelab.faces import Faces
from facelab.samplers import shuffled
from facelab.steps import Steps
from facelab.verification import auc

COLLAPSED = 0.05  # mean distance of different people below which all embeddings are one point


class Training(NamedTuple):
    """What `fit` returns.

    Parameters
    ----------
    history : DataFrame
        One row per epoch; see `fit`.
    distances : DataFrame
        One row per watched pair and epoch: ``epoch``, ``split``, ``source``, ``synthetic``,
        ``role``, ``distance`` and ``same``.
    settings : dict
        What was trained, on what and how, in plain values; see `fit`.
    """

    history: pd.DataFrame
    distances: pd.DataFrame
    settings: dict


def best_precision() -> str:
    """Return ``"bf16-mixed"`` where the processor computes in bfloat16, else ``"32-true"``."""
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if fast else "32-true"


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

    Every step is: embeddings, then ``miner(embeddings, labels)``, then
    ``loss(embeddings, labels, mined)``.

    Parameters
    ----------
    model : torch.nn.Module
        Maps images of shape (B, 3, H, W), values in [-1, 1], to embeddings of shape (B, D).
    train : Faces
        Images to train on.
    loss, miner : torch.nn.Module
        From pytorch-metric-learning. Parameters of the loss are optimised too.
    epochs : int
        Epochs in all, those of a resumed checkpoint included.
    sampler : callable
        See `facelab.samplers`.
    batch_size : int
        Images per step.
    lr, loss_lr : float
        Learning rate of the network and of the loss's own parameters (default: `lr`).
    weight_decay : float
        For the network alone.
    optimizer, scheduler : callable
        ``optimizer(parameter_groups, lr=lr)``; ``scheduler(optimizer)``, stepped once an epoch.
    augment : callable, optional
        ``augment(uint8_images, generator)``; None: images are only scaled to [-1, 1].
    watch : mapping of str to Faces, optional
        Faces with pairs whose distances are measured after every epoch. They never train.
    keep_best : mapping of str to torch.nn.Module, optional
        For a watched name a second network built like `model`. It ends with the weights that
        `model` had after the epoch with the greatest AUC on those faces, of equals the first.
    seed : int
        Seed of everything random in training. The weights to start from are the caller's.
    checkpoint : path, optional
        Written after every epoch. If it exists, training goes on from it. Functions are known by
        their names; what a loss keeps outside its ``state_dict`` is lost.
    fabric : lightning_fabric.Fabric, optional
        Devices, precision and strategy. Default: one device and `best_precision`. With several
        processes each draws its share of the batches and mines within it.

    Returns
    -------
    Training
        ``history`` has the columns ``epoch``, ``loss``, ``active`` (pairs or triplets whose loss
        is not zero; nan where the loss does not count them), ``mined`` (pairs or triplets that
        the miner found; nan without a miner), ``empty`` (share of batches in which it found
        nothing), ``accuracy`` (of naming training people, where the loss classifies),
        ``same_distance`` and ``different_distance`` within batches, all of them means over
        batches; ``lr``, ``source``, ``synthetic``, ``images`` (trained on in this epoch),
        ``images_per_second`` (training alone), ``NAME_auc`` for every watched name, ``seconds``
        (watching included) and ``note`` (what went wrong, or empty). ``settings`` has
        people, images and fingerprint of `train`, the network's number of weights, every number
        above, threads, precision, names of what was watched, and loss, miner, sampler, optimizer,
        scheduler and augment as `facelab.checkpoints.describe` tells them; JSON takes it.

    Raises
    ------
    ValueError
        If a batch cannot be formed, or the checkpoint belongs to another set-up.
    FloatingPointError
        If the loss is not finite; the model is then useless, the last checkpoint is not.
    """
    watch = dict(watch or {})
    keep_best = dict(keep_best or {})
    _check_watched(watch, keep_best)
    fabric = fabric or Fabric(devices=1, precision=best_precision())
    fabric.launch()
    facts = {
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
        "loss": describe(loss),
        "miner": describe(miner),
        "sampler": describe(sampler),
        "optimizer": describe(optimizer),
        "scheduler": describe(scheduler),
        "augment": describe(augment),
    }
    settings = plain(facts)

    # Whatever changes in training is one of these parts, and in the checkpoint.
    model.to(memory_format=torch.channels_last)
    loss.to(fabric.device)
    opt = optimizer(_groups(model, loss, weight_decay, lr if loss_lr is None else loss_lr), lr=lr)
    parts = {"model": model, "loss": loss, "optimizer": opt}
    if scheduler:
        parts["scheduler"] = scheduler(opt)
    for name, kept in keep_best.items():
        parts[f"best on {name}"] = fabric.to_device(kept)
    network, opt = fabric.setup(model, opt)
    steps = Steps(network, train, loss, miner, sampler, batch_size, opt, augment, seed, fabric)

    # The training of another set-up is not gone on with.
    same_training = settings | _identity(train, watch, keep_best, fabric.world_size)
    rows, watched = resume(checkpoint, parts, same_training, epochs)
    remaining = range(len(rows) + 1, epochs + 1)
    silent = not fabric.is_global_zero
    progress = tqdm(remaining, "epoch", epochs, initial=len(rows), unit="epoch", disable=silent)
    for epoch in progress:
        start = time.perf_counter()
        row = steps.epoch(epoch)
        if scheduler:
            parts["scheduler"].step()
        for name, faces in watch.items():
            distance = _pair_distances(model, faces, fabric)
            watched.append((epoch, name, distance))
            row[f"{name}_auc"] = float(auc(distance, faces.pairs.same))
        _keep(keep_best, model, row, rows)
        row["seconds"] = time.perf_counter() - start
        row["note"] = _note(row)
        rows.append(row)
        _show(progress, row)
        if checkpoint and fabric.is_global_zero:
            save(checkpoint, parts, same_training, rows, watched)
    fabric.barrier()
    model.eval()
    return Training(pd.DataFrame(rows), _table(watched, watch), settings)


def embed(
    model: nn.Module,
    faces: Faces,
    rows: np.ndarray | None = None,
    flip: bool = False,
    batch_size: int = 256,
    fabric: Fabric | None = None,
) -> np.ndarray:
    """Embed every image once.

    Parameters
    ----------
    model : torch.nn.Module
        Maps images of shape (B, 3, H, W), values in [-1, 1], to embeddings of shape (B, D).
    faces : Faces
        The images.
    rows : ndarray of shape (n_images,), optional
        Which of them; default: all, in order.
    flip : bool
        Add the embedding of the mirrored image before scaling to unit length.
    batch_size : int
        Images per forward pass; changes the speed, not the result.
    fabric : lightning_fabric.Fabric, optional
        Compute at its precision instead of the model's own.

    Returns
    -------
    ndarray of shape (n_images, D), float32
        Embeddings of unit length.
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


def _check_watched(watch: dict, keep_best: dict) -> None:
    for name, faces in watch.items():
        if faces.pairs is None or not len(faces.pairs):
            raise ValueError(f"expected watched faces with pairs, got {name!r} without any")
    if not keep_best.keys() <= watch.keys():
        raise ValueError(f"expected to keep the best of {list(watch)}, got {list(keep_best)}")


def _identity(train: Faces, watch: dict, keep_best: dict, processes: int) -> dict:
    """Tell apart what settings do not: images and pairs that are only as many."""
    watched = {}
    for name, faces in watch.items():
        ends = faces.rows[[faces.pairs.left, faces.pairs.right]]  # (2, n_pairs)
        watched[name] = {
            "fingerprint": faces.fingerprint,
            "pairs": len(faces.pairs),
            "checksum": zlib.crc32(ends.tobytes()),
        }
    return {
        "images_checksum": zlib.crc32(train.rows.tobytes()),
        "watched": watched,
        "keep_best": sorted(keep_best),
        "processes": processes,
    }


def _groups(model: nn.Module, loss: nn.Module, weight_decay: float, loss_lr: float) -> list[dict]:
    groups = [{"params": list(model.parameters()), "weight_decay": weight_decay}]
    own = list(loss.parameters())
    if own:
        groups.append({"params": own, "lr": loss_lr, "weight_decay": 0.0})
    return groups


def _pair_distances(model, faces, fabric) -> np.ndarray:
    """Measure the pairs of `faces`, every image embedded once, (n_pairs,)."""
    rows, position = np.unique([faces.pairs.left, faces.pairs.right], return_inverse=True)
    left, right = embed(model, faces, rows, fabric=fabric)[position.reshape(2, -1)]
    return np.linalg.norm(left - right, axis=1)


def _keep(keep_best: dict, model: nn.Module, row: dict, rows: list[dict]) -> None:
    """Copy the weights where this epoch is better than every one before."""
    for name, kept in keep_best.items():
        score = f"{name}_auc"
        if all(row[score] > before[score] for before in rows):
            kept.load_state_dict(model.state_dict())


def _note(row: dict) -> str:
    if row["mined"] == 0:
        return "the miner found nothing in any batch: no weight has changed"
    apart = row["different_distance"]
    if apart < COLLAPSED:
        return (
            f"collapsed: different people are {apart:.4f} apart on average; "
            "try a smaller learning rate or an easier miner"
        )
    return ""


def _show(progress: tqdm, row: dict) -> None:
    shown = [key for key in row if key == "loss" or key.endswith("_auc")]
    progress.set_postfix_str(", ".join(f"{key} {row[key]:.3f}" for key in shown))
    if row["note"]:
        progress.write(f"epoch {row['epoch']}: {row['note']}")


def _table(watched: list[tuple], watch: dict) -> pd.DataFrame:
    columns = ["epoch", "split", "source", "synthetic", "role", "distance", "same"]
    tables = [pd.DataFrame(columns=columns)]
    for epoch, name, distance in watched:
        faces = watch[name]
        table = pd.DataFrame({"distance": distance, "same": faces.pairs.same})
        facts = [epoch, name, faces.source, faces.synthetic, faces.pairs.role]
        table[columns[:5]] = facts
        tables.append(table[columns])
    return pd.concat(tables[1:] or tables, ignore_index=True)
