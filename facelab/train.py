"""`fit`, the one training loop of the study, and `embed`."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from pytorch_metric_learning.reducers import ThresholdReducer
from pytorch_metric_learning.utils.loss_and_miner_utils import get_all_pairs_indices
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from facelab.augmentation import to_float
from facelab.faces import Faces
from facelab.losses import MeanOverPairs
from facelab.samplers import shuffled
from facelab.verification import auc

COLLAPSED = 0.05  # mean distance of different people below which all embeddings are one point


class Training(NamedTuple):
    """What `fit` returns.

    Parameters
    ----------
    history : DataFrame
        One row per epoch; see `fit`.
    distances : DataFrame
        Distances of the watched pairs after every epoch: columns ``epoch``, ``split``,
        ``source``, ``distance`` and ``same``.
    """

    history: pd.DataFrame
    distances: pd.DataFrame


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
        Written after every epoch. If it exists, training goes on from it.
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
        ``same_distance`` and ``different_distance``
        within batches, all of them means over batches; ``lr``, ``images`` (trained on in this
        epoch), ``images_per_second`` (training alone), ``seconds`` (watching included), ``note``
        (what went wrong, or empty), ``source``, and ``NAME_auc`` for every watched name. Its
        ``attrs["settings"]`` says in words what was trained, on what and how.

    Raises
    ------
    ValueError
        If a batch cannot be formed, or the checkpoint belongs to another set-up.
    FloatingPointError
        If the loss is not finite; the model is then useless, the last checkpoint is not.
    """
    watch = dict(watch or {})
    for name, faces in watch.items():
        if faces.pairs is None or not len(faces.pairs):
            raise ValueError(f"expected watched faces with pairs, got {name!r} without any")
    keep_best = dict(keep_best or {})
    if not keep_best.keys() <= watch.keys():
        raise ValueError(f"expected to keep the best of {list(watch)}, got {list(keep_best)}")
    fabric = fabric or Fabric(devices=1, precision=best_precision())
    fabric.launch()
    model.to(memory_format=torch.channels_last)
    loss.to(fabric.device)
    own = list(loss.parameters())
    groups = [{"params": list(model.parameters()), "weight_decay": weight_decay}]
    if own:
        groups.append(
            {"params": own, "lr": lr if loss_lr is None else loss_lr, "weight_decay": 0.0}
        )
    opt = optimizer(groups, lr=lr)
    parts = {"model": model, "loss": loss, "optimizer": opt}
    if scheduler:
        parts["scheduler"] = scheduler(opt)
    parts |= {f"best on {k}": fabric.to_device(kept) for k, kept in keep_best.items()}
    network, opt = fabric.setup(model, opt)
    counters = [m for m in loss.modules() if isinstance(m, ThresholdReducer | MeanOverPairs)]
    for counter in counters:
        counter.collect_stats = True

    settings = {
        "images": f"{train.fingerprint}: {len(train)} of {len(train.names)} people",
        "weights": sum(p.numel() for p in model.parameters()),
        "numbers": f"{batch_size=}, {lr=}, {loss_lr=}, {weight_decay=}, {seed=}",
        "parts": ", ".join(map(_name, (loss, miner, sampler, optimizer, scheduler, augment))),
    }
    rows, watched = _resume(checkpoint, parts, settings, epochs)
    progress = tqdm(
        range(len(rows) + 1, epochs + 1),
        initial=len(rows),
        total=epochs,
        desc="epoch",
        unit="epoch",
        disable=not fabric.is_global_zero,
    )
    for epoch in progress:
        torch_seed, augment_seed = np.random.SeedSequence([seed, epoch]).generate_state(2).tolist()
        torch.manual_seed(torch_seed)  # dropout draws from it
        generator = torch.Generator().manual_seed(augment_seed)
        batches = list(sampler(train, batch_size, np.random.default_rng([seed, epoch])))
        share = len(batches) // fabric.world_size
        batches = batches[fabric.global_rank :: fabric.world_size][:share]
        start, steps = time.perf_counter(), []
        network.train()
        for number, batch in enumerate(batches, 1):
            images = fabric.to_device(torch.from_numpy(train.batch(batch.rows)))
            labels = fabric.to_device(torch.from_numpy(train.labels[batch.rows]))
            images = augment(images, generator) if augment else to_float(images)
            embeddings = network(images).float()
            mined = None
            if batch.pairs is not None:
                mined = tuple(fabric.to_device(torch.from_numpy(p)) for p in batch.pairs)
            elif miner is not None:
                mined = miner(embeddings, labels)
            value = loss(embeddings, labels, mined)
            if not torch.isfinite(value):
                raise FloatingPointError(
                    f"expected a finite loss, got {value.item()} in epoch {epoch}, batch {number} "
                    f"of {len(batches)}, at a learning rate of {opt.param_groups[0]['lr']:g}; try "
                    "a smaller learning rate, or precision='32-true' in the Fabric"
                )
            opt.zero_grad()
            fabric.backward(value)
            for parameter in own if fabric.world_size > 1 else ():
                parameter.grad = fabric.all_reduce(parameter.grad)
            opt.step()
            steps.append(_measure(value, loss, embeddings, labels, mined, miner, counters))
        seconds = time.perf_counter() - start

        row = {"epoch": epoch} | pd.DataFrame(steps).mean().to_dict()
        row |= {"lr": opt.param_groups[0]["lr"], "source": train.source}
        row["images"] = len(batches) * batch_size * fabric.world_size
        row["images_per_second"] = row["images"] / seconds
        if scheduler:
            parts["scheduler"].step()
        for name, faces in watch.items():
            distance = _watched_distances(model, faces, fabric)
            row[f"{name}_auc"] = auc(distance, faces.pairs.same)
            watched.append((epoch, name, faces.source, distance, faces.pairs.same))
        for name, kept in keep_best.items():
            if all(row[f"{name}_auc"] > before[f"{name}_auc"] for before in rows):
                kept.load_state_dict(model.state_dict())
        row |= {"seconds": time.perf_counter() - start, "note": _note(row)}
        rows.append(row)
        progress.set_postfix_str(
            ", ".join(f"{k} {v:.3f}" for k, v in row.items() if k == "loss" or k.endswith("_auc"))
        )
        if row["note"]:
            progress.write(f"epoch {epoch}: {row['note']}")
        if checkpoint and fabric.is_global_zero:
            _save(checkpoint, parts, settings, rows, watched)
    fabric.barrier()
    model.eval()
    columns = ("epoch", "split", "source", "distance", "same")
    table = [pd.DataFrame(dict(zip(columns, entry, strict=True))) for entry in watched]
    distances = pd.concat(table, ignore_index=True) if table else pd.DataFrame(columns=columns)
    history = pd.DataFrame(rows)
    history.attrs["settings"] = settings
    return Training(history, distances)


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
    rows = np.arange(len(faces)) if rows is None else rows
    parameter = next(model.parameters())
    was_training = model.training
    model.eval()
    out = []
    with torch.inference_mode(), fabric.autocast() if fabric else nullcontext():
        for start in range(0, len(rows), batch_size):
            batch = torch.from_numpy(faces.batch(rows[start : start + batch_size]))
            images = to_float(batch.to(parameter.device))
            embeddings = model(images).float()
            if flip:
                embeddings = embeddings + model(images.flip(3)).float()
            out.append(functional.normalize(embeddings).cpu())
    model.train(was_training)
    return torch.cat(out).numpy()


def _name(thing) -> str:
    """Name a function, a partial or a module with its settings, the same in every process."""
    if isinstance(thing, partial):
        return f"{_name(thing.func)}({thing.args or ''}{thing.keywords or ''})"
    if isinstance(thing, nn.Module):
        scalars = {k: v for k, v in vars(thing).items() if isinstance(v, (int, float, str))}
        scalars.pop("training")
        return f"{type(thing).__name__}({scalars})"
    return getattr(thing, "__qualname__", str(thing))


@torch.no_grad()
def _measure(value, loss, embeddings, labels, mined, miner, counters) -> dict[str, float]:
    """Return what one step tells about training beside its loss."""
    a, p, b, n = mined if mined and len(mined) == 4 else get_all_pairs_indices(labels)
    unit = functional.normalize(embeddings)
    distance = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
    active = np.nan if not counters else sum(getattr(c, "num_past_filter", 0) for c in counters)
    for counter in counters:
        counter.num_past_filter = 0  # a loss without a single pair would leave the old count
    return {
        "loss": value.item(),
        "active": active,
        "mined": np.nan if miner is None else sum(map(len, mined)) / len(mined),
        "empty": np.nan if miner is None else float(not len(mined[0])),
        "accuracy": _accuracy(loss, embeddings, labels),
        "same_distance": distance[a, p].mean().item(),
        "different_distance": distance[b, n].mean().item(),
    }


def _accuracy(loss, embeddings, labels) -> float:
    """Return how often a classification loss names the right person, without its margin."""
    if not hasattr(loss, "get_logits"):
        return np.nan
    return (loss.get_logits(embeddings).argmax(1) == labels).float().mean().item()


def _note(row: dict) -> str:
    if row["mined"] == 0:
        return "the miner found nothing in any batch: no weight has changed"
    if row["different_distance"] < COLLAPSED:
        return (
            f"collapsed: different people are {row['different_distance']:.4f} apart on average; "
            "try a smaller learning rate or an easier miner"
        )
    return ""


def _watched_distances(model, faces, fabric) -> np.ndarray:
    rows, position = np.unique([faces.pairs.left, faces.pairs.right], return_inverse=True)
    left, right = embed(model, faces, rows, fabric=fabric)[position.reshape(2, -1)]
    return np.linalg.norm(left - right, axis=1)


def _save(path, parts, settings, rows, watched) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {"settings": settings, "rows": rows}
    state["watched"] = [(*w, torch.from_numpy(d), torch.from_numpy(y)) for *w, d, y in watched]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, f"{path}.tmp")
    os.replace(f"{path}.tmp", path)


def _resume(path, parts, settings, epochs) -> tuple[list, list]:
    """Load the checkpoint into `parts`, if there is one, and return its rows and distances."""
    if not path or not Path(path).exists():
        return [], []
    state = torch.load(path, map_location="cpu", weights_only=True)
    for key, wanted in settings.items():
        if state["settings"][key] != wanted:
            raise ValueError(
                f"expected a checkpoint of this training, with {key} {wanted!r}, but {path} has "
                f"{state['settings'][key]!r}; delete it, or name another one"
            )
    if len(state["rows"]) > epochs:
        raise ValueError(f"expected at most {epochs} epochs, but {path} has {len(state['rows'])}")
    if missing := sorted(parts.keys() - state.keys()):
        raise ValueError(f"expected a checkpoint with {missing}, but {path} has none of it")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["rows"], [(*w, d.numpy(), y.numpy()) for *w, d, y in state["watched"]]
