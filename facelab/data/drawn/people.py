"""A data set of drawn people in LFW's layout: folders of JPEGs, and lists of people and pairs.

The same seed writes the same bytes with the same versions of NumPy, SciPy and Pillow.
"""

import os
import threading
import time
from functools import cache, partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from facelab.checks import expect
from facelab.data.cache import cache_dir, made_once
from facelab.data.drawn.person import draw_person, draw_shot
from facelab.data.drawn.portrait import paint
from facelab.data.protocol import NamedPairs, Protocol
from facelab.data.protocol_text import FILES, write
from facelab.faces import Faces, draw_pairs
from facelab.progress import Progress

VERSION = 2  # of the drawings: whoever changes them adds one, and old caches are not read again
N_FOLDS = 10
MARK = "DRAWN.txt"  # a file in the folder of people, which stays when that is renamed


def possible_names() -> list[str]:
    """Return every first name of ``names.txt`` with every last name, as ``FIRST_LAST``."""
    text = Path(__file__).with_name("names.txt").read_text("ascii")
    first_names, last_names = text.split("\n\n")
    return [f"{first}_{last}" for first in first_names.split() for last in last_names.split()]


def draw_protocol(people: int, seed: int) -> Protocol:
    """Draw names, numbers of images, and the people and pairs of View 1 and View 2.

    About a third of the people have one image, the others 2 to 20, five on average. View 1 trains
    on 70 % of them; View 2 deals all into ten folds. Refuses fewer than 40 people.
    """
    pool = possible_names()
    expect(4 * N_FOLDS <= people <= len(pool), f"{4 * N_FOLDS} to {len(pool)} people", people)
    rng = np.random.default_rng(seed)
    names = np.sort(rng.choice(pool, people, replace=False))
    rank = np.arange(people) / people  # quantiles of the numbers of images
    tail = -5.9 * np.log1p(-np.maximum(rank - 0.35, 0) / 0.65)
    counts = rng.permutation(np.where(rank < 0.35, 1, np.minimum(2 + tail.astype(int), 20)))
    order = rng.permutation(people)
    n_train = round(0.7 * people)
    # Dealt like cards, from many images to few, so that every fold has people with pairs.
    dealt = order[np.argsort(-counts[order], kind="stable")]
    members = [order[:n_train], order[n_train:], *(dealt[k::N_FOLDS] for k in range(N_FOLDS))]
    train, test, *folds = (tuple(names[np.sort(some)].tolist()) for some in members)
    faces = Faces(
        packed=np.zeros((1, 3, 1, 1), np.uint8),
        rows=np.zeros(counts.sum(), int),
        labels=np.repeat(np.arange(people), counts),
        names=tuple(names.tolist()),
    )
    train_pairs = _draw_pairs(faces, [train], people, rng)
    test_pairs = _draw_pairs(faces, [test], round(0.625 * people), rng)
    pairs = _draw_pairs(faces, folds, max(1, round(0.075 * people)), rng)
    counts = dict(zip(faces.names, counts.tolist(), strict=True))
    return Protocol(counts, train, test, tuple(folds), train_pairs, test_pairs, pairs)


def _draw_pairs(faces: Faces, parts, n: int, rng) -> NamedPairs:
    """Draw at most `n` same and as many different pairs within each part, equally many in each."""
    chosen = [faces.select(part) for part in parts]
    n = min(n, *(int((some.counts * (some.counts - 1) // 2).sum()) for some in chosen))
    pairs = []
    for fold, some in enumerate(chosen):
        drawn = draw_pairs(some, n, n, int(rng.integers(2**32)), "")
        images = [(some.names[k], i) for k, i in zip(some.labels, some.numbers, strict=True)]
        for left, right in zip(drawn.left, drawn.right, strict=True):
            pairs.append((*images[left], *images[right], fold))
    return NamedPairs.of(pairs)


def mark_as_drawn(folder: Path) -> None:
    """Write into a folder of people that they are drawn."""
    text = "These faces are drawn by a program: they show nobody, and are no photos.\n"
    (folder / MARK).write_text(text)


@cache
def _end_with(parent: int) -> None:
    """Let this process end soon after `parent`, which started it, has ended, however it ended.

    Windows tells a process nothing of that; there joblib ends it after five idle minutes.
    """

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if os.name != "nt" and os.getpid() != parent:  # which may have ended already
        threading.Thread(target=watch, daemon=True).start()


def _draw_images(folder: Path, seed: int, parent: int, k: int, name: str, n: int) -> None:
    """Draw all images of one person. Each depends on seed, person and number alone."""
    _end_with(parent)
    p = draw_person(np.random.default_rng([seed, k, 0]))
    (folder / name).mkdir(parents=True)
    for number in range(1, n + 1):
        rng = np.random.default_rng([seed, k, number])
        image = paint(p, draw_shot(rng, p), rng)
        image.save(folder / name / f"{name}_{number:04d}.jpg", quality=88)


def synthesize(
    out: str | Path, people: int = 400, seed: int = 0, progress: bool = True, workers: int = -1
) -> Path:
    """Draw `people` (40 or more) and write them in LFW's layout into the folder `out`.

    A ``lfw-synthetic`` or a list that is there is never written over: FileExistsError. `workers`
    processes draw; -1 is one per core.
    """
    protocol = draw_protocol(people, seed)
    folder = Path(out) / "lfw-synthetic"
    there = [name for name in (folder.name, *FILES) if folder.with_name(name).exists()]
    if there:
        got = ", ".join(there)
        raise FileExistsError(f"expected no {got} in {out} yet; delete it or choose another folder")
    folder.mkdir(parents=True)
    mark_as_drawn(folder)
    # Processes that drew before may still be in the working folder of then.
    draw = delayed(partial(_draw_images, folder.absolute(), seed, os.getpid()))
    jobs = [draw(k, name, n) for k, (name, n) in enumerate(protocol.counts.items())]
    done = Parallel(workers, return_as="generator")(jobs)
    list(Progress(done, "drawing faces", people, unit=" people", disable=not progress))
    write(protocol, out)
    return Path(out)


def synthetic_lfw(people: int = 400, seed: int = 0) -> Path:
    """Return the folder of `synthesize` in the cache; draw it on the first call."""
    path = cache_dir() / f"synthetic-v{VERSION}-{people}-{seed}"
    return made_once(path, partial(synthesize, people=people, seed=seed))
