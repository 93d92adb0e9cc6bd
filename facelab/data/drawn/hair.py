"""The hair of a drawn person `p` in an image `s`, and a hat on it."""

import numpy as np

from facelab.data.drawn.brush import bell, egg, linear, over, ramp, strands

EVEN = (0.3, 0.3, 0.3)  # light creeps round hair and cloth in one colour


def hairline(p, s, x):
    """Return the height y of the edge of the hair above the face."""
    edge = max(p.hairline + 0.22, -0.44) if s.fringe else p.hairline
    edge += p.peak * bell(x * (1 / 0.12))
    return edge + p.part * x + 0.2 * (x * (1 / p.width)) ** 4


def hair(p, s, view):
    """Return slices, colour, and coverage in front of the head and behind it."""
    x, y, z, normal, cover, cut = _surface(p, s, view)
    angle = np.arctan2(x, z + 0.4) + p.sweep * y * (z > 0)
    angle += 0.07 * p.curl * np.sin(9 * y + 5 * angle)
    if p.style == "coils":
        fibre = p.noise[(angle * 22).astype(int) & 63, (y * 30).astype(int) & 63]
    else:
        fibre = 0.7 * strands(p, angle * 16) + 0.45 * strands(p, angle * 70 + 999)
    light = view.light(normal, EVEN)
    base = linear(p.hair * s.dye)
    colour = base * light * np.maximum(1 + 0.3 * fibre, 0.2)
    gloss = _gloss(view, normal) * (1 + 0.6 * fibre)
    strength = 0.02 if p.style == "coils" else 0.16
    colour += view.key_colour * gloss * strength * (0.25 + base)

    temple = 0.93 * p.width + 0.5 * p.hair_side * s.hair - np.abs(x)
    face = np.minimum(y - hairline(p, s, x), temple)
    front = cover * ramp(np.where(z > -0.12, face + 0.02 * fibre, -1), 0.02, -0.02)
    if p.length < 0.2:
        front *= ramp(np.where(z > -0.1, y - 0.12, y - 0.35), 0.04, -0.06)
    back = cover
    if p.style == "bald":
        front = 0 * cover
        back = 0 * cover
    if s.occlusion == "hat":
        hat = view.cover(y + 0.42 - 0.05 * np.abs(x))
        band = ramp(y, -0.62, -0.60)
        knit = s.colours[4] * (1 - band) + s.colours[5] * band
        over(colour, knit * light * (0.85 + 0.15 * np.sin(angle * 45)), hat)
        front = np.maximum(front, cover * hat)
    return cut, colour, front, back


def _surface(p, s, view):
    top = p.hair_top * s.hair
    side = p.hair_side * s.hair
    short = p.length < 0.2
    end = 0.45 if short else p.length * s.hair
    flare = 0 if short else 0.05 + 0.1 * p.curl
    waves = 0.012 + (0 if short else 0.02 * p.curl)
    coils = p.style == "coils"

    def profile(y):
        taper = 1 - ramp(y, -0.7, 0.1) if short else 1
        size = egg(y, 1 + top, 2.3, end, 3 if coils else 8)
        across = p.width + 0.01 + side * taper + flare * ramp(y, -0.5, 0.6)
        if short:
            across = across - 0.12 * ramp(y, 0.05, 0.5)
        return across * across * size, (p.depth + 0.6 * top * taper + 0.02) ** 2 * size

    def bump(x, y):
        return 1 + waves * strands(p, (14 if coils else 9) * np.arctan2(x, 0.2 - y))

    wide = max(p.width + side + flare, p.depth) + 0.2
    cut, u, v = view.window(-wide, wide, -1.25 - top, end + 0.35)
    return *view.cast(u, v, profile, bump, 3), cut


def _gloss(view, normal):
    """Strands shine in a band where they lie across the direction halfway from light to camera."""
    half = np.add(view.key, (0, 0, 1))
    hx, hy, hz = (half / np.linalg.norm(half)).tolist()
    facing = normal[0] * hx + normal[1] * hy + normal[2] * hz
    along = (hy - normal[1] * facing) / np.sqrt(1.02 - normal[1] ** 2)
    return np.maximum(1 - along * along, 0) ** 14 * np.clip(facing, 0, 1)
