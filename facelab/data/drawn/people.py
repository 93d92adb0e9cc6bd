"""A data set of drawn people in LFW's layout: folders of JPEGs, and lists of people and pairs.

The same seed writes the same bytes with the same versions of NumPy and Pillow.
"""

import multiprocessing
import os
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

from facelab.data.drawn.person import draw_person, draw_shot
from facelab.data.drawn.portrait import paint
from facelab.data.packing import cache_dir
from facelab.data.protocol import NamedPairs, Protocol
from facelab.data.protocol_text import write
from facelab.faces import Faces, draw_pairs

VERSION = 1  # of the drawings: whoever changes them adds one, and old caches are not read again
N_FOLDS = 10


def possible_names() -> list[str]:
    """Return every first name of ``names.txt`` with every last name, as ``FIRST_LAST``."""
    text = Path(__file__).with_name("names.txt").read_text("ascii")
    first_names, last_names = text.split("\n\n")
    return [f"{first}_{last}" for first in first_names.split() for last in last_names.split()]


def draw_protocol(people: int, seed: int) -> Protocol:
    """Draw names, numbers of images, and the people and pairs of View 1 and View 2.

    About a third of the people have one image, the others 2 to 20 with a long tail, five on
    average. View 1 trains on 70 % of the people and tests on the others; View 2 deals all people
    into ten folds. All pairs are drawn person first, as LFW's were.

    Parameters
    ----------
    people : int
        How many people, at least 40.
    seed : int
        Decides everything.

    Raises
    ------
    ValueError
        If there are too few people for ten folds, or more than names.
    """
    pool = possible_names()
    if not 4 * N_FOLDS <= people <= len(pool):
        raise ValueError(f"expected {4 * N_FOLDS} to {len(pool)} people, got {people}")
    rng = np.random.default_rng(seed)
    names = np.sort(rng.choice(pool, people, replace=False))
    rank = np.arange(people) / people  # quantiles of the numbers of images
    tail = -5.9 * np.log1p(-np.maximum(rank - 0.35, 0) / 0.65)
    counts = rng.permutation(np.where(rank < 0.35, 1, np.minimum(2 + tail.astype(int), 20)))

    def part(members):
        return tuple(names[np.sort(members)].tolist())

    order = rng.permutation(people)
    n_train = round(0.7 * people)
    train = part(order[:n_train])
    test = part(order[n_train:])
    # Dealt like cards, from many images to few, so that every fold has people with pairs.
    order = order[np.argsort(-counts[order], kind="stable")]
    folds = tuple(part(order[fold::N_FOLDS]) for fold in range(N_FOLDS))

    counts = dict(zip(names.tolist(), counts.tolist(), strict=True))
    train_pairs = _draw_pairs(counts, [train], people, rng)
    test_pairs = _draw_pairs(counts, [test], round(0.625 * people), rng)
    pairs = _draw_pairs(counts, folds, max(1, round(0.075 * people)), rng)
    return Protocol(counts, train, test, folds, train_pairs, test_pairs, pairs)


def _draw_pairs(counts: dict[str, int], parts, n: int, rng) -> NamedPairs:
    """Draw at most `n` same and as many different pairs within each part, equally many in each."""
    for part in parts:
        n = min(n, sum(counts[name] * (counts[name] - 1) // 2 for name in part))
    pairs = []
    for fold, part in enumerate(parts):
        n_images = [counts[name] for name in part]
        names = np.repeat(part, n_images)
        numbers = np.concatenate([np.arange(1, k + 1) for k in n_images])
        faces = Faces(
            packed=np.zeros((1, 3, 1, 1), np.uint8),
            rows=np.zeros(len(names), int),
            labels=np.repeat(np.arange(len(part)), n_images),
            names=part,
            numbers=numbers,
            synthetic=True,
        )
        drawn = draw_pairs(faces, n, n, int(rng.integers(2**32)), "")
        for a, b in zip(drawn.left, drawn.right, strict=True):
            pairs.append((names[a], numbers[a], names[b], numbers[b], fold))
    return NamedPairs.of(pairs)


def _draw_images(folder: Path, seed: int, person: tuple[int, tuple[str, int]]) -> int:
    """Draw all images of one person. Each depends on seed, person and number alone."""
    k, (name, n) = person
    p = draw_person(np.random.default_rng([seed, k, 0]))
    (folder / name).mkdir(parents=True)
    for number in range(1, n + 1):
        rng = np.random.default_rng([seed, k, number])
        image = paint(p, draw_shot(rng, p), rng)
        image.save(folder / name / f"{name}_{number:04d}.jpg", quality=88)
    return n


def synthesize(
    out: str | Path,
    people: int = 400,
    seed: int = 0,
    progress: bool = True,
    workers: int | None = None,
) -> Path:
    """Draw people and write them in LFW's layout.

    Parameters
    ----------
    out : str or Path
        Gets a folder ``lfw-synthetic`` with the images, 250 x 250 pixels, and the seven text files
        beside it.
    people : int
        How many people, at least 40; they have five images each on average.
    seed : int
        Decides everything.
    progress : bool
        Show a progress bar.
    workers : int, optional
        Processes that draw; by default one per core on Linux, elsewhere this one alone.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    FileExistsError
        If `out` already has a folder ``lfw-synthetic``.
    ValueError
        If there are too few people for ten folds, or more than names.
    """
    out = Path(out)
    protocol = draw_protocol(people, seed)
    folder = out / "lfw-synthetic"
    if folder.exists():
        raise FileExistsError(f"expected no {folder} yet; delete it or choose another folder")
    draw = partial(_draw_images, folder, seed)
    jobs = list(enumerate(protocol.counts.items()))
    # Forked workers need no main guard in the caller's script, and do not import torch again.
    workers = workers or ((os.cpu_count() or 1) if sys.platform == "linux" else 1)
    total = sum(protocol.counts.values())
    with tqdm(total=total, desc="drawing faces", unit=" images", disable=not progress) as bar:
        if workers == 1:
            for job in jobs:
                bar.update(draw(job))
        else:
            fork = multiprocessing.get_context("fork")
            with ProcessPoolExecutor(workers, fork) as pool, warnings.catch_warnings():
                # Python 3.12+ warns of threads; the workers touch only NumPy, Pillow and files.
                warnings.simplefilter("ignore", DeprecationWarning)
                for n in pool.map(draw, jobs, chunksize=4):
                    bar.update(n)
    write(protocol, out)
    return out


def synthetic_lfw(people: int = 400, seed: int = 0) -> Path:
    """Return the folder of `synthesize` in the cache; draw it on the first call.

    Several processes may call this at once: each draws beside the cache, and the first to finish
    moves its folder into place.
    """
    path = cache_dir() / f"synthetic-v{VERSION}-{people}-{seed}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f"{path.name}-", dir=path.parent) as temporary:
            made = synthesize(Path(temporary) / "made", people, seed)
            try:
                os.replace(made, path)
            except OSError:
                if not path.exists():
                    raise
    return path
