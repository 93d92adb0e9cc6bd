"""What the explorer can show: a result, the film of its training, where its photos are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from facelab import verification
from facelab.checks import expect, numbers, places, truths
from facelab.faces import Faces, Pairs
from facelab.files import loaded, read_arrays
from facelab.verification import Calibration, Report, auc
from facelab.verification.sweep import FARTHEST

BINS = np.linspace(0, 2, 41)  # of a film's histograms


@dataclass(frozen=True, eq=False)
class Film:
    """How the watched distances of a training moved, epoch by epoch."""

    epoch: np.ndarray  # (n_epochs,), int
    source: str  # what the images are
    synthetic: bool  # whether the faces are drawn
    splits: Mapping[str, tuple[np.ndarray, np.ndarray]]  # distances (n_epochs, n_pairs); same

    @classmethod
    def of(cls, training) -> "Film":
        """Take the watched distances of a `Training`, or its table ``distances`` alone."""
        table = getattr(training, "distances", training)
        expect(len(table), "a training with watched distances", "none")
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
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path, source: str = "", synthetic: bool = False) -> "Film":
        """Read what `save` wrote; anything else is a ValueError that names the file."""

        def read(path):
            arrays = read_arrays(path)
            epoch, splits = places("epoch", arrays["epoch"]), {}
            for name in [key.removesuffix("_same") for key in arrays if key.endswith("_same")]:
                distances, same = arrays[f"{name}_distance"], truths("same", arrays[f"{name}_same"])
                numbers("distances", distances, 0, 1.01 * FARTHEST)
                fits = distances.shape == (epoch.size, same.size) and epoch.ndim == same.ndim == 1
                expect(fits and distances.size, "arrays that fit", f"others of {name}")
                splits[name] = distances, same
            expect(splits, "watched distances", "none")
            return cls(epoch, source, synthetic, splits)

        return loaded(read, path, "a film of a training")

    def counted(self) -> dict[str, object]:
        """Count the distances of every split in `BINS`, epoch by epoch, for the browser."""
        splits = []
        for name, (distances, same) in self.splits.items():
            distances = np.float32(distances)
            aucs = [auc(row, same) for row in distances]
            split = {"name": name, "auc": np.float32(aucs)}
            split["same"] = _counted(distances[:, same])
            split["different"] = _counted(distances[:, ~same])
            splits.append(split)
        return vars(self) | {"epoch": np.int32(self.epoch), "splits": splits}


def _counted(distances: np.ndarray) -> dict[str, object]:
    n_epochs, n = distances.shape
    counts = [np.histogram(row, BINS)[0] for row in distances.clip(0, 2)]
    mean = distances.mean(axis=1) if n else np.full(n_epochs, 2)
    return {"n": n, "counts": np.uint32(counts), "mean": np.float32(mean)}


@dataclass(frozen=True, eq=False)
class Shown:
    """A result in the explorer, and where its photos and its network are."""

    name: str  # shown in lists; no two alike
    report: Report | None = None
    film: Film | None = None  # of the training behind it
    category: str = "no outside data"  # LFW's
    outside_data: str = ""  # what the network learned from beside LFW, in words
    data: str = ""  # where the photos are, as `load_lfw` takes it; empty: ``explore(faces=...)``
    crop: int | None = None  # central pixels of each photo that the network sees; None: all
    side: int | None = None  # pixels of the photos of which that is; None: of any
    aligned: bool = False  # whether what `embed` takes was aligned by landmarks
    embed: Callable | None = None  # from `Faces` to embeddings; measures two photos
    image_size: int = 64  # pixels a side of what `embed` takes
    calibration: Calibration | None = None  # what a distance says, of dev people
    group: str = ""  # heading in lists
    is_best: bool = False  # the explorer opens on it
    problem: str = ""  # why there is nothing to show


def distance_of(embed: Callable, photos: list[np.ndarray]) -> float:
    """Return the distance of two photos, uint8 of shape (3, side, side), that `embed` measures."""
    rows = np.arange(2)
    faces = Faces(np.stack(photos), rows, rows, ("first", "second"), numbers=rows + 1)
    (distance,) = verification.distances(embed(faces), Pairs([0], [1], [False])).tolist()
    return distance
