"""Time `fit` against the bare network, the usual recipe and open-metric-learning.

``python tests/benchmarks/bench_training.py [PART OF A ROW'S NAME]...``; see README.md beside this
file. Data: LFW if ``FACELAB_LFW`` names it, else the synthetic faces; 128 images a step, of 64
pixels, on a GPU of 112.
"""

import os
import time
from functools import partial

import numpy as np
import pandas as pd
import torch
from harness import bench
from PIL import Image
from pytorch_metric_learning import losses, miners, samplers, trainers
from torchvision import transforms

import facelab as fl
from facelab.data.copies import find
from facelab.study.execute import MALLOC

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
SIZE, BATCH = 112 if GPU else 64, 128
STEPS = {"small CNN": (4, 16), "ResNet-50": (1, 5)}  # not counted, and counted
if GPU:
    STEPS = dict.fromkeys(STEPS, (20, 200))
DATA = "lfw" if os.environ.get("FACELAB_LFW") else "synthetic"
PLAIN = dict.fromkeys(MALLOC)


def make(name):
    torch.manual_seed(0)
    network = fl.siamese_cnn(128, SIZE) if name == "small CNN" else fl.resnet50(128)
    loss = losses.TripletMarginLoss(margin=0.2)
    return network, loss, miners.TripletMarginMiner(margin=0.2, type_of_triplets="semihard")


def people():
    train, _, _ = fl.view1(fl.load_lfw(DATA, SIZE, progress=False))
    return train.at_least(2)


def rate(times, name):
    """Images per second between the ends of the steps that count."""
    first, n = STEPS[name]
    return {"images/s": BATCH * n / (times[first + n - 1] - times[first - 1]), "threads": threads()}


def threads():
    return torch.get_num_threads()


def place(name, precision):
    """Put the network and a batch where `fit` would, as the precision wants them in memory."""
    network, _, _ = make(name)
    fast = precision == "bf16-mixed"
    kind = torch.channels_last if fast else torch.contiguous_format
    images = torch.randn(BATCH, 3, SIZE, SIZE, device=DEVICE).contiguous(memory_format=kind)
    autocast = torch.autocast(DEVICE, torch.bfloat16, enabled=fast)
    return network.to(DEVICE, memory_format=kind), images, autocast


def now():
    if GPU:
        torch.cuda.synchronize()
    return time.perf_counter()


def bare(name, precision):
    """Forward, backward and step on one resident batch, without miner and metric loss."""
    network, images, autocast = place(name, precision)
    opt, times = torch.optim.Adam(network.parameters()), []
    for _ in range(sum(STEPS[name])):
        with autocast:
            embeddings = network(images)
        opt.zero_grad()
        embeddings.float().square().mean().backward()
        opt.step()
        times.append(now())
    return rate(times, name)


def convolutions(name, precision):
    """Forward and backward of each convolution, and nothing else: what no code can save."""
    network, images, autocast = place(name, precision)
    kept, times = [], []
    hooks = [
        layer.register_forward_hook(lambda layer, x, y: kept.append((layer, x[0], y)))
        for layer in network.modules()
        if isinstance(layer, torch.nn.Conv2d)
    ]
    with autocast:
        network(images)
    for hook in hooks:
        hook.remove()
    layers = []
    for layer, x, y in kept:
        layer.to(y.dtype)
        x = x.detach().to(y.dtype).requires_grad_(bool(layers))  # nobody asks for the images'
        layers.append((layer, x, [layer.weight, x] if layers else [layer.weight], y.detach()))
    kept.clear()
    for _ in range(sum(STEPS[name])):
        for layer, x, wanted, grad in layers:
            torch.autograd.grad(layer(x), wanted, grad)
        times.append(now())
    return rate(times, name)


def fit(name, augment=None):
    """Everything that `fit` does at its defaults: read, mine, loss, measure."""
    network, loss, miner = make(name)
    times = []

    class Clocked(torch.optim.Adam):
        def step(self, closure=None):
            super().step(closure)
            times.append(time.perf_counter())

    def sampler(faces, batch_size, rng):
        batches = fl.people_by_images(faces, batch_size, rng)
        first = list(batches)
        return (first * sum(STEPS[name]))[: sum(STEPS[name])]

    settings = dict(sampler=sampler, batch_size=BATCH, optimizer=Clocked, augment=augment)
    fl.fit(network, people(), loss, miner, epochs=1, **settings)
    return rate(times, name)


class Photos(torch.utils.data.Dataset):
    """What every tutorial writes: decode, crop, shrink, to tensor, normalise."""

    def __init__(self, faces=None, transform=None):
        faces, copy = faces or people(), find(DATA)
        ids, names = faces.image_ids, np.array(faces.names)[faces.labels]
        self.paths = [f"{copy.path}/{name}/{i}.jpg" for name, i in zip(names, ids, strict=True)]
        self.labels = faces.labels
        self.transform = transform or transforms.Compose(
            [
                transforms.CenterCrop(128),
                transforms.Resize(SIZE),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        return self.transform(Image.open(self.paths[i]).convert("RGB")), int(self.labels[i])


def pml(network, loss, miner, photos, optimizer, batch, n, **settings):
    """Return pytorch-metric-learning's trainer, for `n` batches of four images a person."""
    return trainers.MetricLossOnly(
        models={"trunk": network},
        optimizers={"trunk_optimizer": optimizer},
        batch_size=batch,
        loss_funcs={"metric_loss": loss},
        mining_funcs={"tuple_miner": miner},
        dataset=photos,
        sampler=samplers.MPerClassSampler(photos.labels, 4, batch, batch * n),
        **settings,
    )


def recipe(name):
    """PIL, DataLoader, float32 and pytorch-metric-learning's trainer, at their defaults."""
    network, loss, miner = make(name)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    times, n = [], sum(STEPS[name])
    trainer = pml(
        *(network, loss, miner, Photos(), optimizer, BATCH, n),
        iterations_per_epoch=n,
        end_of_iteration_hook=lambda _: times.append(time.perf_counter()),
    )
    trainer.train(num_epochs=1)
    return rate(times, name)


def oml(network, loss, miner, photos, optimizer, batch, n, loading, callbacks=(), **settings):
    """Return what trains `n` batches in open-metric-learning's data set, sampler and module."""
    import pytorch_lightning as pl
    from oml.datasets import ImageLabeledDataset
    from oml.interfaces.models import IExtractor
    from oml.lightning.modules.extractor import ExtractorModule
    from oml.samplers import BalanceSampler

    class Extractor(IExtractor):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, images):
            return self.network(images)

        @property
        def feat_dim(self):
            return 128

    class Criterion(torch.nn.Module):
        def forward(self, embeddings, labels):
            labels = torch.as_tensor(labels)
            return loss(embeddings, labels, miner(embeddings, labels))

    table = pd.DataFrame({"label": photos.labels, "path": photos.paths, "split": "train"})
    images = ImageLabeledDataset(table, transform=photos.transform)
    sampler = BalanceSampler(photos.labels.tolist(), batch // 4, 4)
    loader = torch.utils.data.DataLoader(images, batch_sampler=sampler, **loading)
    trainer = pl.Trainer(
        max_steps=n,
        max_epochs=-1,
        accelerator="auto",
        logger=False,
        enable_checkpointing=False,
        callbacks=list(callbacks),
    )
    module = ExtractorModule(Extractor(), Criterion(), optimizer, **settings)
    return partial(trainer.fit, module, loader)


def lightning(name):
    """open-metric-learning in Lightning's trainer."""
    import pytorch_lightning as pl

    class Clock(pl.Callback):
        times = ()

        def on_train_batch_end(self, *_):
            self.times += (time.perf_counter(),)

    network, loss, miner = make(name)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    clock, parts = Clock(), (network, loss, miner, Photos(), optimizer)
    oml(*parts, BATCH, sum(STEPS[name]), {"num_workers": 2}, [clock])()
    return rate(clock.times, name)


STAGES, RATIOS = {}, {}
for network in STEPS:
    STAGES |= {
        f"{network}: convolutions, bfloat16": (
            partial(convolutions, network, "bf16-mixed"),
            MALLOC,
        ),
        f"{network}: bare, bfloat16": (partial(bare, network, "bf16-mixed"), MALLOC),
        f"{network}: fit": (partial(fit, network), MALLOC),
        f"{network}: fit, augmented": (partial(fit, network, fl.augment), MALLOC),
        f"{network}: bare, float32": (partial(bare, network, "32-true"), MALLOC),
        f"{network}: convolutions, float32": (partial(convolutions, network, "32-true"), MALLOC),
        f"{network}: PML's trainer": (partial(recipe, network), MALLOC),
        f"{network}: open-metric-learning": (partial(lightning, network), MALLOC),
        f"{network}: PML's trainer, malloc as it is": (partial(recipe, network), PLAIN),
        f"{network}: open-metric-learning, malloc as it is": (partial(lightning, network), PLAIN),
    }
    for name, pair in {
        "fit / bare": ("fit", "bare, bfloat16"),
        "fit, augmented / bare": ("fit, augmented", "bare, bfloat16"),
        "fit / bare float32": ("fit", "bare, float32"),
        "convolutions, bfloat16 / float32": ("convolutions, bfloat16", "convolutions, float32"),
        "fit / PML's trainer": ("fit", "PML's trainer"),
        "fit / open-metric-learning": ("fit", "open-metric-learning"),
        "fit / PML's trainer, each as it comes": ("fit", "PML's trainer, malloc as it is"),
        "fit / open-metric-learning, each as it comes": (
            "fit",
            "open-metric-learning, malloc as it is",
        ),
    }.items():
        RATIOS[f"{network}: {name}"] = tuple(f"{network}: {row}" for row in pair)

if __name__ == "__main__":
    bench(__file__, STAGES, RATIOS)
