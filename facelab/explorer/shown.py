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
    source, synthetic : str, bool
        What the images are, and whether the faces are drawn.
    splits : dict of str to (distances, same)
        By name: of shape (n_epochs, n_pairs), and which pairs show one person, (n_pairs,).
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
            splits[name] = distances, rows["same"].to_numpy(bool)[: distances.shape[1]]
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
        with np.load(path, allow_pickle=False) as file:
            names = [key.removesuffix("_same") for key in file if key.endswith("_same")]
            splits = {name: (file[f"{name}_distance"], file[f"{name}_same"]) for name in names}
            return cls(file["epoch"], source, synthetic, splits)

    def counted(self) -> dict[str, object]:
        """Count the distances of every split in `BINS`, epoch by epoch, for the browser."""
        splits = []
        for name, (distances, same) in self.splits.items():
            distances = np.float32(distances)
            split = {"name": name, "auc": np.float32([auc(row, same) for row in distances])}
            for kind, chosen in (("same", distances[:, same]), ("different", distances[:, ~same])):
                counts = [np.histogram(row.clip(0, 2), BINS)[0] for row in chosen]
                mean = chosen.mean(axis=1) if chosen.size else np.full(len(chosen), 2)
                n = chosen.shape[1]
                split[kind] = {"n": n, "counts": np.uint32(counts), "mean": np.float32(mean)}
            splits.append(split)
        return vars(self) | {"epoch": np.int32(self.epoch), "splits": splits}


@dataclass(frozen=True, eq=False)
class Shown:
    """A result in the explorer, and where its photos and its network are.

    Parameters
    ----------
    name : str
        Shown in lists; no two alike.
    report, film : Report, Film, optional
        What was measured, and the film of the training behind it.
    category, outside_data, chapter : str
        Whether its network learned from outside data, from which, and which chapter made it.
    data : str
        Where the photos are, as `load_lfw` takes it; empty for those of ``explore(faces=...)``.
    crop, image_size : int
        Central pixels of each photo that the network sees (None: all), and pixels a side of what
        it takes.
    embed : callable, optional
        From `Faces` to embeddings; measures two photos.
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
