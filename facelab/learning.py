"""One step and one epoch of learning, and what each of them tells."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from pytorch_metric_learning.reducers import ThresholdReducer
from pytorch_metric_learning.utils.loss_and_miner_utils import get_all_pairs_indices
from torch import nn
from torch.nn import functional

from facelab.augmentation import to_float
from facelab.faces import Faces
from facelab.losses import MeanOverPairs
from facelab.samplers import Batch


@dataclass
class Learner:
    """What learns, from what batches and how; the parts of `facelab.fit`."""

    network: nn.Module
    loss: nn.Module
    miner: nn.Module | None
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

    def learn(self, train: Faces, epoch: int) -> dict[str, object]:
        """Learn from the batches of one epoch and return its row of the history."""
        seeds = np.random.SeedSequence([self.seed, epoch]).generate_state(2).tolist()
        torch.manual_seed(seeds[0])  # dropout draws from it
        generator = torch.Generator().manual_seed(seeds[1])
        rng = np.random.default_rng([self.seed, epoch])
        batches = list(self.sampler(train, self.batch_size, rng))
        world = self.fabric.world_size  # processes; each keeps its share, all equally many
        batches = batches[self.fabric.global_rank :: world][: len(batches) // world]
        lr = self.optimizer.param_groups[0]["lr"]
        self.network.train()
        start = time.perf_counter()
        steps = []
        try:
            for batch in batches:
                steps.append(self.step(train, batch, generator))
        finally:  # a miner fails of itself on the embeddings that follow a loss of nan
            self._check_finite([float(step["loss"]) for step in steps], epoch, len(batches), lr)
        told = pd.DataFrame([{key: float(value) for key, value in step.items()} for step in steps])
        seconds = time.perf_counter() - start
        images = len(batches) * self.batch_size * world
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
        images = self._on_device(train.batch(batch.rows))  # uint8
        labels = self._on_device(train.labels[batch.rows])  # (B,)
        images = self.augment(images, generator) if self.augment else to_float(images)
        embeddings = self.network(images).float()  # (B, D)
        mined = None
        if batch.pairs is not None:
            mined = tuple(map(self._on_device, batch.pairs))
        elif self.miner is not None:
            mined = self.miner(embeddings, labels)
        value = self.loss(embeddings, labels, mined)
        self.optimizer.zero_grad()
        self.fabric.backward(value)
        if self.fabric.world_size > 1:
            for parameter in self.loss.parameters():
                parameter.grad = self.fabric.all_reduce(parameter.grad)
        self.optimizer.step()
        return self._told(value, embeddings, labels, mined)

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return self.fabric.to_device(torch.from_numpy(array))

    def _check_finite(self, losses: list[float], epoch: int, n_batches: int, lr: float) -> None:
        for number, loss in enumerate(losses, start=1):
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"expected a finite loss, got {loss} in epoch {epoch}, batch {number} of "
                    f"{n_batches}, at a learning rate of {lr:g}; try a smaller learning rate, or "
                    "precision='32-true' in the Fabric"
                )

    @torch.no_grad()
    def _told(self, value, embeddings, labels, mined) -> dict[str, float]:
        told = {"loss": value.detach(), "active": np.nan, "mined": np.nan, "empty": np.nan}
        if self.counters:
            told["active"] = sum(getattr(part, "num_past_filter", 0) for part in self.counters)
        for counter in self.counters:
            counter.num_past_filter = 0  # a loss without a single pair would leave the old count
        if self.miner is not None:
            told["mined"] = sum(map(len, mined)) / len(mined)
            told["empty"] = float(len(mined[0]) == 0)
        told["accuracy"] = np.nan
        if hasattr(self.loss, "get_logits"):  # classifies; without its margin
            named = self.loss.get_logits(embeddings).argmax(1)  # (B,)
            told["accuracy"] = (named == labels).float().mean()
        is_pairs = mined is not None and len(mined) == 4
        a, p, b, n = mined if is_pairs else get_all_pairs_indices(labels)
        unit = functional.normalize(embeddings)
        distance = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")  # (B, B)
        told["same_distance"] = distance[a, p].mean()
        told["different_distance"] = distance[b, n].mean()
        return told
