"""How numbers, claims, names and files are written."""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd

COLUMNS = ("claim", "measured", "95 % interval", "holds")


def written(value: float | None, form: str = ".3f") -> str:
    """Write a number as tables show it; None and numbers that are not finite as a dash.

    Examples
    --------
    >>> written(0.8734, ".1%"), written(12.5, ".0f"), written(None)
    ('87.3%', '12', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return format(value, form)


def label(name: str) -> str:
    """Put the name of a notebook in words.

    Examples
    --------
    >>> label("01_siamese_baseline")
    '01 Siamese baseline'
    """
    number, _, rest = name.partition("_")
    return f"{number} {rest.replace('_', ' ').capitalize()}".strip()


def slug(title: str) -> str:
    """Turn a title into a file name.

    Examples
    --------
    >>> slug("triplet + semi-hard, 100 epochs")
    'triplet-semi-hard-100-epochs'
    """
    return "-".join(re.findall(r"[a-z0-9.]+", title.lower())) or "untitled"


def claim_row(claim: Mapping) -> tuple[str, str, str, str]:
    """Return the `COLUMNS` of a recorded claim in words."""
    value, low, high = (written(claim[key], claim["format"]) for key in ("value", "low", "high"))
    interval = low if low == "–" else f"{low} to {high}"
    return claim["sentence"], value, interval, "yes" if claim["holds"] else "no"


class Claims(pd.DataFrame):
    """The claims of a run as a table, the ones that do not hold in red."""

    def __repr__(self) -> str:
        return self.to_string(index=False, justify="left")

    def _repr_html_(self) -> str:
        red = {"no": "color: #c62828; font-weight: bold", "yes": ""}
        style = pd.DataFrame(self).style.map(red.get, subset=["holds"])
        style = style.hide(axis="index").set_uuid("claims")
        return style.set_properties(**{"text-align": "left"}).to_html()


def render(template: str, **values) -> str:
    """Fill in a template that lies beside this file; what it asks for must be there."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {"written": written, "label": label, "claim_row": claim_row}
    return environment.get_template(template).render(values)


def write_text(path: Path, text: str) -> None:
    """Write a text file; others see the whole file or the one before."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_json(path: Path, value) -> None:
    """Write strict JSON: numbers that are not finite become null."""
    loose = json.dumps(value, default=np.generic.item)
    strict = json.loads(loose, parse_constant=lambda not_finite: None)
    write_text(path, json.dumps(strict, indent=1, ensure_ascii=False) + "\n")
