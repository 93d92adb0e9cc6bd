"""Draw what is fixed for a person, and what is new in every image of it, by ``portrait.toml``."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np


def linear(colour):
    """Return a colour in sRGB as linear light, float32 of shape (3, 1, 1)."""
    return np.array(colour, np.float32).reshape(3, 1, 1) ** 2


TABLES = tomllib.loads(Path(__file__).with_name("portrait.toml").read_text("utf-8"))
PAINT = {name: linear(colour) for name, colour in TABLES["paint"].items()}
STYLES = tuple(TABLES["styles"])
BEARDS = tuple(TABLES["beards"])
OCCLUSIONS = ("sunglasses", "hat", "mask")


def _palette(name: str) -> np.ndarray:
    colours = TABLES["colours"][name].split()
    return np.array([list(bytes.fromhex(colour)) for colour in colours]) / 255


def draw_person(rng: np.random.Generator) -> SimpleNamespace:
    """Draw what is fixed for a person."""
    p = SimpleNamespace(build=rng.beta(0.7, 0.7))
    for name, (low, high, by_build) in TABLES["person"].items():
        setattr(p, name, rng.uniform(low, high) + by_build * (p.build - 0.5))

    tone = rng.integers(5)
    is_dark = tone > 1
    p.skin = linear(_palette("skin")[tone] + rng.normal(0, 0.012, 3))
    p.iris_colour = linear(_palette("iris")[rng.integers(2 if is_dark else 6)])
    hair = _palette("hair")[rng.integers(3 if is_dark else 6)] * rng.uniform(0.85, 1.15)
    grey = rng.uniform(0.2, 0.95) if p.age > 0.72 else 0
    p.hair = linear(hair + (0.73 - hair) * grey)

    delicate, heavy, shortest, longest = np.transpose(list(TABLES["styles"].values()))
    style = rng.choice(len(STYLES), p=heavy if p.build > 0.5 else delicate)
    p.style = STYLES[style]
    p.length = rng.uniform(shortest[style], longest[style])
    p.fringe = rng.random() < 0.35
    p.beard = BEARDS[rng.integers(len(BEARDS))] if p.build > 0.55 else "none"
    p.glasses = rng.random() < 0.2
    p.noise = rng.standard_normal((64, 64), np.float32)  # the grain of the hair
    return p


def draw_shot(rng: np.random.Generator, p: SimpleNamespace) -> SimpleNamespace:
    """Draw what is new in an image of the person `p`."""
    s = SimpleNamespace()
    for name, (mean, deviation, low, high) in TABLES["shot"].items():
        setattr(s, name, float(np.clip(rng.normal(mean, deviation), low, high)))
    s.occlusion = str(rng.choice(OCCLUSIONS)) if rng.random() < 0.35 else ""
    s.glasses = rng.random() < (0.7 if p.glasses else 0.08)
    s.is_v_neck = rng.random() < 0.5
    s.colours = [linear(colour) for colour in rng.permutation(_palette("cloth"))[:6]]
    return s
