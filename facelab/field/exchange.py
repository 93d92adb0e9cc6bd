"""Models and embeddings from elsewhere on `Faces`, and the study's networks for elsewhere."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from facelab.checks import as_json, extra, kinds, numbers, whole
from facelab.embedding import averaged, looks
from facelab.faces import Faces
from facelab.files import loaded
from facelab.models import check_settings, load_network
from facelab.progress import Progress

INSIGHTFACE = {"image_size": 112, "colours": "RGB", "mean": 127.5, "scale": 1 / 127.5}
STUDY = {"colours": "RGB", "mean": 127.5, "scale": 1 / 127.5}  # as `to_float` does it
CLOSE = 1e-5  # between a network and its ONNX file, in embeddings of unit length
BATCH = 16  # images, each of which a network may look at in 18 ways


@kinds
def onnx_model(path: str | Path, **preprocessing) -> Callable[[Faces], np.ndarray]:
    """Read a network from an ONNX file, for `verify` and ``Run.verify``.

    Returned is a function from `Faces` to embeddings, float32 of shape (n_images, size). The file
    takes images as float32 of shape (B, 3, image_size, image_size), values
    ``(pixel - mean) * scale`` of pixels from 0 to 255, and gives embeddings (B, size), which need
    not be of unit length. What is not given is as the metadata of the file says, if `export_onnx`
    wrote it, or else as in InsightFace's releases, whose images are aligned. The function's
    ``about`` is what a record has to say of it: file, SHA-256, preprocessing and all metadata.

    What is no ONNX file, not from one image to one embedding, or of another size is a ValueError;
    it is an ImportError without the extra ``facelab[onnx]``.

    Parameters
    ----------
    image_size : int
        Pixels a side; InsightFace: 112.
    colours : str
        Order of the channels, ``"RGB"`` (InsightFace) or ``"BGR"``.
    mean, scale : float or three floats, in the order of the channels
        InsightFace: 127.5 and 1 / 127.5.
    """
    path = Path(path)
    if unknown := set(preprocessing) - set(INSIGHTFACE):
        expected = f"expected {', '.join(INSIGHTFACE)}"
        raise ValueError(f"{expected}, got {', '.join(sorted(unknown))}")
    runtime = extra("onnxruntime", "onnxruntime", "onnx")
    content = path.read_bytes()
    start = partial(runtime.InferenceSession, providers=["CPUExecutionProvider"])
    session = loaded(lambda _: start(content), path, "an ONNX file", "name another")
    written = session.get_modelmeta().custom_metadata_map.get("facelab", "{}")
    known = loaded(lambda _: check_settings(json.loads(written)), path, "an ONNX file of facelab")
    about = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    about |= INSIGHTFACE | (known or {"aligned": True}) | preprocessing | about
    side = whole("image_size", about["image_size"], 1)
    if about["colours"] not in ("RGB", "BGR"):
        raise ValueError(f"expected colours RGB or BGR, got {about['colours']!r}")
    for name in ("mean", "scale"):
        if numbers(name, about[name]).size not in (1, 3):
            raise ValueError(f"expected one or three numbers as {name}, got {about[name]}")
    _check_shapes(session, side, path.name)
    (given,) = session.get_inputs()
    n_images = given.shape[0] if isinstance(given.shape[0], int) else BATCH
    mean, scale = (np.reshape(np.float32(about[name]), (-1, 1, 1)) for name in ("mean", "scale"))
    channels = slice(None, None, -1 if about["colours"] == "BGR" else 1)

    def embed(faces: Faces) -> np.ndarray:
        shape = faces.packed.shape[2:]
        if shape != (side, side):
            got = f"{shape[0]}x{shape[1]}; load them with image_size={side}"
            raise ValueError(f"{path.name}: expected images of {side}x{side} pixels, got {got}")
        out = []
        for start in Progress(range(0, len(faces), n_images), path.name, delay=5):
            images = faces.batch(slice(start, start + n_images))[:, channels]
            images = (images - mean) * scale  # (B, 3, side, side)
            out += session.run(None, {given.name: images})
        return _checked(np.concatenate(out), len(faces), path.name)

    embed.about = about
    return embed


def _check_shapes(session, side: int, name: str) -> None:
    """Refuse a network that is not from images of that size to one embedding each."""
    inputs = [list(given.shape) for given in session.get_inputs()]
    n_outputs = len(session.get_outputs())
    given = inputs[0][1:] if len(inputs) == n_outputs == 1 else []
    # a side may be left open, and is a name then
    sides = [n if isinstance(n, int) else m for n, m in zip(given, (3, side, side), strict=False)]
    if len(given) != 3 or sides != [3, side, side]:
        expected = f"expected one input of shape [B, 3, {side}, {side}] and one output"
        got = f"got inputs {inputs} and {n_outputs} outputs; name another size as image_size"
        raise ValueError(f"{name}: {expected}, {got}")


def _checked(table: np.ndarray, n: int, name: str) -> np.ndarray:
    """Return embeddings of `n` images if they are that."""
    if table.ndim != 2 or len(table) != n or table.dtype.kind not in "fiu":
        expected = f"expected embeddings of shape ({n}, size)"
        raise ValueError(f"{name}: {expected}, got {table.dtype} of shape {table.shape}")
    wrong = ~np.isfinite(table).all(axis=1)
    if wrong.any():
        got = f"{wrong.sum():,} rows with nan or infinity, row {np.argmax(wrong)} first"
        raise ValueError(f"{name}: expected finite embeddings, got {got}")
    return table


@kinds
def embeddings_of(
    path: str | Path, image_ids: Sequence[str] | None = None
) -> Callable[[Faces], np.ndarray]:
    """Return a function from `Faces` to the embeddings that a ``.npy`` file has of them.

    Parameters
    ----------
    path : path
        Of numbers of shape (n_images, embedding_size), finite. A ``.npz`` file has them as
        ``embeddings``, beside ``image_ids``.
    image_ids : sequence of n_images str
        Of each row, as in ``Faces.image_ids``: ``NAME_0001`` of LFW, ``PERSON/FILE`` of one's own
        photos. By default those in the ``.npz``, or the lines of ``a.txt`` beside ``a.npy``. Other
        numbers of ids, an id that is there twice and, later, an image without one are ValueErrors.
    """
    path = Path(path)
    if path.suffix == ".npz":
        table, stored = loaded(_read_npz, path, "a .npz file of embeddings and image_ids")
        image_ids = stored if image_ids is None else image_ids
    else:
        table = loaded(_read_npy, path, "a .npy file of numbers")
    beside = path.with_suffix(".txt")
    if image_ids is None:
        if not beside.is_file():
            raise ValueError(f"{path.name}: expected image ids, one a line, in {beside}, got none")
        image_ids = beside.read_text("utf-8").splitlines()
    ids = pd.Index([str(image) for image in image_ids], dtype=object)
    _checked(table, len(ids), path.name)
    if not ids.is_unique:
        twice = ids[ids.duplicated()][0]
        raise ValueError(f"{path.name}: expected distinct ids, got {twice} twice")

    def embed(faces: Faces) -> np.ndarray:
        rows = ids.get_indexer(faces.image_ids)
        missing = faces.image_ids[rows < 0]
        if len(missing):
            expected = f"expected embeddings of all {len(faces):,} images"
            few = ", ".join(missing[:5])
            raise ValueError(f"{path.name}: {expected}, got none of {len(missing):,}: {few}")
        return table[rows]

    embed.about = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return embed


def _read_npy(path: Path) -> np.ndarray:
    with open(path, "rb") as file:  # which NumPy would leave open
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        return arrays["embeddings"], arrays["image_ids"]


class _Embedding(nn.Module):
    """What `facelab.embed` makes of a network: looks added, of unit length."""

    def __init__(self, network: nn.Module, flip: bool, shift: int):
        super().__init__()
        self.network = network
        self.flip = flip
        self.shift = shift

    def forward(self, images):
        shown = list(looks(images, self.flip, self.shift))
        embeddings = self.network(torch.cat(shown)).unflatten(0, (len(shown), -1))
        return functional.normalize(embeddings.sum(0))


@kinds
def export_onnx(network: str | Path | nn.Module, path: str | Path, **settings) -> dict:
    """Write a network to an ONNX file that gives embeddings of unit length, and check it.

    Where the settings say ``flip`` or ``shift``, the file itself averages as `facelab.embed` does.
    The file is run by onnxruntime on random images before it is kept; its embeddings are within
    1e-5 of the network's. Its metadata has, under ``facelab``, the preprocessing that `onnx_model`
    reads and all settings, ``threshold`` among them; they are returned. It is an ImportError
    without the extra ``facelab[onnx]``, and a ValueError if the file differs from the network.

    Parameters
    ----------
    network : path or torch.nn.Module
        A file of `save_network`, with its settings, or any network (B, 3, H, W) -> (B, size).
    **settings
        What a user has to know, as JSON takes it; ``image_size`` is needed for a module.
    """
    *_, runtime = [extra(name, name, "onnx") for name in ("onnx", "onnxscript", "onnxruntime")]
    path = Path(path)
    if not isinstance(network, nn.Module):
        network, known = load_network(network)
        settings = known | settings
    side = whole("image_size", settings.get("image_size"), 1)
    about = check_settings(settings) | STUDY
    said = as_json(about)
    was_training = network.training
    wrapped = _Embedding(network, **averaged(settings)).eval().cpu()
    images = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        expected = wrapped(images).numpy()
    bar = Progress(total=1, desc=path.name, unit="file")
    with bar, redirect_stdout(StringIO()):  # the exporter's diary
        program = torch.onnx.export(
            wrapped,
            (images,),
            input_names=["images"],
            output_names=["embeddings"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            dynamo=True,
            verbose=False,
        )
        bar.update()
    network.train(was_training)
    proto = program.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = "facelab", said
    content = proto.SerializeToString()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy()})
    off = np.abs(found - expected).max()
    if not off <= CLOSE:
        raise ValueError(f"expected an ONNX file within {CLOSE} of the network, got {off:.2g} off")
    path.write_bytes(content)
    return about
