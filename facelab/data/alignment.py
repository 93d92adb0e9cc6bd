"""Align faces: find five landmarks, and move them to where the field expects them."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps
from skimage.transform import SimilarityTransform
from skimage.util import montage
from tqdm.contrib.concurrent import thread_map

from facelab.checks import expect, expect_in, extra, has_columns, kinds, numbers, whole
from facelab.data.copies import copies_at, find
from facelab.data.decoding import decode, decode_all, open_picture, shrink
from facelab.data.drawn.people import mark_as_drawn
from facelab.data.own import UNLISTED, find_photos
from facelab.data.packing import MOST_SIDE, Photos, check, refuse_unusable, states_of
from facelab.files import alone_in, loaded, write_whole
from facelab.progress import Progress

SIDE = 112  # pixels of the template
LEAST = 60  # pixels a side of the smallest face that is looked for
TEMPLATE = np.array(  # (x, y) of both eyes, nose and corners of the mouth in 112 x 112 pixels
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]]
)  # fmt: skip
POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # as one sees the image
COORDINATES = [f"{point}_{axis}" for point in POINTS for axis in "xy"]
COLUMNS = ["file", "faces", *COORDINATES]  # of landmarks.csv
FARTHEST = 1e6  # coordinate, in pixels
SAVE_AFTER = 5  # seconds of searching between two writes of the landmarks
SHOWN = 12  # images on the contact sheet


@kinds
def align(source: str | Path, out: str | Path, margin: int = 0, progress=True) -> pd.DataFrame:
    """Write every photo of a folder with its face turned, scaled and moved to the template.

    One similarity transform takes five landmarks to the 112 x 112 template that ArcFace's authors
    publish; `margin` more pixels are kept on each side. Where no face is found the centre is kept
    as it is. The result is a folder of the same people, JPEGs at quality 95, and
    ``contact_sheet.jpg``, some photos before and after. Photos whose landmarks stand in its
    ``landmarks.csv`` are not searched again, so a stopped call is gone on with, unless their size
    or time is not that in the column ``photo``, which may be left out. As many photos are searched
    at once as PyTorch has threads (``OMP_NUM_THREADS``), each in one.

    The detector, MTCNN, was trained on faces from elsewhere: what learns from aligned images
    belongs to LFW's category of label-free outside data. Photos that cannot be read are listed, in
    one ValueError, before any is searched; so is `out` refused where it would change `source`.

    Parameters
    ----------
    source : str or Path
        A copy of LFW, as in `load_lfw`, or a folder of people, as in `load_faces`.
    out : str or Path
        The folder to write, none with originals; that of a copy of LFW has to be called
        ``lfw-aligned``.

    Returns
    -------
    DataFrame
        A row per photo: ``file`` (in `out`), ``faces`` (found; the one nearest the centre counts),
        and the coordinates of the landmarks in pixels of the original, missing without a face.

    References
    ----------
    Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
    Networks", IEEE Signal Processing Letters 2016; Deng et al., "ArcFace", CVPR 2019, section 3.1.
    """
    margin = whole("margin", margin, 0, (MOST_SIDE - SIDE) // 2)
    photos, is_drawn, folder = _photos(source)
    out = Path(out)
    side = SIDE + 2 * margin
    _check_apart(photos, folder, out)
    with alone_in(out):
        if is_drawn:
            mark_as_drawn(out)
        landmarks = _landmarks(photos, out, progress)
        points_of = landmarks[COORDINATES].to_numpy().reshape(-1, 5, 2)

        def write(file, points):
            path = out / file
            with suppress(ValueError):  # there is none, or a damaged one
                if open_picture(path).size == (side, side):
                    return
            path.parent.mkdir(parents=True, exist_ok=True)
            moved = aligned(open_picture(photos[file]), points, margin)
            write_whole(path, partial(moved.save, format="jpeg", quality=95, subsampling=0))

        thread_map(write, landmarks["file"], points_of, desc=out.name, disable=not progress)
        _contact_sheet(photos, out)
    return landmarks


def framed(
    source, image_size: int, crop: int | None, side: int | None = None, is_aligned: bool = False
) -> np.ndarray:
    """Read a photo as `decode` does, for a network of aligned images aligned first.

    Then a photo in which no face is found is a ValueError.
    """
    if not is_aligned:
        return decode(source, image_size, crop, side)
    image = open_picture(source)
    with _searchers() as pool:
        n_faces, points = pool.submit(_nearest_face, image).result()
    if not n_faces:
        raise ValueError("expected a face, found none")
    return shrink(aligned(image, points), image_size, crop)


def aligned(image: Image.Image, points: np.ndarray, margin: int = 0) -> Image.Image:
    """Cut the template's square out of `image`, given its landmarks; nan keeps the centre."""
    side = SIDE + 2 * margin
    if np.isnan(points).any():
        return ImageOps.fit(image, (side, side))
    back = SimilarityTransform.from_estimate(TEMPLATE + margin, points)
    expect(back, "landmarks of a face", points.tolist())  # not all at one place
    return image.transform(
        (side, side), Image.Transform.AFFINE, back.params[:2].ravel(), Image.Resampling.BICUBIC
    )


def _photos(source: str | Path) -> tuple[dict[str, str], bool, Path | None]:
    """List photos by the name that they get; whether they are drawn; the folder that is theirs."""
    is_table = Path(source).suffix.lower() == ".csv"
    if copies_at(source) and not is_table:
        copy = find(source)
        return {file: f"{copy.path}/{file}" for file in copy.files()}, copy.synthetic, copy.path
    album = find_photos(source)
    album.name_strays()
    originals = {image: file for _, image, file in album.photos}
    photos = {}
    for image, file in originals.items():
        name = image
        if not image.lower().endswith((".jpg", ".jpeg")):
            while name in originals or name in photos:  # a.png beside a.png.jpg
                name = f"{name}.jpg"
        photos[name] = file
    return photos, album.synthetic, None if album.table else album.folder


def _check_apart(photos: dict[str, str], folder: Path | None, out: Path) -> None:
    """Refuse to write over photos, or into their folder, whose photos those would be next time.

    So is a folder refused where photos of these names were not written by `align`.
    """
    place = Path(os.path.realpath(out))
    theirs = Path(os.path.realpath(folder)) if folder else None
    within = [one for one in (place, *place.parents) if theirs in one.parents]
    if any((one / UNLISTED).exists() for one in within):
        theirs = None
    originals = set(map(os.path.realpath, photos.values()))
    for file in photos:
        path = os.path.realpath(place / file)
        if path in originals or theirs in Path(path).parents:
            expected = f"expected a folder outside of {folder or 'the photos'}"
            raise ValueError(f"{expected}, got {out}, where {path} would be written")
    there = [file for file in photos if (place / file).exists()]
    is_own = not there or (place / "landmarks.csv").exists()
    got = f"{' '.join(there[:1])} without landmarks.csv"
    expect_in(out, is_own, "an empty folder, or one with aligned photos", got)


def _contact_sheet(photos: dict[str, str], out: Path) -> None:
    """Draw some images before, in the upper row, and after, in the lower one."""
    places = np.linspace(0, len(photos) - 1, min(SHOWN, len(photos))).astype(int)
    files = [list(photos)[place] for place in places]
    paths = [photos[file] for file in files] + [out / file for file in files]
    shown = [np.asarray(ImageOps.fit(open_picture(path), (SIDE, SIDE))) for path in paths]
    sheet = montage(shown, grid_shape=(2, len(files)), channel_axis=-1)
    Image.fromarray(sheet).save(out / "contact_sheet.jpg", quality=90)


def _landmarks(photos: dict[str, str], out: Path, progress: bool) -> pd.DataFrame:
    """Read the landmarks of `photos` from the table in `out`, and add to it those it lacks.

    What was written of photos that it lacks, or has in another state, is removed.
    """
    path = out / "landmarks.csv"
    found = states_of(list(photos.values()))[:, :2]
    states = pd.Series([f"{size} {time}" for size, time in found], list(photos))
    known = pd.DataFrame(columns=[*COLUMNS, "photo"])
    if path.exists():
        known = loaded(_read_landmarks, path, "a table of landmarks")
    state = known["file"].map(states)
    known = known.assign(photo=state)[known["photo"].fillna(state) == state]
    missing = sorted(set(photos) - set(known["file"]))
    if missing:
        _detector()  # or say that it is not installed, before any work
        _check_readable([photos[file] for file in missing], progress)
    for file in missing:
        (out / file).unlink(missing_ok=True)
    write_whole(path, partial(known.to_csv, index=False))

    def search(file):
        n_faces, points = _nearest_face(open_picture(photos[file]))
        return [file, n_faces, *points.ravel().round(2), states[file]]

    rows, written = [], time.monotonic()
    with _searchers() as pool:
        found = pool.map(search, missing)
        for row in Progress(found, "landmarks", len(missing), disable=not progress):
            rows.append(row)
            if row[0] == missing[-1] or time.monotonic() - written > SAVE_AFTER:
                added = pd.DataFrame(rows, columns=[*COLUMNS, "photo"])
                known = pd.concat([known, added]) if len(known) else added
                write_whole(path, partial(known.to_csv, index=False))
                rows, written = [], time.monotonic()
    return known.set_index("file").loc[list(photos)].reset_index()[COLUMNS]


def _read_landmarks(path: Path) -> pd.DataFrame:
    """Read `COLUMNS`, and in ``photo`` the state of each, which need not be there."""
    known = pd.read_csv(path, dtype={"file": str, "photo": str})
    has_columns("landmarks", known, COLUMNS)
    known = known.dropna(subset="file")
    expect(known["file"].is_unique, "each photo once", "one of them again")
    known = known.astype(dict.fromkeys(COORDINATES, float))
    numbers("coordinates", known[COORDINATES].fillna(0), -FARTHEST, FARTHEST)
    return known.reindex(columns=[*COLUMNS, "photo"]).astype({"photo": object})


def _check_readable(files: list[str], progress: bool) -> None:
    folder = os.path.commonpath(list(map(os.path.dirname, files)))
    names = [os.path.relpath(file, folder) for file in files]
    photos = Photos(Path(folder), names, files)
    _, wrong = check(photos, decode_all(files, 1, None, "photos", progress))
    refuse_unusable(photos, wrong)


def without_a_face(missing: list[str]) -> str:
    """Count the photos in which no face was found, and list them, one a line."""
    count = f"photos without a face, kept as they are: {len(missing):,}"
    return "\n  ".join([count, *missing])


def template() -> np.ndarray:
    """Return where the five landmarks belong in 112 x 112 pixels: x and y, (5, 2)."""
    return TEMPLATE.copy()


@contextmanager
def _searchers() -> Iterator[ThreadPoolExecutor]:
    """Give as many threads as PyTorch may take, each of which searches in one; end them after.

    Several threads of one search wait for each other after every step, and where another process
    computes beside them, for nearly all of the time.
    """
    n_threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_threads)  # of threads to come


@cache
def _detector():
    detectors = extra("facenet_pytorch", "the detector", "align")
    return detectors.MTCNN(min_face_size=LEAST, keep_all=True, device="cpu")


def _nearest_face(image: Image.Image) -> tuple[int, np.ndarray]:
    """Count the faces; return the landmarks, (5, 2), of the one nearest the centre."""
    boxes = None
    if min(image.size) >= LEAST:  # the detector cannot search less
        boxes, _, points = _detector().detect(image, landmarks=True)
    if boxes is None:
        return 0, np.full((5, 2), np.nan)
    corners = np.asarray(boxes, float).reshape(-1, 2, 2)
    away = np.linalg.norm(corners.mean(axis=1) - np.array(image.size) / 2, axis=1)
    return len(corners), np.asarray(points[away.argmin()], float)
