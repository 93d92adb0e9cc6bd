"""dlib's face network, which learned from other people's faces, on any `Faces`."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from facelab.checks import expect, extra, kinds, whole
from facelab.data.cache import cache_dir, made_once
from facelab.faces import Faces
from facelab.files import sha256_of
from facelab.progress import Progress

LEAST = 80  # pixels a side of the smallest face that dlib's detector finds
CHIP = 150  # pixels a side of what dlib's network takes
CENTRE = 0.6  # of an image's side: 150 of LFW's 250 pixels
VALUES = 128  # of an embedding


@kinds
def dlib_network(
    aligned: bool = True, jitters: int = 0, progress: bool = True
) -> Callable[[Faces], np.ma.MaskedArray]:
    """Return a function from `Faces` to the embeddings of dlib's network, of (n_images, 128).

    A face is found by dlib's HOG detector, the one nearest the centre where there are several;
    five landmarks turn and scale it to 150 x 150 pixels; without `aligned` it is the central 0.6 of
    every image, found or not. A ResNet with 29 convolutions embeds it (King, blog.dlib.net, 2017).
    With `jitters` that is the mean over so many copies, turned, zoomed, moved and mirrored at
    random: its author's 99.38 % took a hundred, and a hundred take a hundred times as long.
    An image without a found face has a masked row: `distances` puts it 2 away from every other,
    so its pairs are rejected, counted and never dropped. Load the images whole and in their own
    size, ``load_lfw(root, image_size=250, crop=None)``.

    The network learned from three million images of 7,485 people, without LFW's as far as its
    author could tell: results belong to LFW's category of labelled outside data. Embeddings are
    kept in the cache, image by image, so a stopped call is gone on with. Images smaller than 80
    pixels a side, the least face that is found, are a ValueError; it is an ImportError without the
    extra ``facelab[pretrained]``.
    """
    jitters = whole("jitters", jitters, 0)
    dlib = extra("dlib", "the network", "pretrained")
    models = extra("face_recognition_models", "the network", "pretrained")
    weights = Path(models.face_recognition_model_location())
    network = dlib.face_recognition_model_v1(str(weights))
    detect = dlib.get_frontal_face_detector()
    landmarks = dlib.shape_predictor(models.pose_predictor_five_point_model_location())

    def chip(image: np.ndarray) -> np.ndarray | None:
        if not aligned:
            return _centre(image)
        boxes = detect(image)
        if not boxes:
            return None
        height, width = image.shape[:2]
        centres = [box.dcenter() for box in boxes]
        away = [np.hypot(one.x - width / 2, one.y - height / 2) for one in centres]
        nearest = boxes[int(np.argmin(away))]
        return dlib.get_face_chip(image, landmarks(image, nearest), CHIP)

    def embed(faces: Faces) -> np.ma.MaskedArray:
        side = min(faces.packed.shape[2:])
        got = f"{side}; load them with image_size=250, crop=None"
        expect(side >= LEAST, f"images of {LEAST} pixels a side or more", got)
        chips = "aligned" if aligned else "centre"
        known = _stored(faces, f"{chips}-{jitters}" if jitters else chips)
        missing = np.flatnonzero(~known[faces.rows].any(axis=1))
        for row in Progress(missing, "dlib", disable=not progress or not len(missing)):
            (image,) = faces.batch([row])
            place = faces.rows[row]
            face = chip(np.ascontiguousarray(image.transpose(1, 2, 0)))  # (height, width, 3)
            found = face is not None
            known[place] = network.compute_face_descriptor(face, jitters) if found else np.nan
        return np.ma.masked_invalid(known[faces.rows])

    sha256 = sha256_of(weights)
    embed.about = {"file": weights.name, "sha256": sha256, "aligned": aligned, "jitters": jitters}
    return embed


def _centre(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    side = round(CENTRE * min(height, width))
    top = (height - side) // 2
    left = (width - side) // 2
    cut = Image.fromarray(image[top : top + side, left : left + side])
    return np.asarray(cut.resize((CHIP, CHIP), Image.Resampling.BICUBIC))


def _stored(faces: Faces, chips: str) -> np.ndarray:
    """Return embeddings by place in ``faces.packed``, of a file in the cache if it has a name.

    A row is 0 until the image is embedded, nan if it has no face. A file that is cut or
    foreign is begun anew.
    """
    shape = len(faces.packed), VALUES
    blank = np.zeros(shape, np.float32)
    if not faces.fingerprint:
        return blank
    folder = cache_dir() / "dlib" / f"{chips}-{faces.fingerprint[:16]}"
    path = folder / "embeddings.npy"
    for _ in range(2):
        # each byte is written: where the disk is full, a map would kill the process
        made_once(folder, lambda place: np.save(place / path.name, blank))
        with suppress(Exception):  # whatever a damaged file makes NumPy raise
            np.lib.format.open_memmap(path, "r")  # "r+" would lengthen what is cut
            known = np.lib.format.open_memmap(path, "r+")
            if (known.dtype, known.shape) == (blank.dtype, shape):
                return known
        shutil.rmtree(folder, ignore_errors=True)
    raise OSError(f"{path}: expected embeddings of {shape[0]:,} images, got others; delete it")
