"""One step and one epoch of learning, and what each of them tells."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from pytorch_metric_learning.losses import BaseMetricLossFunction, CrossBatchMemory
from pytorch_metric_learning.reducers import ThresholdReducer
from pytorch_metric_learning.utils.loss_and_miner_utils import get_all_pairs_indices
from torch import nn
from torch.nn import functional

from facelab.augmentation import for_batches
from facelab.checks import expect
from facelab.embedding import embeddings_of, expecting
from facelab.faces import Faces
from facelab.losses import MeanOverPairs
from facelab.samplers import Batch, draw


def _diverged(what: str, lr: float) -> FloatingPointError:
    advice = "try a smaller learning rate, or precision='32-true' in the Fabric"
    return FloatingPointError(f"expected {what}, at a learning rate of {lr:g}; {advice}")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed Python's own generator, from which some transforms and samplers draw; put it back."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def as_module(loss: Callable) -> nn.Module:
    """Return a loss that is a plain function as a module without weights."""
    if isinstance(loss, nn.Module):
        return loss
    module = nn.Module()
    module.forward = loss
    return module


@dataclass
class Learner:
    """What learns, from what batches and how; the parts of `facelab.fit`."""

    network: nn.Module
    loss: nn.Module
    miner: Callable | None
    optimizer: torch.optim.Optimizer
    sampler: Callable
    batch_size: int
    augment: Callable | None
    seed: int
    fabric: Fabric

    def __post_init__(self):
        kinds = (ThresholdReducer, MeanOverPairs)
        self.counters = [part for part in self.loss.modules() if isinstance(part, kinds)]
        for counter in self.counters:
            counter.collect_stats = True
        self.see = for_batches(self.augment)

    def learn(self, train: Faces, epoch: int) -> dict[str, object]:
        """Learn from the batches of one epoch and return its row of the history."""
        seeds = np.random.SeedSequence([self.seed, epoch]).generate_state(2).tolist()
        torch.manual_seed(seeds[0])  # dropout draws from it
        generator = torch.Generator().manual_seed(seeds[1])
        rng = np.random.default_rng([self.seed, epoch])
        with _seeded(seeds[0]):
            batches = draw(self.sampler, train, self.batch_size, rng)
        self._check_batches(batches, train)
        lr = self.optimizer.param_groups[0]["lr"]
        if not self.network.module.training:  # else each part stays as it is: some may be frozen
            self.network.train()
        start = time.perf_counter()
        steps = []
        try:
            with _seeded(seeds[1]):
                for batch in batches:
                    steps.append(self.step(train, batch, generator))
        finally:  # a miner fails of itself on the embeddings that follow a loss of nan
            for number, step in enumerate(steps, start=1):
                if not step["loss"].isfinite():
                    where = f"in epoch {epoch}, batch {number} of {len(batches)}"
                    raise _diverged(f"a finite loss, got {float(step['loss'])} {where}", lr)
        told = pd.DataFrame([{key: float(value) for key, value in step.items()} for step in steps])
        seconds = time.perf_counter() - start
        images = sum(len(batch.rows) for batch in batches)
        if not all(weight.isfinite().all() for weight in self.network.parameters()):
            raise _diverged(f"finite weights, got others after epoch {epoch}", lr)
        return {
            "epoch": epoch,
            **told.mean().to_dict(),
            "lr": lr,
            "source": train.source,
            "synthetic": train.synthetic,
            "images": images,
            "images_per_second": images / seconds,
        }

    def step(self, train: Faces, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Embed a batch, mine, and change the weights once; return what the step tells.

        What it tells stays on the device until the epoch ends, so that no step waits for it.
        """
        people = train.labels[batch.rows]
        labels = self._on_device(people)  # (B,)
        embeddings = self._embed(train, batch.rows, generator)  # (B, D)
        of = f"embeddings of shape {tuple(embeddings.shape)} and labels 0..{len(train.names) - 1}"
        mined = None
        if batch.pairs is not None:
            mined = tuple(map(self._on_device, batch.pairs))
        elif self.miner is not None:
            what = f"a miner that returns 3 or 4 tensors when called as miner({of})"
            with expecting(what):
                mined = self.miner(embeddings, labels)
                if len(mined) not in (3, 4):
                    raise ValueError(f"{len(mined)} of them")
        what = f"a loss that returns one number to learn from when called as loss({of}, mined)"
        with expecting(what):
            value = self.loss(embeddings, labels, mined)
        got = f"{type(value).__name__} of {getattr(value, 'shape', 'no shape')}"
        expect(torch.is_tensor(value) and value.numel() == 1, what, got)
        expect(value.requires_grad, what, "a number that depends on no weight")
        self.optimizer.zero_grad()
        self.fabric.backward(value)
        if self.fabric.world_size > 1:
            for parameter in self.loss.parameters():
                if parameter.grad is not None:
                    parameter.grad = self.fabric.all_reduce(parameter.grad)
        with expecting("an optimizer that steps without a closure"):
            self.optimizer.step()
        pairs = mined
        if mined is None or len(mined) == 3:  # how many there are, the device would have to say
            pairs = self.fabric.to_device(get_all_pairs_indices(torch.from_numpy(people)))
        return self._told(value, embeddings, labels, mined, pairs)

    def _embed(self, train: Faces, rows: np.ndarray, generator: torch.Generator) -> torch.Tensor:
        """Embed a batch; of several processes each reads and embeds its share, all get the whole.

        The images of others are black: `augment` draws as for the whole batch. The gradient of what
        is gathered is the sum over processes, and that of the weights their mean: together those of
        one process with the whole batch.
        """
        world = self.fabric.world_size
        share = len(rows) // world
        own = slice(share * self.fabric.global_rank, share * (self.fabric.global_rank + 1))
        images = train.batch(rows[own])
        if world > 1:
            of_others = (own.start, len(rows) - own.stop)
            images = np.pad(images, [of_others, (0, 0), (0, 0), (0, 0)])
        shape = ", ".join(map(str, images.shape[1:]))
        what = f"augment(images, generator) that maps uint8 (B, {shape}) to float images in [-1, 1]"
        images = self._on_device(images)
        with expecting(what):
            images = self.see(images, generator)
            if not images.is_floating_point():
                raise ValueError(f"{images.dtype} of shape {tuple(images.shape)}")
        embeddings = embeddings_of(self.network, images[own])
        if world == 1:
            return embeddings
        return self.fabric.all_gather(embeddings, sync_grads=True).flatten(0, 1)

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return self.fabric.to_device(torch.from_numpy(array))

    def _check_batches(self, batches: list[Batch], train: Faces) -> None:
        world = self.fabric.world_size
        uneven = [len(batch.rows) for batch in batches if len(batch.rows) % world]
        got = f"some of {uneven[:3]} images"
        expect(not uneven, f"batches that {world} processes can share", got)
        if batches[0].pairs is None:
            return
        advice = "use people_by_images or shuffled with it"
        got = getattr(self.miner, "__name__", type(self.miner).__name__)
        beside = "no miner beside a sampler that gives the pairs"
        expect(self.miner is None, beside, f"{got}; {advice}")
        labels = self._on_device(train.labels[batches[0].rows])
        pairs = tuple(map(self._on_device, batches[0].pairs))
        parts = list(self.loss.modules())
        if any(isinstance(part, CrossBatchMemory) for part in parts):  # finds pairs of its own
            return
        for part in parts:
            if isinstance(part, BaseMetricLossFunction):
                got = f"{type(part).__name__}, which finds nothing to learn in them; {advice}"
                beside = "a loss of pairs beside a sampler that gives them"
                expect(not _finds_nothing(part, labels, pairs), beside, got)

    @torch.no_grad()
    def _told(self, value, embeddings, labels, mined, pairs) -> dict[str, float]:
        told = dict.fromkeys(("loss", "active", "mined", "empty", "accuracy"), np.nan)
        told["loss"] = value.detach()
        if self.counters:
            told["active"] = sum(getattr(part, "num_past_filter", 0) for part in self.counters)
        for counter in self.counters:
            counter.num_past_filter = 0  # a loss without a single pair would leave the old count
        if self.miner is not None:
            told["mined"] = sum(map(len, mined)) / len(mined)
            told["empty"] = float(not any(map(len, mined)))
        if hasattr(self.loss, "get_logits"):  # classifies; without its margin
            named = self.loss.get_logits(embeddings).argmax(1)  # (B,)
            told["accuracy"] = (named == labels).float().mean()
        a, p, b, n = pairs
        unit = functional.normalize(embeddings)
        distance = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")  # (B, B)
        told["same_distance"] = distance[a, p].mean()
        told["different_distance"] = distance[b, n].mean()
        return told


def _finds_nothing(loss: BaseMetricLossFunction, labels: torch.Tensor, pairs: tuple) -> bool:
    """Say whether a loss has no cost even where each of these pairs has one."""
    worst = torch.ones(len(labels), 1, device=labels.device)
    worst[pairs[1]] = -1  # same pairs are far apart, different ones in one place
    drawn_on = [labels.device] if labels.is_cuda else []
    with torch.random.fork_rng(drawn_on), suppress(Exception):  # others need longer embeddings
        terms = loss.compute_loss(worst, labels, pairs, worst, labels).values()
        return all(torch.as_tensor(kind["losses"]).sum() == 0 for kind in terms)
    return False
