"""`fit`, the one training loop of the study."""

import os
import time
from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR, ReduceLROnPlateau
from torch.utils.data import Sampler

from facelab.checkpoints import Checkpoint, describe
from facelab.checks import expect, kinds, real, whole
from facelab.embedding import embed, expecting
from facelab.faces import Faces
from facelab.learning import Learner, as_module
from facelab.progress import Progress
from facelab.samplers import shuffled
from facelab.verification import auc

COLLAPSED = 0.05  # mean distance of different people below which all embeddings are one point
BAR = "{desc} {n_fmt}/{total_fmt} |{bar:20}| {elapsed}<{remaining}{postfix}"  # epochs done
WATCHED = ["epoch", "split", "source", "synthetic", "role", "distance", "same"]


class Training(NamedTuple):
    """What `fit` returns: tables, and in `settings` what was trained, on what and how.

    `history` has a row per epoch: ``epoch, lr, source, synthetic``; the ``images`` that were
    learned from in all processes, ``images_per_second, seconds``; means over batches of ``loss``,
    ``active`` (terms that are not zero), ``mined`` (triplets, or the mean of how many same and how
    many different pairs), ``empty`` (1 if none), ``accuracy`` (of a loss that classifies),
    ``same_distance`` and ``different_distance``; ``NAME_auc`` of what is watched; ``note``.
    `distances` has one per epoch and watched pair, with columns `WATCHED`.
    """

    history: pd.DataFrame
    distances: pd.DataFrame
    settings: dict


@kinds
def fit(
    model: nn.Module,
    train: Faces,
    loss: Callable,
    miner: Callable | None = None,
    *,
    epochs: int,
    sampler: Callable | Sampler = shuffled,
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
    title: str = "",
) -> Training:
    """Train `model` in place; the same seed gives the same training, stopped or not.

    A loss or weights that are not finite raise FloatingPointError, a checkpoint of another set-up
    and all that cannot be trained ValueError, before any work.

    Parameters
    ----------
    model : torch.nn.Module
        Maps images of shape (B, 3, H, W), values in [-1, 1], to embeddings of shape (B, D). Parts
        that are in evaluation mode within a model in training mode stay so, frozen.
    loss, miner : torch.nn.Module or function
        ``loss(embeddings, labels, miner(embeddings, labels))``, as in pytorch-metric-learning.
    epochs : int
        Epochs in all, those of a resumed checkpoint included.
    sampler : callable or torch.utils.data.Sampler
        Forms the batches; see `facelab.samplers`.
    batch_size : int
        Images of a step, all processes together.
    lr, loss_lr, weight_decay : float
        Rate of the network, of the loss's own parameters (default: `lr`); decay of the network.
    optimizer, scheduler : callable
        ``optimizer(parameter_groups, lr=lr)``; ``scheduler(optimizer)``, stepped once an epoch,
        never once a batch; ReduceLROnPlateau is given the epoch's mean loss.
    augment : callable, optional
        ``augment(uint8_images, generator)``, or a transform of torchvision, called on each image;
        None: images are only scaled to [-1, 1]. Of several processes each has its own share of the
        images, the others are black.
    watch : mapping of str to Faces, optional
        Faces whose pairs are measured after every epoch. They never train.
    keep_best : mapping of str to torch.nn.Module, optional
        By watched name, a network like `model` that ends with the weights of the greatest AUC.
    seed : int
        Of everything random in training. The weights to start from are the caller's.
    checkpoint : path, optional
        Written after every epoch; if it exists, training goes on from it.
    fabric : lightning_fabric.Fabric, optional
        Devices, precision and strategy; default: one device at `best_precision`, or what
        ``fabric run`` or ``torchrun`` started. Every process draws the whole batch, and reads and
        embeds as many of its images as any other, those that stand together in it, whoever they
        show; miners and losses see all of them.
    title : str
        What the bar of progress is called.
    """
    watch = watch or {}
    keep_best = keep_best or {}
    epochs = whole("epochs", epochs, 1)
    batch_size = whole("batch_size", batch_size, 1)
    seed = whole("seed", seed, 0)
    lr = real("lr", lr, 0)
    loss_lr = None if loss_lr is None else real("loss_lr", loss_lr, 0)
    weight_decay = real("weight_decay", weight_decay, 0)
    for part in (loss, miner, sampler, augment):
        made = f"a made {getattr(part, '__name__', part)}"
        expect(not isinstance(part, type), made, "the class; add ()")
    most = f"a batch_size of at most {len(train)}, the images there are to train on"
    expect(batch_size <= len(train), most, batch_size)
    _check_classes(loss, len(train.names))
    _check_watched(watch, keep_best, model)
    is_folder = checkpoint and Path(checkpoint).is_dir()
    expect(not is_folder, "a file for the checkpoint", f"the folder {checkpoint}")
    fabric = fabric or _default_fabric()
    if not _is_under_fabric_run():  # which has launched already
        fabric.launch()
    made_of = {"loss": loss, "miner": miner, "sampler": sampler, "optimizer": optimizer}
    made_of |= {"scheduler": scheduler, "augment": augment}
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
    }
    settings = describe(facts | made_of)

    # What learns. Whatever changes in training is one of these parts, and in the checkpoint.
    model.to(memory_format=torch.channels_last)
    loss = as_module(loss).to(fabric.device)
    if fabric.world_size > 1:
        loss.load_state_dict(fabric.broadcast(loss.state_dict()))
    groups = [{"params": list(model.parameters()), "weight_decay": weight_decay}]
    if own := list(loss.parameters()):
        own_lr = lr if loss_lr is None else loss_lr
        groups.append({"params": own, "lr": own_lr, "weight_decay": 0.0})
    made = "optimizer(groups, lr=lr) to return an optimizer"
    with expecting(made):
        opt = optimizer(groups, lr=lr)
    expect(hasattr(opt, "param_groups"), made, type(opt).__name__)
    parts = {"model": model, "loss": loss, "optimizer": opt}
    if scheduler:
        with expecting("scheduler(optimizer) to return a scheduler"):
            parts["scheduler"] = scheduler(opt)
        _check_scheduler(parts["scheduler"], epochs)
    for name, kept in keep_best.items():
        kept = fabric.strategy.precision.convert_module(kept)
        parts[f"best on {name}"] = fabric.to_device(kept)
    network, opt = fabric.setup(model, opt)
    learner = Learner(network, loss, miner, opt, sampler, batch_size, augment, seed, fabric)

    # The training of another set-up, or of other images, is not gone on with.
    read = {"model": model, "train": train.with_pairs(None), "watch": watch}
    read |= {"keep_best": sorted(keep_best), "processes": fabric.world_size}
    saved = Checkpoint(checkpoint, parts, facts | made_of | read)
    rows, watched = saved.resume(epochs, fabric.device)
    for faces in (train, *watch.values()):  # an image of each, before any work is lost
        _embed(model, faces, np.arange(1), fabric)
    silent = not fabric.is_global_zero
    named = f"{title}, epoch" if title else "epoch"
    progress = Progress(desc=named, total=epochs, initial=len(rows), disable=silent, bar_format=BAR)

    for epoch in range(len(rows) + 1, epochs + 1):
        start = time.perf_counter()
        row = learner.learn(train, epoch)
        _share_running_means(model, fabric)
        _step(parts.get("scheduler"), row["loss"])
        for name, faces in watch.items():
            distance = _pair_distances(model, faces, fabric)
            watched.append((epoch, name, torch.from_numpy(distance)))
            row[f"{name}_auc"] = float(auc(distance, faces.pairs.same))
        _keep_best(keep_best, model, row, rows)
        row["seconds"] = time.perf_counter() - start
        row["note"] = _note(row)
        rows.append(row)
        _tell(progress, f"{named} {epoch}", row)
        if checkpoint and fabric.is_global_zero:
            saved.save(rows, watched)
    progress.close()
    fabric.barrier()
    model.eval()
    return Training(pd.DataFrame(rows), _table(watched, watch), settings)


def _default_fabric() -> Fabric:
    if _is_under_fabric_run():
        return Fabric()
    if not torch.distributed.is_torchelastic_launched():
        return Fabric(devices=1, precision=best_precision())
    here, everywhere = (int(os.environ[name]) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    return Fabric(devices=here, num_nodes=everywhere // here, precision=best_precision())


def _is_under_fabric_run() -> bool:
    return os.environ.get("LT_CLI_USED", "0") != "0"


def _check_classes(loss: Callable, n_people: int) -> None:
    for part in as_module(loss).modules():
        proxies = _shapes(part).get("proxies", [0])  # of losses whose num_classes is always 0
        classes = getattr(part, "num_classes", 0) or proxies[0]
        is_few = isinstance(classes, Integral) and 0 < classes < n_people
        got = f"{type(part).__name__} with num_classes={classes}"
        expect(not is_few, f"a loss for all {n_people} people", got)


def _check_scheduler(scheduler, epochs: int) -> None:
    name, since = type(scheduler).__name__, "since it is stepped once an epoch"
    is_one = hasattr(scheduler, "step") and hasattr(scheduler, "state_dict")
    expect(is_one, "scheduler(optimizer) to return a scheduler", name)
    steps = getattr(scheduler, "total_steps", epochs)
    fits = steps == epochs if isinstance(scheduler, OneCycleLR) else steps >= epochs
    expect(fits, f"{name} with total_steps={epochs}, {since}", steps)
    cycle = scheduler.total_size if isinstance(scheduler, CyclicLR) else 0
    expect(cycle <= epochs, f"{name} with a cycle of at most {epochs} steps, {since}", f"{cycle:g}")


def _check_watched(watch: Mapping, keep_best: Mapping, model: nn.Module) -> None:
    for name, faces in watch.items():
        expect(name and isinstance(name, str), "watched faces by name", repr(name))
        has_both = faces.pairs is not None and len(set(faces.pairs.same.tolist())) == 2
        expect(has_both, f"same and different pairs of {name!r}", faces)
    is_watched = keep_best.keys() <= watch.keys()
    expect(is_watched, f"to keep the best of {list(watch)}", list(keep_best))
    taken = _weights(model)
    for name, kept in keep_best.items():
        is_alike = _shapes(kept) == _shapes(model)
        expect(is_alike, "a network like the model to keep", f"another on {name!r}")
        got = f"those of the model or of another on {name!r}"
        expect(not taken & _weights(kept), "a network with weights of its own to keep", got)
        taken |= _weights(kept)


def _shapes(model: nn.Module) -> dict:
    return {name: weight.shape for name, weight in model.state_dict().items()}


def _weights(model: nn.Module) -> set[int]:
    return {id(weight) for weight in model.state_dict(keep_vars=True).values()}


def _share_running_means(model: nn.Module, fabric: Fabric) -> None:
    """Take the first process's: those of each are of its own images."""
    if fabric.world_size > 1:
        for buffer in model.buffers():
            buffer.copy_(fabric.broadcast(buffer))


def _step(scheduler, loss: float) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(loss)
    elif scheduler:
        scheduler.step()


def _keep_best(keep_best: Mapping[str, nn.Module], model: nn.Module, row: dict, rows: list) -> None:
    for name, kept in keep_best.items():
        score = f"{name}_auc"
        if all(row[score] > before[score] for before in rows):
            kept.load_state_dict(model.state_dict())


def _tell(progress: Progress, epoch: str, row: dict) -> None:
    shown = {key: row[key] for key in row if key == "loss" or key.endswith("_auc")}
    progress.set_postfix(shown, refresh=False)
    progress.update()
    if row["note"]:
        progress.write(f"{epoch}: {row['note']}")


def _embed(model: nn.Module, faces: Faces, rows: np.ndarray, fabric: Fabric) -> np.ndarray:
    """Embed in the precision of `fabric`, without a bar beside that of the epochs."""
    with fabric.autocast():
        return embed(model, faces, rows, progress=False)


def _pair_distances(model: nn.Module, faces: Faces, fabric: Fabric) -> np.ndarray:
    """Measure the pairs of `faces`, every image embedded once, (n_pairs,)."""
    rows, position = np.unique([faces.pairs.left, faces.pairs.right], return_inverse=True)
    left, right = _embed(model, faces, rows, fabric)[position]
    return np.linalg.norm(left - right, axis=1)


def _note(row: dict) -> str:
    if row["mined"] == 0:
        return "the miner found nothing in any batch: no weight has changed"
    if row["different_distance"] < COLLAPSED:
        return "collapsed: all faces are one point; try a smaller learning rate or an easier miner"
    if row["active"] == 0 or row["loss"] == 0:
        return "nothing to learn: no pair, triplet or image had a cost in any batch"
    return ""


def _table(watched: list[tuple], watch: Mapping[str, Faces]) -> pd.DataFrame:
    tables = []
    for epoch, name, distance in watched:
        faces = watch[name]
        pairs = faces.pairs
        facts = [epoch, name, faces.source, faces.synthetic, pairs.role, distance, pairs.same]
        tables.append(pd.DataFrame(dict(zip(WATCHED, facts, strict=True))))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=WATCHED)


def best_precision() -> str:
    """Return ``"bf16-mixed"`` where the processor computes in bfloat16, else ``"32-true"``."""
    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if fast else "32-true"
