"""What the explorer can show: a result, the film of its training, where its photos are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facelab.verification import Report, auc

BINS = np.linspace(0, 2, 41)  # of a film's histograms


@dataclass(frozen=True, eq=False)
class Film:
    """How the watched distances of a training moved, epoch by epoch.

    Parameters
    ----------
    epoch : ndarray of shape (n_epochs,), int
    source : str
        What the images are.
    synthetic : bool
        Whether the faces are drawn.
    splits : dict of str to (distances, same)
        By name of the split: distances of shape (n_epochs, n_pairs), and which of the pairs show
        one person, bool of shape (n_pairs,).
    """

    epoch: np.ndarray
    source: str
    synthetic: bool
    splits: Mapping[str, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, training) -> "Film":
        """Take the watched distances of a `Training`, or its table ``distances`` alone."""
        table = getattr(training, "distances", training)
        if not len(table):
            raise ValueError("expected a training with watched distances, got none")
        epoch = np.unique(table["epoch"])
        splits = {}
        for name, rows in table.groupby("split", sort=False):
            distances = rows["distance"].to_numpy().reshape(len(epoch), -1)
            same = rows["same"].to_numpy(bool)[: distances.shape[1]]
            splits[name] = distances, same
        first = table.iloc[0]
        return cls(epoch, first["source"], bool(first["synthetic"]), splits)

    def save(self, path) -> None:
        """Write ``epoch``, ``SPLIT_distance`` as float16 and ``SPLIT_same`` to an npz file."""
        arrays = {"epoch": np.int16(self.epoch)}
        for name, (distances, same) in self.splits.items():
            arrays[f"{name}_distance"] = np.float16(distances)
            arrays[f"{name}_same"] = same
        with Path(path).open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path, source: str = "", synthetic: bool = False) -> "Film":
        """Read what `save` wrote."""
        splits = {}
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                name = key.removesuffix("_same")
                if name != key:
                    splits[name] = file[f"{name}_distance"], file[key]
            return cls(file["epoch"], source, synthetic, splits)

    def counted(self) -> dict[str, object]:
        """Count the distances in `BINS`, epoch by epoch.

        Returns
        -------
        dict
            ``epoch``, ``source``, ``synthetic``, and ``splits``: for each ``name``, ``auc`` of
            shape (n_epochs,), and of ``same`` and ``different`` pairs ``n``, their ``counts``,
            uint32 of shape (n_epochs, n_bins), and their ``mean`` distances.
        """
        splits = []
        for name, (distances, same) in self.splits.items():
            distances = np.float32(distances)
            split = {
                "name": name,
                "auc": np.float32([auc(row, same) for row in distances]),
                "same": _counted(distances[:, same]),
                "different": _counted(distances[:, ~same]),
            }
            splits.append(split)
        return {
            "epoch": np.int32(self.epoch),
            "source": self.source,
            "synthetic": self.synthetic,
            "splits": splits,
        }


@dataclass(frozen=True, eq=False)
class Shown:
    """A result in the explorer, and where its photos and its network are.

    Parameters
    ----------
    name : str
        Shown in lists; no two alike.
    report : Report, optional
    film : Film, optional
        Of the training behind it.
    category, outside_data, chapter : str
        Whether its network learned from outside data, from which, and which chapter made it.
    data : str
        Where the photos are: ``"lfw"``, ``"synthetic"``, a folder, or empty for those of
        ``explore(faces=...)``.
    crop : int, optional
        Central pixels of each photo that the network sees; None: all.
    embed : callable, optional
        From `Faces` to embeddings; measures two photos.
    image_size : int
        Pixels of a side of what `embed` takes.
    """

    name: str
    report: Report | None = None
    film: Film | None = None
    category: str = "no outside data"
    outside_data: str = ""
    chapter: str = ""
    data: str = ""
    crop: int | None = None
    embed: Callable | None = None
    image_size: int = 64

    @property
    def synthetic(self) -> bool:
        """Whether its faces are drawn."""
        about = self.film if self.report is None else self.report
        return about is not None and about.synthetic


def _counted(distances):
    counts = [np.histogram(row.clip(0, 2), BINS)[0] for row in distances]
    means = [row.mean() if len(row) else 2 for row in distances]
    return {"n": distances.shape[1], "counts": np.uint32(counts), "mean": np.float32(means)}
