"""The data sets of the field: how large, for what, under which terms, and how to load them."""

from pathlib import Path

import pandas as pd


def catalog() -> pd.DataFrame:
    """Return the sixteen data sets of ArcFace's Table 1 (Deng et al., CVPR 2019), in its order.

    Columns: ``name``; ``people`` and ``images`` (or videos) as that table counts them, with (P) for
    probes and (G) for the gallery; ``role``: training, verification or identification; ``layout``
    of the files that are read; ``terms`` and ``get`` as they were known in 2026, to be read anew at
    the owner's before any use; ``loader``: what reads it; ``tested``: whether on real files, or
    only on files that were written from the specification of the format.
    """
    return pd.read_csv(Path(__file__).with_name("catalog.csv"))


def describe() -> str:
    """Return the catalogue in lines for a terminal."""
    parts = []
    for row in catalog().itertuples():
        part = f"{row.name}: {row.people} people, {row.images} images; {row.role}"
        for key in ("layout", "terms", "get", "loader"):
            part += f"\n  {key:<8}{getattr(row, key)}"
        parts.append(f"{part}\n  tested  on {row.tested}")
    return "\n\n".join(parts)
