"""Claims: a sentence, what was measured, and whether the measurement bears it out."""

import math
from collections.abc import Iterable, Mapping

import pandas as pd


def written(value: float | None, form: str = ".3f", unit: str = "") -> str:
    """Write a number as tables show it; None and numbers that are not finite as a dash.

    Examples
    --------
    >>> written(0.8734, ".1%"), written(12.5, ".0f", " s"), written(None)
    ('87.3%', '12 s', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:{form}}{unit}"


def claim_row(claim: Mapping) -> tuple[str, str, str, str]:
    """Return a recorded claim in words: claim, measured, 95 % interval, yes or no."""
    style = claim["format"], claim["unit"]
    value, low, high = (written(claim[number], *style) for number in ("value", "low", "high"))
    interval = "–" if claim["low"] is None else f"{low} to {high}"
    return claim["sentence"], value, interval, "yes" if claim["holds"] else "no"


class Claims(pd.DataFrame):
    """The claims of a run as a table, the ones that do not hold in red."""

    @classmethod
    def of(cls, claims: Iterable[Mapping]) -> "Claims":
        """Build the table from recorded claims."""
        columns = ["claim", "measured", "95 % interval", "holds"]
        return cls([claim_row(claim) for claim in claims], columns=columns)

    def __repr__(self) -> str:
        return self.to_string(index=False, justify="left")

    def _repr_html_(self) -> str:
        red = {"no": "color: #c62828; font-weight: bold", "yes": ""}
        style = pd.DataFrame(self).style.map(red.get, subset=["holds"])
        style = style.hide(axis="index").set_uuid("claims")
        return style.set_properties(**{"text-align": "left"}).to_html()
