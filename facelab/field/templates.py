"""Sets whose people are given by templates of images and videos: IJB-B, IJB-C, YTF, iQIYI-VID."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from facelab.checks import expect, expect_in, kinds
from facelab.faces import Faces
from facelab.field.listed import matched
from facelab.field.streamed import files_as_faces, paired
from facelab.files import loaded
from facelab.verification import Report
from facelab.verification.sweep import unit_length

IJB_FARS = (1e-1, 1e-2, 1e-3, 1e-4)
MOST_SAID = 400  # characters of a name in a message


@kinds
@dataclass(frozen=True, eq=False)
class Templates:
    """Sets of images and video frames, each of one person.

    Embed `images`, `pool` the embeddings, and `verify` them with `faces`::

        embeddings = templates.pool(fl.embed(model, templates.images))
        report = fl.verify(embeddings, templates.faces, threshold)

    `template` and `media`, int64 of shape (n_images,), are each image's row in `faces`, and its
    media: the frames of a video share one. `faces` has a row per template, which shows its first
    image, and carries the pairs of templates.
    """

    images: Faces
    template: np.ndarray
    media: np.ndarray
    faces: Faces

    def pool(self, embeddings: np.ndarray) -> np.ndarray:
        """Pool embeddings of all images, (n_images, D), into one each: (n_templates, D).

        Each is scaled to unit length, the frames of a video are averaged, and images and videos
        added up, so that a long video counts as much as an image; then scaled to unit length.
        """
        n, n_images = len(embeddings), len(self.images)
        expect(n == n_images, f"an embedding for each of {n_images} images", n)
        # a media counts once in each template that it is in
        parts = np.stack([self.template, self.media])
        _, media, frames = np.unique(parts, axis=1, return_inverse=True, return_counts=True)
        weights = 1 / frames[media.reshape(-1)]
        shape = (len(self.faces), n_images)
        sums = csr_array((weights, (self.template, np.arange(n))), shape) @ unit_length(embeddings)
        return unit_length(sums).astype(np.float32)


@kinds
def load_ijb(root: str | Path, image_size: int = 112, crop: int | None = None) -> Templates:
    """Load IJB-B or IJB-C in InsightFace's layout: ``meta`` and ``loose_crop``.

    ``meta/ijbc_face_tid_mid.txt`` has lines ``FILE TEMPLATE MEDIA``, and
    ``meta/ijbc_template_pair_label.txt`` lines ``TEMPLATE TEMPLATE LABEL``, 1 for a same pair. The
    lists name nobody: templates that same pairs join are one person. Images are taken as they are,
    without the landmarks of ``ijbc_name_5pts_score.txt`` (Whitelam et al., CVPR Workshops 2017;
    Maze et al., ICB 2018).
    """
    root = Path(root)
    found = sorted((root / "meta").glob("*_face_tid_mid.txt"))
    expect_in(root, len(found) == 1, "one meta/*_face_tid_mid.txt", len(found))
    path = found[0]
    name = path.name.split("_")[0].upper()
    lines = list(matched(path, r"(\S+)\s+(\d{1,18})\s+(\d{1,18})", "FILE TEMPLATE MEDIA"))
    files, numbers, media = zip(*lines, strict=True)
    of_template, template = np.unique(np.array(numbers, np.int64), return_inverse=True)
    path = path.with_name(path.name.replace("face_tid_mid", "template_pair_label"))
    table = loaded(_read_pairs, path, "lines TEMPLATE TEMPLATE 0 or 1", "get it anew")
    n = len(of_template)
    ends = pd.Index(of_template).get_indexer(table[:, :2].ravel()).reshape(-1, 2)
    unknown = table[:, :2][ends < 0]
    if len(unknown):
        raise ValueError(f"{path}: expected templates of {found[0].name}, got {unknown[0]}")
    same = table[:, 2] == 1
    pairs = (*ends.T, same, None)
    places = [root / "loose_crop" / file for file in files]
    joined = coo_array((same[same], ends[same].T), (n, n))
    people = connected_components(joined, directed=False)[1]  # of each template
    media = np.array(media, np.int64)
    return _templates(places, people[template], template, media, name, pairs, image_size, crop)


@kinds
def load_ytf(
    root: str | Path,
    frames: str = "aligned_images_DB",
    image_size: int = 112,
    crop: int | None = None,
) -> Templates:
    """Load YouTube Faces (Wolf, Hassner, Maoz, CVPR 2011): templates are videos, in ten folds.

    `root` holds ``splits.txt``, lines ``FOLD, NUMBER, PERSON/VIDEO, PERSON/VIDEO, ..., SAME`` after
    a heading, and the folder `frames` of ``PERSON/VIDEO/*.jpg``. Only their videos are loaded.
    """
    root = Path(root)
    path = root / "splits.txt"
    pattern = r"(\d{1,18})\s*,[^,]*,\s*([^,/]+/[^,/]+?)\s*,\s*([^,/]+/[^,/]+?)\s*,(?:.*,)?\s*([01])"
    form = "FOLD, NUMBER, PERSON/VIDEO, PERSON/VIDEO, ..., 0 or 1"
    lines = list(matched(path, pattern, form, skip=1))
    folds, left, right, same = zip(*lines, strict=True)
    videos, ends = np.unique([left, right], return_inverse=True)
    same = np.array(same) == "1"
    folds = np.array(folds, int) - 1
    pairs = (*ends.reshape(2, -1), same, folds)
    places, template = _frames([root / frames / video for video in videos])
    people = np.array([video.split("/")[0] for video in videos])[template]
    return _templates(places, people, template, template, "YTF", pairs, image_size, crop)


@kinds
def load_iqiyi(
    path: str | Path, frames: str | Path, image_size: int = 112, crop: int | None = None
) -> Templates:
    """Load iQIYI-VID (Liu et al., 2018): templates are videos, without pairs, for `identify`.

    `path` is ``train_gt.txt``, lines ``VIDEO.mp4 PERSON``, or ``val_gt.txt``, lines ``PERSON
    VIDEO.mp4 VIDEO.mp4 ...``. `frames` holds a folder VIDEO for each, of frames cut out of it.
    """
    path = Path(path)
    pattern = r"(\S+\.mp4 \d{1,18}|\d{1,18}(?: \S+\.mp4)+)"
    person_of = {}
    for (line,) in matched(path, pattern, "VIDEO.mp4 PERSON or PERSON VIDEO.mp4 ..."):
        videos = [field for field in line.split() if field.endswith(".mp4")]
        (person,) = set(line.split()) - set(videos)
        for video in videos:
            first = person_of.setdefault(video, person)
            expect_in(path, first == person, f"one person in {video}", f"{first} and {person}")
    folders = [Path(frames) / video.removesuffix(".mp4") for video in person_of]
    places, template = _frames(folders)
    people = np.array(list(person_of.values()))[template]
    return _templates(places, people, template, template, "iQIYI-VID", None, image_size, crop)


def _read_pairs(path: Path) -> np.ndarray:
    """Read two templates and whether they are same, int64 of (n_pairs, 3)."""
    table = pd.read_csv(path, sep=" ", header=None, dtype=np.int64).to_numpy()
    is_pair = np.isin(table[:, 2:], (0, 1)).all(axis=1)
    if table.shape[1] != 3 or not is_pair.all():
        raise ValueError(f"{table[~is_pair][:1].tolist()}, {table.shape[1]} numbers a line")
    return table


def _frames(folders: list[Path]) -> tuple[list[Path], np.ndarray]:
    """Return the images in `folders`, and the number of the folder of each."""
    places, rows = [], []
    for k, folder in enumerate(folders):
        files = sorted(folder.glob("[!.]*")) if os.path.isdir(folder) else []
        expect_in(str(folder)[:MOST_SAID], files, "the frames of a video", "none")
        places += files
        rows += [k] * len(files)
    return places, np.array(rows)


def _templates(places, people, template, media, name, pairs, image_size, crop) -> Templates:
    images = files_as_faces(places, people, None, name, image_size, crop)
    first = np.unique(template, return_index=True)[1]  # the image that shows each template
    labels = images.labels[first]
    wrong = np.flatnonzero(labels[template] != images.labels)
    if len(wrong):
        raise ValueError(f"{name}: expected one person in a template, got two: {places[wrong[0]]}")
    faces = replace(images, rows=first, labels=labels, numbers=None)
    faces = paired(faces, *pairs, name) if pairs else faces.with_pairs(None)
    return Templates(images, template, media, faces)


@kinds
def tar_table(report: Report, fars: tuple[float, ...] = IJB_FARS) -> pd.DataFrame:
    """Return TAR at each FAR, as IJB-B and IJB-C are reported: far, tar, note.

    Where the different pairs are too few for a FAR, `note` says so and the TAR is nan.
    """
    rows = []
    for far in fars:
        note = report.refusal(far)
        rows.append((far, np.nan if note else report.tar_at_far(far), note))
    return pd.DataFrame(rows, columns=["far", "tar", "note"])
