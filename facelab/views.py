"""LFW's views as splits: who to learn from, who to set a threshold on, and who to test on."""

import numpy as np

from facelab.faces import Faces, Split, draw_pairs, draw_people

# The nine people of peopleDevTrain with more images (George W. Bush has 530) stay in train:
# otherwise the size of train would depend on who is drawn more than on how many are.
MOST_DEV_IMAGES = 50


def view1(faces: Faces, dev_people: float = 0.15, seed: int = 0, dev: str = "held-out") -> Split:
    """Split by LFW's View 1, the one for choosing a model.

    Test is always peopleDevTest with pairsDevTest. Train carries the pairs of pairsDevTrain whose
    two people are both in it; they are pairs of training people.

    Parameters
    ----------
    faces : Faces
        All images of a data set, from `load_lfw`.
    dev_people : float
        Share of the people of peopleDevTrain that are held out as dev, in (0, 1). Nobody with
        more than 50 images is.
    seed : int
        Decides who is held out and which pairs of them are drawn: as many same as different ones,
        three of each per held-out person with two images or more, at most 500 of each.
    dev : str
        ``"held-out"``, or ``"pairsDevTrain"``: the official alternative, in which dev is train
        itself with the pairs of pairsDevTrain. A threshold from it misleads, because a network
        has pulled apart the very people it is set on; the split says so in `leaking`.

    References
    ----------
    Huang et al., "Labeled Faces in the Wild", UMass Amherst TR 07-49, 2007, section IV.
    """
    if dev not in ("held-out", "pairsDevTrain"):
        raise ValueError(f"expected dev='held-out' or 'pairsDevTrain', got {dev!r}")
    protocol = faces.protocol
    pool = faces.select(protocol.dev_train)
    test = faces.select(protocol.dev_test)
    test = test.with_pairs(protocol.pairs_dev_test.rows(test, "View 1 test", "test"))
    if dev == "held-out":
        train, held_out = _hold_out(pool, dev_people, seed)
        train = _with_train_pairs(train, protocol.pairs_dev_train, "View 1 train")
        return Split(train, held_out, test, "View 1")
    train = _with_train_pairs(pool, protocol.pairs_dev_train, "View 1 train")
    leaking = f"all {len(pool.names):,} dev people are the training people (pairsDevTrain)"
    return Split(train, train, test, "View 1", leaking)


def view2(faces: Faces, fold: int, dev_people: float = 0.15, seed: int = 0) -> Split:
    """Split by one fold of LFW's View 2, the one for reporting.

    Test is the people and pairs of the fold; the people of the other folds are train, but for the
    held-out dev people, drawn as in `view1`. A View 2 result is the mean over all folds, each with
    its own training.

    Parameters
    ----------
    fold : int
        The fold to test on, 0..9. The pairs keep it as their fold.
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
