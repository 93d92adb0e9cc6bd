"""Draw what is fixed for a person, and what is new in every image of it.

``portrait.toml`` beside this file holds the ranges and the colours.
"""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from facelab.data.drawn.canvas import linear, rgb

TABLES = tomllib.loads(Path(__file__).with_name("portrait.toml").read_text("utf-8"))
PAINT = {name: linear(colour) for name, colour in TABLES["paint"].items()}
TINT = {name: rgb(*factors) for name, factors in TABLES["tint"].items()}
BEARDS = list(TABLES["beards"].values())
BEARD_CHANCES = (0.4, 0.2, 0.12, 0.13, 0.15)  # of a heavy person; others have none
STYLES = tuple(TABLES["styles"])
STYLE_CHANCES = tuple(zip(*TABLES["styles"].values(), strict=True))
OCCLUSIONS = ("sunglasses", "hat", "scarf", "hand", "microphone", "patch")


def _palette(name: str) -> np.ndarray:
    colours = TABLES["colours"][name].split()
    return np.array([list(bytes.fromhex(colour)) for colour in colours]) / 255


def draw_person(rng: np.random.Generator) -> SimpleNamespace:
    """Draw what is fixed for a person."""
    build = rng.beta(0.7, 0.7)
    p = SimpleNamespace(build=build)
    for name, (low, high, by_build) in TABLES["person"].items():
        setattr(p, name, rng.uniform(low, high) + by_build * (build - 0.5))

    skin = _palette("skin")
    tone = rng.uniform(0, len(skin) - 1.001)
    light = skin[int(tone)]
    dark = skin[int(tone) + 1]
    p.melanin = tone / (len(skin) - 1)
    p.skin = light + (dark - light) * (tone % 1) + rng.normal(0, 0.012, 3)
    is_dark = p.melanin > 0.45
    p.iris_colour = _palette("iris")[rng.integers(2 if is_dark else 6)] * rng.uniform(0.9, 1.1)
    p.hair = _palette("hair")[rng.integers(3 if is_dark else 6)] * rng.uniform(0.85, 1.15)
    grey = rng.uniform(0.2, 0.95) * (p.age > 0.72)
    p.hair = p.hair * (1 - grey) + 0.73 * grey

    p.style = str(rng.choice(STYLES, p=STYLE_CHANCES[build > 0.5]))
    bob = rng.uniform(0.5, 1.0)
    long = rng.uniform(1.3, 1.9)
    p.length = {"bob": bob, "long": long}.get(p.style, 0.1)
    if p.style == "coils":
        sizes = rng.uniform((0.15, 0.08, 0.5), (0.42, 0.34, 1.0))
        p.hair_top, p.hair_side, p.length = sizes.tolist()
        p.curl = 1.0
    p.fringe = rng.random() < 0.35 and p.style in ("crop", "bob", "long")
    p.beard = int(rng.choice(5, p=BEARD_CHANCES)) if build > 0.55 else 0
    p.glasses = rng.random() < 0.2
    p.frame = rng.uniform((0.19, 0.13, 2), (0.24, 0.19, 6)).tolist()  # half-axes, squareness
    p.mole_at = rng.uniform((-0.5, 0.05), (0.5, 0.8)).tolist()
    p.noise = rng.standard_normal((64, 64), np.float32)  # the grain of skin and hair
    return p


def draw_shot(rng: np.random.Generator, p: SimpleNamespace) -> SimpleNamespace:
    """Draw what is new in an image of the person `p`."""
    s = SimpleNamespace()
    for name, (mean, deviation, low, high) in TABLES["shot"].items():
        setattr(s, name, float(np.clip(rng.normal(mean, deviation), low, high)))
    s.occlusion = str(rng.choice(OCCLUSIONS)) if rng.random() < 0.3 else ""
    s.glasses = rng.random() < (0.7 if p.glasses else 0.08)
    s.fringe = p.fringe != (rng.random() < 0.15)
    s.clothes = int(rng.integers(3))
    s.colours = [linear(colour) for colour in rng.permutation(_palette("cloth"))[:6]]
    s.side = 1 if rng.random() < 0.5 else -1
    return s
