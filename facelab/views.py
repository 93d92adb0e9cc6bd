"""LFW's views as splits: who to learn from, who to set a threshold on, and who to test on."""

from dataclasses import replace

import numpy as np

from facelab.faces import Faces, Split, draw_pairs, draw_people
from facelab.overlap import overlap

# The nine people of peopleDevTrain with more images (George W. Bush has 530) stay in train:
# otherwise the size of train would depend on who is drawn more than on how many are.
MOST_DEV_IMAGES = 50


def view1(faces: Faces, dev_people: float = 0.15, seed: int = 0) -> Split:
    """Split by LFW's View 1, the one for choosing a model.

    Test is always peopleDevTest with pairsDevTest. Of peopleDevTrain the share `dev_people`, in
    (0, 1), is held out as dev, nobody with more than 50 images; the others are train, with those
    pairs of pairsDevTrain whose people are both in it. The seed decides who is held out and which
    pairs of them are drawn: as many same as different ones, three of each per held-out person with
    two images or more, at most 500 of each.

    References
    ----------
    Huang et al., "Labeled Faces in the Wild", UMass Amherst TR 07-49, 2007, section IV.
    """
    protocol = faces.protocol
    pool = faces.select(protocol.dev_train)
    test = faces.select(protocol.dev_test)
    test = test.with_pairs(protocol.pairs_dev_test.rows(test, "View 1 test", "test"))
    train, dev = _hold_out(pool, dev_people, seed)
    train = _with_train_pairs(train, protocol.pairs_dev_train, "View 1 train")
    return Split(train, dev, test, "View 1")


def view2(faces: Faces, fold: int, dev_people: float = 0.15, seed: int = 0) -> Split:
    """Split by one fold, 0..9, of LFW's View 2, the one for reporting.

    Test is the people and pairs of the fold; the people of the other folds are train, but for the
    held-out dev people, drawn as in `view1`. A View 2 result is the mean over all folds, each with
    its own training.
    """
    protocol = faces.protocol
    n_folds = len(protocol.folds)
    if fold not in range(n_folds):
        raise ValueError(f"expected a fold in 0..{n_folds - 1}, got {fold}")
    name = f"View 2, fold {fold + 1}"
    people = set(protocol.folds[fold])
    test = faces.select(people)
    test_pairs = protocol.pairs.where(protocol.pairs.fold == fold)
    test = test.with_pairs(test_pairs.rows(test, f"{name} test", "test"))
    train, dev = _hold_out(faces.select(set(faces.names) - people), dev_people, seed)
    train = _with_train_pairs(train, protocol.pairs, f"{name} train")
    return Split(train, dev, test, name)


def all_lfw(faces: Faces) -> Split:
    """Train on everyone, as studies do that quote 5,749 classes; what is tested was learned.

    Dev and test are those of `view1`, whose people are all in train too.
    """
    _, dev, test = view1(faces)
    leaking = (
        f"train is all {len(faces.names):,} people, so everyone in dev and test is a training "
        "person: these results do not tell how strangers are verified"
    )
    return Split(faces.with_pairs(None), dev, test, "all LFW", leaking)


def across(
    train: Faces, test: Faces, remove: bool = False, dev_people: float = 0.15, seed: int = 0
) -> Split:
    """Split to learn from one set of faces and to test on another, which has pairs.

    The share `dev_people` of train's people is held out as dev, as in `view1`. Whom `overlap`
    finds in both sets, by name or by a photo, is a ValueError; with `remove` they leave train.

    References
    ----------
    Wu, Manmatha, Smola, Krähenbühl, "Sampling Matters in Deep Embedding Learning", ICCV 2017,
    section 5: trained on CASIA-WebFace, tested on LFW, people in both left out.
    """
    if test.pairs is None or not len(test.pairs):
        raise ValueError(f"expected faces with pairs to test on, got none in {test!r}")
    both = overlap(train, test)
    people = both["person"].unique()
    if len(people) and not remove:
        found = both.iloc[0]
        got = f"{len(people)} of train in test too, {found.train} by {found.by} first"
        raise ValueError(f"expected disjoint people, or remove=True, got {got}")
    pool = train.select(set(train.names) - set(people))
    train, dev = _hold_out(pool, dev_people, seed)
    pairs = replace(test.pairs, role="test")
    return Split(train, dev, test.with_pairs(pairs), f"{train.source} to {test.source}")


def _hold_out(pool: Faces, dev_people: float, seed: int) -> tuple[Faces, Faces]:
    """Draw people out of `pool`; return the others, and those with dev pairs."""
    drawable = pool.select(np.array(pool.names)[pool.counts <= MOST_DEV_IMAGES])
    drawn = draw_people(drawable, round(dev_people * len(pool.names)), seed)
    dev = pool.select(drawn)
    possible = int((dev.counts * (dev.counts - 1) // 2).sum())
    n_pairs = min(500, 3 * int((dev.counts >= 2).sum()), possible)
    if n_pairs == 0:
        raise ValueError(f"expected held-out people with two images or more, got {dev}")
    pairs = draw_pairs(dev, n_pairs, n_pairs, seed, "dev", "dev")
    return pool.select(set(pool.names) - set(drawn)), dev.with_pairs(pairs)


def _with_train_pairs(train: Faces, pairs, name: str) -> Faces:
    return train.with_pairs(pairs.among(train.names).rows(train, name, "train"))
