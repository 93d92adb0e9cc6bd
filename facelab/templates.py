"""Templates: a person is given by several images or videos, pooled into one embedding."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from facelab.faces import Faces
from facelab.verification import Report
from facelab.verification.sweep import unit_length

IJB_FARS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True, eq=False)
class Templates:
    """Sets of images and video frames, each of one person.

    Embed `images`, `pool` the embeddings, and `verify` them with `faces`::

        embeddings = templates.pool(fl.embed(model, templates.images))
        report = fl.verify(embeddings, templates.faces, threshold)

    Parameters
    ----------
    images : Faces
        Every image and frame.
    template, media : ndarray of shape (n_images,), int64
        The template of each image, a row of `faces`, and its media: the frames of a video share
        one. Images of two templates never share any.
    faces : Faces
        A row per template, which shows its first image and carries the pairs of templates.
    """

    images: Faces
    template: np.ndarray
    media: np.ndarray
    faces: Faces

    def __post_init__(self):
        shapes = self.template.shape, self.media.shape
        if shapes != ((len(self.images),),) * 2:
            expected = f"expected a template and a media for each of {len(self.images)} images"
            raise ValueError(f"{expected}, got {shapes}")
        if set(self.template.tolist()) != set(range(len(self.faces))):
            got = f"{len(np.unique(self.template))} of {len(self.faces)}"
            raise ValueError(f"expected images of every template, got {got}")

    def pool(self, embeddings: np.ndarray) -> np.ndarray:
        """Pool embeddings of all images, (n_images, D), into one each: (n_templates, D).

        Each is scaled to unit length, the frames of a video are averaged, and images and videos
        added up, so that a long video counts as much as an image; then scaled to unit length.
        """
        if len(embeddings) != len(self.images):
            expected = f"expected an embedding for each of {len(self.images)} images"
            raise ValueError(f"{expected}, got {len(embeddings)}")
        # a media counts once in each template that it is in
        parts = np.stack([self.template, self.media])
        _, media, frames = np.unique(parts, axis=1, return_inverse=True, return_counts=True)
        weights = 1 / frames[media.reshape(-1)]
        columns = np.arange(len(self.images))
        shape = (len(self.faces), len(self.images))
        sums = csr_array((weights, (self.template, columns)), shape) @ unit_length(embeddings)
        return unit_length(sums).astype(np.float32)


def tar_table(report: Report, fars: tuple[float, ...] = IJB_FARS) -> pd.DataFrame:
    """Return TAR at each FAR, as IJB-B and IJB-C are reported: far, tar, note.

    Where the different pairs are too few for a FAR, `note` says so and the TAR is nan.
    """
    rows = []
    for far in fars:
        note = report.refusal(far)
        rows.append((far, np.nan if note else report.tar_at_far(far), note))
    return pd.DataFrame(rows, columns=["far", "tar", "note"])
