"""Time chapter 10's recipe until dev people's AUC is good, in `fit` and in two other packages.

``python tests/benchmarks/bench_result.py [PART OF A ROW'S NAME]... [--target AUC] [--epochs N]``;
see README.md beside this file. Data: LFW if ``FACELAB_LFW`` names it, else the synthetic faces.
"""

import math
from functools import partial

import torch
from bench_training import DATA, DEVICE, Photos, now, oml, pml, threads
from harness import bench
from lightning_fabric import Fabric
from pytorch_metric_learning import losses, miners
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR
from torchvision import transforms

import facelab as fl
from facelab.study.execute import MALLOC

TARGET = 0.95  # AUC of the dev people's pairs
EPOCHS = 40  # at most, and of the cosine
SIZE, CROP, BATCH = 64, 128, 256

# As near to `fl.augment` as torchvision's own transforms come: edges reflected, moved by the same
# pixels, grey in the middle of the range. One colour channel alone cannot change; saturation does.
MARGIN = 16  # pixels around the image that a turned and moved one may show
SHIFT = 0.06 * SIZE / (SIZE + 2 * MARGIN)
LANCZOS, LINEAR = transforms.InterpolationMode.LANCZOS, transforms.InterpolationMode.BILINEAR
AUGMENT = transforms.Compose(
    [
        transforms.CenterCrop(CROP),
        transforms.Resize(SIZE, LANCZOS),  # as packing
        transforms.RandomHorizontalFlip(),
        transforms.Pad(MARGIN, padding_mode="symmetric"),
        transforms.RandomAffine(10, [SHIFT] * 2, (0.9, 1.1), interpolation=LINEAR),
        transforms.CenterCrop(SIZE),
        transforms.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.1),
        transforms.ToTensor(),
        transforms.Normalize([0.5] * 3, [0.5] * 3),
        transforms.RandomErasing(0.3, scale=(0.04, 0.16), ratio=(0.5, 2)),
    ]
)


class Reached(Exception):
    """The dev people's AUC is what was asked for."""


class Clock:
    """Called after every step; after each epoch it stops, asks the dev people, and goes on."""

    def __init__(self, network, dev, steps, target):
        self.network, self.dev, self.steps, self.target = network, dev, steps, target
        self.n, self.seconds, self.aucs, self.start = 0, [], [], now()

    def __call__(self, *_):
        self.n += 1
        if self.n % self.steps:
            return
        self.seconds.append(now() - self.start)
        distances = fl.distances(fl.embed(self.network, self.dev), self.dev.pairs)
        self.aucs.append(float(fl.auc(distances, self.dev.pairs.same)))
        if self.aucs[-1] >= self.target:
            raise Reached
        self.start = now()


def result(learn, target, epochs):
    """Train with `learn` until the AUC is reached, in so many epochs at most, and say how it went.

    Every way of training has the same weights to begin with, and as many steps an epoch.
    """
    people, dev, _ = fl.view1(fl.load_lfw(DATA, SIZE, CROP, progress=False), 0.15, 0)
    people = people.at_least(2)
    torch.manual_seed(0)
    network = fl.siamese_cnn(128, SIZE, 0.1, (48, 96, 192, 384)).to(DEVICE)
    loss, miner = losses.MultiSimilarityLoss(2, 50, 0.5), miners.MultiSimilarityMiner(0.1)
    steps = max(1, len(people) // BATCH)
    clock = Clock(network, dev, steps, target)

    def adamw(parameters, lr=0.002):
        optimizer = torch.optim.AdamW(parameters, lr, weight_decay=0.05, fused=True)
        optimizer.register_step_post_hook(clock)
        return optimizer

    try:
        learn(network, people, loss, miner, adamw, steps, epochs)
        missed = {"missed": f"not reached in {epochs} epochs, best dev AUC {max(clock.aucs):.4f}"}
    except Reached:
        missed = {}
    seconds = sum(clock.seconds)
    figures = {"minutes": None if missed else seconds / 60, "epochs": len(clock.aucs)}
    figures |= {"seconds": seconds, "images/s": BATCH * clock.n / seconds}
    figures |= {"best dev AUC": max(clock.aucs), "threads": threads(), **missed}
    asked = {"data": DATA, "target": target, "at most": epochs}
    return figures | asked | {"dev AUC": clock.aucs, "seconds an epoch": clock.seconds}


def fit(network, people, loss, miner, adamw, steps, epochs, precision=None):
    fabric = Fabric(devices=1, precision=precision) if precision else None
    scheduler = partial(CosineAnnealingLR, T_max=epochs)
    settings = dict(batch_size=BATCH, lr=0.002, weight_decay=0.05, optimizer=adamw, epochs=epochs)
    settings |= dict(sampler=fl.people_by_images, augment=fl.augment, scheduler=scheduler)
    fl.fit(network, people, loss, miner, fabric=fabric, **settings)


def workers():
    """As many as there are threads; on a single one the process that trains decodes, too."""
    return 0 if threads() == 1 else threads()


def trainer(network, people, loss, miner, adamw, steps, epochs):
    """pytorch-metric-learning's."""
    optimizer = adamw(network.parameters())
    settings = {"iterations_per_epoch": steps, "dataloader_num_workers": workers()}
    settings["lr_schedulers"] = {"trunk_scheduler_by_epoch": CosineAnnealingLR(optimizer, epochs)}
    parts = (network, loss, miner, Photos(people, AUGMENT), optimizer)
    pml(*parts, BATCH, steps * epochs, **settings).train(num_epochs=epochs)


def lightning(network, people, loss, miner, adamw, steps, epochs):
    """open-metric-learning's. Its own epochs are shorter, so the cosine counts steps."""
    optimizer = adamw(network.parameters())
    cosine = LambdaLR(optimizer, lambda n: (1 + math.cos(math.pi * (n // steps) / epochs)) / 2)
    settings = {"scheduler": cosine, "scheduler_interval": "step"}
    loading = {"num_workers": workers(), "persistent_workers": workers() > 0}
    parts = (network, loss, miner, Photos(people, AUGMENT), optimizer)
    oml(*parts, BATCH, steps * epochs, loading, **settings)()


FIT, FLOAT32 = "facelab's fit", "the same in float32"
STAGES = {
    FIT: (partial(result, fit), MALLOC),
    FLOAT32: (partial(result, partial(fit, precision="32-true")), MALLOC),
    "PML's trainer": (partial(result, trainer), MALLOC),
    "open-metric-learning": (partial(result, lightning), MALLOC),
}
RATIOS = {f"{name} / {FIT}": (name, FIT) for name in STAGES if name != FIT}
SHOWN = ("minutes", "epochs", "seconds", "images/s", "best dev AUC", "threads")

if __name__ == "__main__":
    options = {"target": TARGET, "epochs": EPOCHS}
    if rows := bench(__file__, STAGES, RATIOS, long=[FLOAT32], runs=1, options=options):
        print(f"\n| | {' | '.join(SHOWN)} |\n|---|{'---:|' * len(SHOWN)}")
        for name in [stage for stage in STAGES if stage in rows]:
            for run in rows[name]["runs"]:
                values = [f"{run[k]:.4g}" if run[k] else "not reached" for k in SHOWN]
                print(f"| {name} | {' | '.join(values)} |")
