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

from facelab.data.drawn import portrait
from facelab.data.protocol import NamedPairs, Protocol, write
from facelab.faces import Faces, cache_dir, draw_pairs

VERSION = 1  # of the drawings: whoever changes them adds one, and old caches are not read again
N_FOLDS = 10

FIRST_NAMES = """
Ada Adaeze Aiko Alma Amara Amir Anders Anika Anton Aoife Arash Arjun Astrid Ayan Aylin Bao Beatriz
Bela Bilal Bruno Camila Carlos Chiara Chidi Clara Daiki Dalia Dario Delphine Diego Dina Ebba Elif
Emeka Emil Enzo Esra Eva Farid Fatou Felix Finn Freya Gita Goran Greta Hana Haruto Helga Hugo Ida
Ilse Imani Ines Ingrid Iris Isak Ivan Jada Jakub Jamal Jin Joana Jonas Jun Kaito Karim Katya Kenji
Kofi Laila Lars Leila Lena Linh Livia Luca Luis Magnus Mai Malik Manon Mara Marek Mateo Maya Mei
Milan Mina Mirja Nadia Naomi Nasir Neha Nia Nils Nino Noor Olga Omar Oscar Paolo Petra Priya Rafael
Rana Ravi Rosa Rumi Saad Sana Sara Selma Simone Sofia Sora Stefan Tara Tariq Tomas Uma Vera Viktor
Wanjiru Yael Yara Yasmin Youssef Yuki Zainab Zofia Zola
"""
LAST_NAMES = """
Abebe Achterberg Adeyemi Aguilar Ahmadi Andrade Asante Aydin Bakker Banerjee Barros Becker Bengtsson
Bianchi Blanco Botha Castillo Chandra Chen Cohen Costa Dahl Danso Dlamini Dubois Duran Eriksen
Eskola Fernandes Ferrari Fischer Fontaine Fujita Garcia Ghosh Haddad Hakimi Hansen Hoang Horvat
Ibrahim Iyer Jansen Jensen Juarez Kamau Karlsen Kaya Keita Khalil Kim Kobayashi Kovacs Kowalski
Larsen Laurent Leroy Lim Lindqvist Lopez Mahlangu Mansour Marino Medina Mensah Mishra Molina Moreau
Mori Nakamura Navarro Nguyen Nkosi Novak Nowak Okafor Oliveira Onyango Ortega Park Patel Pavlov
Pereira Petrov Pham Popescu Quispe Rahman Rao Reyes Ricci Rossi Sahin Saito Salazar Santos Schmidt
Sharma Silva Singh Sokolov Suzuki Takeda Tanaka Tesfaye Torres Tran Ueda Vargas Virtanen Vogel
Wagner Watanabe Weber Wojcik Yamada Yilmaz Zapata Zhang Ziegler
"""


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
    pool = [f"{first}_{last}" for first in FIRST_NAMES.split() for last in LAST_NAMES.split()]
    if not 4 * N_FOLDS <= people <= len(pool):
        raise ValueError(f"expected {4 * N_FOLDS} to {len(pool)} people, got {people}")
    rng = np.random.default_rng(seed)
    names = sorted(rng.choice(pool, people, replace=False).tolist())
    rank = np.arange(people) / people  # quantiles of the numbers of images
    tail = -5.9 * np.log1p(-np.maximum(rank - 0.35, 0) / 0.65)
    counts = rng.permutation(np.where(rank < 0.35, 1, np.minimum(2 + tail.astype(int), 20)))
    images = Faces(
        packed=np.zeros((1, 3, 1, 1), np.uint8),
        rows=np.zeros(counts.sum(), np.int64),
        labels=np.repeat(np.arange(people), counts),
        names=tuple(names),
        numbers=np.concatenate([np.arange(1, n + 1) for n in counts]),
    )

    def part(members):
        return tuple(names[k] for k in np.sort(members))

    def pairs(parts, n):
        some = [images.select(part) for part in parts]
        n = min(n, *(int((f.counts * (f.counts - 1) // 2).sum()) for f in some))
        return NamedPairs.of(
            (f.names[f.labels[a]], f.numbers[a], f.names[f.labels[b]], f.numbers[b], fold)
            for fold, f in enumerate(some)
            for drawn in [draw_pairs(f, n, n, int(rng.integers(2**32)), "")]
            for a, b in zip(drawn.left, drawn.right, strict=True)
        )

    order = rng.permutation(people)
    train, test = part(order[: round(0.7 * people)]), part(order[round(0.7 * people) :])
    # Dealt like cards, from many images to few, so that every fold has people with pairs.
    order = order[np.argsort(-counts[order], kind="stable")]
    folds = tuple(part(order[fold::N_FOLDS]) for fold in range(N_FOLDS))
    return Protocol(
        dict(zip(names, counts.tolist(), strict=True)),
        train,
        test,
        folds,
        pairs([train], people),
        pairs([test], round(0.625 * people)),
        pairs(folds, max(1, round(0.075 * people))),
    )


def _draw_person(folder: Path, seed: int, person: tuple[int, tuple[str, int]]) -> int:
    """Draw all images of one person. Each depends on seed, person and number alone."""
    k, (name, n) = person
    p = portrait.draw_person(np.random.default_rng([seed, k, 0]))
    (folder / name).mkdir(parents=True)
    for number in range(1, n + 1):
        rng = np.random.default_rng([seed, k, number])
        image = portrait.paint(p, portrait.draw_shot(rng, p), rng)
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
    out, protocol = Path(out), draw_protocol(people, seed)
    folder = out / "lfw-synthetic"
    if folder.exists():
        raise FileExistsError(f"expected no {folder} yet; delete it or choose another folder")
    draw, jobs = partial(_draw_person, folder, seed), list(enumerate(protocol.counts.items()))
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
