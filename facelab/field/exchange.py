"""Models and embeddings from elsewhere on `Faces`, and the study's networks for elsewhere."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from copy import deepcopy
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from facelab.checks import as_json, expect, expect_in, extra, kinds, numbers, one_each, whole
from facelab.embedding import averaged, expecting, looks
from facelab.faces import Faces
from facelab.files import loaded, read_arrays, sha256_of, write_whole
from facelab.models import check_settings, load_network
from facelab.progress import Progress

INSIGHTFACE = {"image_size": 112, "colours": "RGB", "mean": 127.5, "scale": 1 / 127.5}
STUDY = {"colours": "RGB", "mean": 127.5, "scale": 1 / 127.5}  # as `to_float` does it
CLOSE = 1e-5  # between a network and its ONNX file, in embeddings of unit length
FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}  # of images, as ONNX has them
WEIGHTS_IN = "session.model_external_initializers_file_folder_path"  # onnxruntime's
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
    unknown = set(preprocessing) - set(INSIGHTFACE)
    expect(not unknown, ", ".join(INSIGHTFACE), ", ".join(sorted(unknown)))
    runtime = extra("onnxruntime", "onnxruntime", "onnx")
    content = path.read_bytes()
    options = runtime.SessionOptions()
    options.add_session_config_entry(WEIGHTS_IN, str(path))  # no folder: none elsewhere are found
    start = partial(runtime.InferenceSession, content, options, providers=["CPUExecutionProvider"])
    session = loaded(lambda _: start(), path, "an ONNX file with its weights in it", "name another")
    written = session.get_modelmeta().custom_metadata_map.get("facelab", "{}")
    known = loaded(lambda _: check_settings(json.loads(written)), path, "an ONNX file of facelab")
    itself = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    known = known or {"aligned": True}
    about = itself | INSIGHTFACE | known | preprocessing | itself  # first, and not overwritten
    side = whole("image_size", about["image_size"], 1)
    expect(about["colours"] in ("RGB", "BGR"), "colours RGB or BGR", repr(about["colours"]))
    for name in ("mean", "scale"):
        is_fit = numbers(name, about[name]).size in (1, 3)
        expect(is_fit, f"one or three numbers as {name}", about[name])
    _check_shapes(session, side, path.name)
    (given,) = session.get_inputs()
    fixed = given.shape[0] if isinstance(given.shape[0], int) else 0
    n_images = fixed or BATCH
    expect_in(path.name, given.type in FLOATS, f"images of {' or '.join(FLOATS)}", given.type)
    mean, scale = (np.reshape(np.float32(about[name]), (-1, 1, 1)) for name in ("mean", "scale"))
    channels = slice(None, None, -1 if about["colours"] == "BGR" else 1)

    def embed(faces: Faces) -> np.ndarray:
        height, width = faces.packed.shape[2:]
        got = f"{height}x{width}; load them with image_size={side}"
        expect_in(path.name, height == width == side, f"images of {side}x{side} pixels", got)
        expect_in(path.name, len(faces), "images to embed", "none")
        out = []
        for start in Progress(range(0, len(faces), n_images), path.name, delay=5):
            images = faces.batch(slice(start, start + n_images))[:, channels]
            n_missing = max(0, fixed - len(images))
            images = np.pad(images, [(0, n_missing), (0, 0), (0, 0), (0, 0)])
            images = FLOATS[given.type]((images - mean) * scale)  # (B, 3, side, side)
            with expecting(f"a network that takes images of shape {images.shape} in {path.name}"):
                (table,) = session.run(None, {given.name: images})
                out.append(np.float32(table[: len(table) - n_missing]))
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
    expected = f"one input of shape [B, 3, {side}, {side}] and one output"
    got = f"inputs {inputs} and {n_outputs} outputs; name another size as image_size"
    expect_in(name, len(given) == 3 and sides == [3, side, side], expected, got)


def _checked(table: np.ndarray, n: int, name: str) -> np.ndarray:
    """Return embeddings of `n` images if they are that."""
    is_fit = table.ndim == 2 and len(table) == n and table.dtype.kind in "fiu"
    got = f"{table.dtype} of shape {table.shape}"
    expect_in(name, is_fit, f"embeddings of shape ({n}, size)", got)
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
    is_npz = path.suffix.lower() == ".npz"
    expected = "a .npz file of embeddings and image_ids" if is_npz else "a .npy file of numbers"
    table, stored = loaded(_read, path, expected)
    image_ids = stored if image_ids is None else image_ids
    beside = path.with_suffix(".txt")
    if image_ids is None:
        expect_in(path.name, beside.is_file(), f"image ids, one a line, in {beside}", "none")
        lines = partial(Path.read_text, encoding="utf-8-sig")  # without the mark of Windows
        image_ids = loaded(lines, beside, "image ids in UTF-8", "save it so").splitlines()
    ids = pd.Index([str(image) for image in image_ids], dtype=object)
    _checked(table, len(ids), path.name)
    if not ids.is_unique:
        twice = ids[ids.duplicated()][0]
        raise ValueError(f"{path.name}: expected distinct ids, got {twice} twice")

    def embed(faces: Faces) -> np.ndarray:
        rows = ids.get_indexer(faces.image_ids)
        missing = faces.image_ids[rows < 0]
        got = f"none of {len(missing):,}: {', '.join(missing[:5])}"
        expect_in(path.name, not len(missing), f"embeddings of all {len(faces):,} images", got)
        return table[rows]

    embed.about = {"file": path.name, "sha256": sha256_of(path)}
    return embed


def _read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    if path.suffix.lower() != ".npz":
        with open(path, "rb") as file:  # which NumPy would leave open
            return np.lib.format.read_array(file, allow_pickle=False), None
    arrays = read_arrays(path)
    table, image_ids = arrays["embeddings"], arrays["image_ids"]
    return table, one_each("image_ids", image_ids, len(table))


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
    expect(path.parent.is_dir(), "a folder that is there", path.parent)
    expect(path.suffix.lower() == ".onnx", "a file *.onnx to write", path)
    if not isinstance(network, nn.Module):
        network, known = load_network(network)
        settings = known | settings
    side = whole("image_size", settings.get("image_size"), 1)
    about = check_settings(settings) | STUDY
    said = as_json(about)
    wrapped = _Embedding(deepcopy(network), **averaged(settings)).eval().cpu()
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
    program.model.metadata_props["facelab"] = said
    content = program.model_proto.SerializeToString()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images.numpy()})
    off = np.abs(found - expected).max()
    expect(off <= CLOSE, f"an ONNX file within {CLOSE} of the network", f"{off:.2g} off")
    write_whole(path, partial(Path.write_bytes, data=content))
    return about
