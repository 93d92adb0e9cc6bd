"""Models and embeddings from elsewhere on `Faces`, and the study's networks for elsewhere."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from facelab.checks import as_json, extra, kinds, one_line, whole
from facelab.embedding import averaged, looks
from facelab.faces import Faces
from facelab.files import loaded
from facelab.models import check_settings, load_network
from facelab.progress import Progress

INSIGHTFACE = {"image_size": 112, "colours": "RGB", "mean": 127.5, "scale": 1 / 127.5}
STUDY = {"colours": "RGB", "mean": 127.5, "scale": 1 / 127.5}  # as `to_float` does it
CLOSE = 1e-5  # between a network and its ONNX file, in embeddings of unit length
BATCH = 16  # images, each of which a network may look at in 18 ways


class OnnxModel:
    """An ONNX file as a function from `Faces` to embeddings; `onnx_model` makes it.

    `about` is what a record has to say of it: file, SHA-256, preprocessing and all its metadata.
    """

    def __init__(self, session, about: dict):
        self.session = session
        self.about = about

    def __call__(self, faces: Faces) -> np.ndarray:
        """Embed every image: float32 of shape (n_images, embedding_size)."""
        side = self.about["image_size"]
        if faces.packed.shape[2:] != (side, side):
            got = "x".join(map(str, faces.packed.shape[2:]))
            raise ValueError(
                f"{self.about['file']}: expected images of {side}x{side} pixels, got {got}; load "
                f"them with image_size={side}"
            )
        mean = np.reshape(np.float32(self.about["mean"]), (-1, 1, 1))
        scale = np.reshape(np.float32(self.about["scale"]), (-1, 1, 1))
        channels = slice(None, None, -1 if self.about["colours"] == "BGR" else 1)
        out = []
        for start in Progress(range(0, len(faces), BATCH), self.about["file"], delay=5):
            images = faces.batch(slice(start, start + BATCH))[:, channels]  # (B, 3, side, side)
            images = (images - mean) * scale
            out.append(self._run(images))
        embeddings = np.concatenate(out)
        _check_finite(embeddings, self.about["file"])
        return embeddings

    def _run(self, images: np.ndarray) -> np.ndarray:
        (given,) = self.session.get_inputs()
        fixed = given.shape[0] if isinstance(given.shape[0], int) else len(images)
        parts = [images[k : k + fixed] for k in range(0, len(images), fixed)]
        embedded = [self.session.run(None, {given.name: part})[0] for part in parts]
        found = np.concatenate(embedded)
        if found.ndim != 2 or len(found) != len(images):
            expected = f"expected embeddings of shape ({len(images)}, size)"
            raise ValueError(f"{self.about['file']}: {expected}, got {found.shape}")
        return found


@kinds
def onnx_model(path: str | Path, **preprocessing) -> OnnxModel:
    """Read a network from an ONNX file, for `verify` and ``Run.verify``.

    It takes images as float32 of shape (B, 3, image_size, image_size), values
    ``(pixel - mean) * scale`` of pixels from 0 to 255, and gives embeddings (B, size), which need
    not be of unit length. What is not given is as the metadata of the file says, if `export_onnx`
    wrote it, or else as in InsightFace's releases, whose images are aligned.

    Parameters
    ----------
    image_size : int
        Pixels a side; InsightFace: 112.
    colours : str
        Order of the channels, ``"RGB"`` (InsightFace) or ``"BGR"``.
    mean, scale : float or three floats, in the order of the channels
        InsightFace: 127.5 and 1 / 127.5.

    Raises
    ------
    ImportError
        Without the extra: ``pip install 'facelab[onnx]'``.
    ValueError
        If the file is no ONNX file, is not from one image to one embedding, or is of another size.

    References
    ----------
    Guo, Deng et al., InsightFace, github.com/deepinsight/insightface: its model zoo.
    """
    path = Path(path)
    if unknown := set(preprocessing) - set(INSIGHTFACE):
        expected = f"expected {', '.join(INSIGHTFACE)}"
        raise ValueError(f"{expected}, got {', '.join(sorted(unknown))}")
    runtime = extra("onnxruntime", "onnxruntime", "onnx")
    content = path.read_bytes()
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, of no common class
        why = str(error).splitlines()[0]
        raise ValueError(f"expected an ONNX file, got {path} ({why})") from None
    written = session.get_modelmeta().custom_metadata_map.get("facelab", "{}")
    known = loaded(lambda _: check_settings(json.loads(written)), path, "an ONNX file of facelab")
    about = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    about |= INSIGHTFACE | (known or {"aligned": True}) | preprocessing | about
    whole("image_size", about["image_size"], 1)
    if about["colours"] not in ("RGB", "BGR"):
        raise ValueError(f"expected colours RGB or BGR, got {about['colours']!r}")
    for name in ("mean", "scale"):
        values = np.asarray(about[name])
        is_number = values.dtype.kind in "iuf" and np.isfinite(values).all()
        if values.size not in (1, 3) or not is_number:
            raise ValueError(f"expected one or three finite numbers as {name}, got {about[name]}")
    inputs = [list(given.shape) for given in session.get_inputs()]
    wanted = [3, about["image_size"], about["image_size"]]
    fits = len(inputs) == 1 and len(inputs[0]) == 4
    if fits:  # a side may be left open, and is a name then
        sides = zip(inputs[0][1:], wanted, strict=True)
        fits = all(given == side or not isinstance(given, int) for given, side in sides)
    if not fits or len(session.get_outputs()) != 1:
        n_outputs = len(session.get_outputs())
        expected = f"expected one input of shape [B, {', '.join(map(str, wanted))}] and one output"
        got = f"got inputs {inputs} and {n_outputs} outputs; name another size as image_size"
        raise ValueError(f"{path.name}: {expected}, {got}")
    return OnnxModel(session, about)


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
        photos. By default those in the ``.npz``, or the lines of ``a.txt`` beside ``a.npy``.

    Raises
    ------
    ValueError
        If it is no such file, rows and ids differ in number, an id is there twice, a number is not
        finite, or, later, an image of the faces has no row.
    """
    path = Path(path)

    def read(path):
        with open(path, "rb") as file:  # which NumPy would leave open
            if Path(path).suffix != ".npz":
                return np.load(file, allow_pickle=False)
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)

    table = loaded(read, path, "a .npy file of numbers")
    if image_ids is None:
        table, image_ids = _with_ids(path, table)
    ids = [str(image) for image in image_ids]
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.dtype.kind not in "fiu":
        got = f"{table.dtype} of shape {table.shape}" if hasattr(table, "shape") else "an archive"
        raise ValueError(f"{path.name}: expected a table of numbers, got {got}")
    if len(ids) != len(table):
        raise ValueError(f"{path.name}: expected {len(table):,} ids, one a row, got {len(ids):,}")
    row_of = {image: row for row, image in enumerate(ids)}
    if len(row_of) < len(ids):
        twice = next(image for row, image in enumerate(ids) if row_of[image] != row)
        raise ValueError(f"{path.name}: expected distinct ids, got {twice} twice")
    _check_finite(table, path.name)

    def embed(faces: Faces) -> np.ndarray:
        wanted = faces.image_ids.tolist()
        missing = [image for image in wanted if image not in row_of]
        if missing:
            few = ", ".join(missing[:5])
            expected = f"{path.name}: expected embeddings of all {len(wanted):,} images"
            raise ValueError(f"{expected}, got none of {len(missing):,}: {few}")
        return table[[row_of[image] for image in wanted]]

    embed.about = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return embed


def _with_ids(path: Path, table) -> tuple[np.ndarray, Sequence[str]]:
    """Return the embeddings in a file, and the ids that it or the text beside it has."""
    if isinstance(table, np.ndarray):
        beside = path.with_suffix(".txt")
        if not beside.is_file():
            raise ValueError(f"{path.name}: expected image ids, one a line, in {beside}, got none")
        return table, beside.read_text("utf-8").splitlines()
    try:
        return table["embeddings"], table["image_ids"]
    except Exception as error:  # whatever a damaged archive makes NumPy raise
        expected = "expected arrays embeddings and image_ids"
        raise ValueError(f"{path.name}: {expected}, got {one_line(error)}") from None


def _check_finite(embeddings: np.ndarray, name: str) -> None:
    wrong = ~np.isfinite(embeddings).all(axis=1)
    if wrong.any():
        got = f"{wrong.sum():,} rows with nan or infinity, row {np.argmax(wrong)} first"
        raise ValueError(f"{name}: expected finite embeddings, got {got}")


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
    reads and all settings, ``threshold`` among them; they are returned.

    Parameters
    ----------
    network : path or torch.nn.Module
        A file of `save_network`, with its settings, or any network (B, 3, H, W) -> (B, size).
    **settings
        What a user has to know, as JSON takes it; ``image_size`` is needed for a module.

    Raises
    ------
    ImportError
        Without the extra: ``pip install 'facelab[onnx]'``.
    ValueError
        If it is no network, its size is not known, or the file differs from it.
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
