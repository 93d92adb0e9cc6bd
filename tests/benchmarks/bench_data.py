"""Time what surrounds the network: packing, opening, batches, embedding, imports, a notebook.

``python tests/benchmarks/bench_data.py [PART OF A ROW'S NAME]...``; see README.md beside this
file. Data: LFW if ``FACELAB_LFW`` names it, else the synthetic faces; 64 pixels.
"""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness import bench, seconds

from facelab.study.execute import MALLOC

SIZE = 64
DATA = "lfw" if os.environ.get("FACELAB_LFW") else "synthetic"


def pack():
    """Decode all images into a new cache."""
    import facelab as fl
    from facelab.data.copies import find

    find(DATA)  # draws the synthetic faces, if they are to be drawn
    with TemporaryDirectory() as folder:
        os.environ["FACELAB_CACHE"] = folder
        return seconds(lambda: len(fl.load_lfw(find(DATA).path, SIZE, progress=False)))


def decode(resample):
    """Decode all images once with a torchvision-style data set, a worker per core."""
    import torch
    from PIL import Image
    from torchvision import transforms

    from facelab.data.copies import find
    from facelab.data.protocol_text import read

    copy = find(DATA)
    files = [f"{copy.path}/{file}" for file in read(*copy.lists).files]
    resize = transforms.Resize(SIZE, transforms.InterpolationMode(resample))
    change = transforms.Compose([transforms.CenterCrop(128), resize, transforms.PILToTensor()])

    class Photos(torch.utils.data.Dataset):
        def __len__(self):
            return len(files)

        def __getitem__(self, i):
            return change(Image.open(files[i]).convert("RGB"))

    loader = torch.utils.data.DataLoader(Photos(), batch_size=256, num_workers=os.cpu_count())
    return seconds(lambda: sum(len(batch) for batch in loader))


def reopen():
    """Open the packed cache: the first call of a process that has imported the package."""
    from facelab.data.lfw import load_lfw

    subprocess.run([sys.executable, "-c", f"import facelab; facelab.load_lfw({DATA!r}, {SIZE})"])
    return seconds(lambda: len(load_lfw(DATA, SIZE)))


def batches(augmented):
    """Read and change a batch of 128."""
    import torch

    import facelab as fl

    faces, rng = fl.load_lfw(DATA, SIZE, progress=False), np.random.default_rng(0)
    faces.images.sum()  # as after the first epoch: in memory
    generator = torch.Generator().manual_seed(0)

    def run():
        images = torch.from_numpy(faces.batch(rng.integers(len(faces), size=128)))
        return len(fl.augment(images, generator) if augmented else fl.to_float(images))

    return seconds(run, 50)


def embedding(ours):
    """Embed 4,096 images, or pass one resident batch as often through the network."""
    import torch

    import facelab as fl

    faces = fl.load_lfw(DATA, SIZE, progress=False)
    network = fl.siamese_cnn(128, SIZE).to(memory_format=torch.channels_last).eval()
    fl.embed(network, faces, np.arange(256))
    rows = np.arange(4096) % len(faces)
    images = fl.to_float(torch.from_numpy(faces.batch(np.arange(256))))

    def forward():
        with torch.inference_mode():
            return sum(len(network(images)) for _ in range(len(rows) // len(images)))

    start = time.perf_counter()
    n = len(fl.embed(network, faces, rows)) if ours else forward()
    return {"images/s": n / (time.perf_counter() - start)}


def importing(what):
    """Import in a new process, beside what Python itself needs to start."""
    return seconds(lambda: subprocess.run([sys.executable, "-c", what], check=True).returncode, 3)


def notebook():
    """Start a kernel, import what chapters import, touch the training, and stop it."""
    import nbformat

    from facelab.study.execute import execute

    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.ipynb"
        imports = "import facelab as fl\nfrom pytorch_metric_learning import losses, miners\n"
        cell = nbformat.v4.new_code_cell(imports + "fl.fit, fl.verify, fl.plot_roc, fl.Run")
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
        return seconds(lambda: bool(execute(path, {}, Path(folder) / "done.ipynb", "empty")))


STAGES = {
    "packing all images": (pack, MALLOC),
    "DataLoader decoding all": (partial(decode, "bilinear"), MALLOC),
    "DataLoader decoding all, Lanczos as we": (partial(decode, "lanczos"), MALLOC),
    "opening the packed cache": (reopen, {}),
    "a batch of 128, read and scaled": (partial(batches, False), MALLOC),
    "a batch of 128, read and augmented": (partial(batches, True), MALLOC),
    "embed, small CNN": (partial(embedding, True), MALLOC),
    "the forward pass alone, small CNN": (partial(embedding, False), MALLOC),
    "import torch": (partial(importing, "import torch"), {}),
    "import torch and facelab": (partial(importing, "import torch, facelab"), {}),
    "a notebook's kernel and imports": (notebook, {}),
}

RATIOS = {
    "DataLoader / packing": ("DataLoader decoding all", "packing all images"),
    "DataLoader with Lanczos / packing": (
        "DataLoader decoding all, Lanczos as we",
        "packing all images",
    ),
    "embed / the forward pass alone": ("embed, small CNN", "the forward pass alone, small CNN"),
}

if __name__ == "__main__":
    bench(__file__, STAGES, RATIOS)
