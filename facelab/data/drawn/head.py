"""The head and the hair of a drawn person `p` in an image `s`, and all that is painted on it.

A head is a stack of elliptic cross-sections, on which bumps make nose, brows, cheeks and chin. The
ray of each pixel is intersected with it, and eyes, lips and all the rest are painted where the ray
lands, at x and y; m is x on both sides.
"""

import math
from types import SimpleNamespace

import numpy as np
from PIL import Image

from facelab.data.drawn.canvas import bell, common, egg, length, linear, over, ramp, spot, strands
from facelab.data.drawn.person import BEARDS, PAINT, TINT


def hairline(p, s, x):
    """Return the height y of the edge of the hair above the face."""
    edge = max(p.hairline + 0.22, -0.44) if s.fringe else p.hairline
    return edge + p.peak * bell(x * (1 / 0.12)) + p.part * x + 0.2 * (x * (1 / p.width)) ** 4


def hair(p, s, view):
    """Return slices, colour, and coverage in front of the head and behind it."""
    top = p.hair_top * s.hair
    side = p.hair_side * s.hair
    short = p.length < 0.2
    coils = p.style == "coils"
    end = 0.45 if short else p.length * s.hair
    flare = 0 if short else 0.05 + 0.1 * p.curl
    waves = 0.012 + (0 if short else 0.02 * p.curl)

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
    x, y, z, normal, cover = view.cast(u, v, profile, bump, 3)
    angle = np.arctan2(x, z + 0.4) + p.sweep * y * (z > 0)
    angle += 0.07 * p.curl * np.sin(9 * y + 5 * angle)
    fibre = 0.7 * strands(p, angle * 16) + 0.45 * strands(p, angle * 70 + 999)
    if coils:
        fibre = p.noise[(angle * 22).astype(int) & 63, (y * 30).astype(int) & 63]
    light = view.light(normal, even=True)
    base = linear(p.hair * s.dye)
    colour = base * light * np.maximum(1 + 0.3 * fibre, 0.2)
    gloss = _gloss(view, normal) * (1 + 0.6 * fibre)
    colour += view.key_colour * gloss * (0.02 if coils else 0.16) * (0.25 + base)

    temple = 0.93 * p.width + 0.5 * side - np.abs(x)
    face = np.minimum(y - hairline(p, s, x), temple)
    front = cover * ramp(np.where(z > -0.12, face + 0.02 * fibre, -1), 0.02, -0.02)
    if short:
        front *= ramp(np.where(z > -0.1, y - 0.12, y - 0.35), 0.04, -0.06)
    bald = p.style == "bald"
    front = front * (not bald)
    if s.occlusion == "hat":
        hat = view.cover(y + 0.42 - 0.05 * np.abs(x))
        band = ramp(y, -0.62, -0.60)
        knit = s.colours[4] * (1 - band) + s.colours[5] * band
        over(colour, knit * light * (0.85 + 0.15 * np.sin(angle * 45)), hat)
        front = np.maximum(front, cover * hat)
    return cut, colour, front, cover * (not bald)


def _gloss(view, normal):
    """Strands shine in a band where they lie across the direction halfway from light to camera."""
    half = np.add(view.key, (0, 0, 1))
    hx, hy, hz = (half / np.linalg.norm(half)).tolist()
    facing = normal[0] * hx + normal[1] * hy + normal[2] * hz
    along = (hy - normal[1] * facing) / np.sqrt(1.02 - normal[1] ** 2)
    return np.maximum(1 - along * along, 0) ** 14 * np.clip(facing, 0, 1)


def head(p, s, view):
    """Return slices, colour and coverage of the head with all that is painted on it."""
    cut, u, v = view.window(-1, 1, -1.15, 1.3)
    face = SimpleNamespace(chin=p.height + 0.04 * s.open, smile=max(s.smile, 0), cover=view.cover)
    face.skin = linear(p.skin)
    face.hair = linear(p.hair * s.dye)
    profile, bump = _shape(p, face.chin, face.smile)
    x, y, _, normal, cover = view.cast(u, v, profile, bump, 8)
    face.rgb = np.broadcast_to(face.skin, (3, *x.shape)).copy()
    face.paint = lambda colour, alpha: over(face.rgb, colour, alpha)
    for painter in (_skin, _shadows, _beard, _mouth, _eyes, _brows):
        painter(p, s, face, x, np.abs(x), y)

    light = view.light(normal)
    toward = sum(n * k for n, k in zip(normal, view.key, strict=True))
    gleam = np.clip((normal[2] + toward) * 0.5, 0, 1) ** 18
    shine = 0.1 * gleam + 0.04 * spot(x, y, 0, p.nose_y - 0.02, 0.04, 0.05)
    face.rgb = face.rgb * light + view.key_colour * shine
    ix, iy = face.iris  # a spark in each eye, on the side of the light
    spark = length(ix - math.copysign(0.02, view.key[0]), iy + 0.022) - 0.016
    face.paint(view.key_colour, 0.9 * view.cover(spark) * face.slit)
    if s.glasses or s.occlusion == "sunglasses":
        _glasses(p, s, face, np.abs(x), y, light, view)
    return cut, face.rgb, cover


def _shape(p, chin, smile):
    bumps = (  # m, y, radii, height
        (0.85 * p.nose_width, p.nose_y + 0.02, 0.055, 0.06, 0.1 + 0.2 * p.nose_out),
        (0.26, p.eye_y - p.brow_y + 0.02, 0.20, 0.07, p.brow_ridge + 0.02),
        (p.eye_gap - 0.03, p.eye_y - 0.02, 0.17, 0.10, -p.eye_depth),
        (p.eye_gap, p.eye_y + 0.01, 0.10, 0.08, 0.03),
        (0.40, 0.27 - 0.04 * smile, 0.17, 0.15, p.cheek + 0.035 * smile),
        (0, p.mouth_y, 0.9 * p.mouth_width, 0.13, 0.05),
        (0, 0.86 * chin, 0.17, 0.12, p.chin_out + (0.06 if p.beard >= 3 else 0.01)),
    )

    def profile(y):
        size = egg(y, 1, 2.4, chin, p.chin)
        taper = ramp(y, p.jaw_y - 0.35, 1.15)
        across = p.width * (1 - (1 - p.jaw) * taper)
        depth = p.depth * (1 - 0.12 * taper)
        return across * across * size, depth * depth * size

    def bump(x, y):
        tip = np.clip((y + 0.12) * (1 / (p.nose_y + 0.12)), 0, 1.5)
        ridge = p.nose_bridge * (1 - tip) + p.nose_out * tip * tip
        ridge *= ramp(y, -0.3, -0.02) * ramp(y, p.nose_y + 0.1, p.nose_y + 0.005)
        wide = 0.08 + (0.62 * p.nose_width - 0.06) * np.minimum(tip, 1) ** 2
        level = 1 + ridge * bell(x / wide)
        m = np.abs(x)
        for *where, height in bumps:
            level += height * spot(m, y, *where)
        return level

    return profile, bump


def _skin(p, s, face, x, m, y):
    """Paint grain, blush, freckles and a mole."""
    fine = np.asarray(Image.fromarray(p.noise).resize((256, 256), Image.Resampling.BICUBIC))
    fine = fine[(y * 100).astype(int) & 255, (x * 100).astype(int) & 255]
    face.rgb *= 1 + 0.02 * fine
    flush = 0.6 * spot(m, y, 0.42, 0.28, 0.2, 0.16) + 0.4 * spot(x, y, 0, p.nose_y, 0.13, 0.1)
    face.paint(face.skin * TINT["blush"], flush * (1 - 0.6 * p.melanin))
    if p.freckles > 0 and p.melanin < 0.5:
        spots = np.clip(fine - 0.8, 0, 1) * spot(m, y, 0.3, 0.2, 0.3, 0.2)
        face.paint(face.skin * TINT["freckle"], np.minimum(1.4 * p.freckles * spots, 1))
    if p.mole > 0.01:
        mole = length(x - p.mole_at[0], y - p.mole_at[1]) - p.mole
        face.paint(face.skin * 0.25, face.cover(mole))


def _shadows(p, s, face, x, m, y):
    """Darken folds, hollows and what the hair shades, and paint the nostrils."""
    fold = bell((m - p.nose_width - 0.02 - 0.55 * (y - p.nose_y)) / 0.024)
    fold *= ramp(y, p.nose_y - 0.04, p.nose_y + 0.06)
    fold *= ramp(y, p.mouth_y + 0.08, p.mouth_y - 0.06)
    dark = (0.05 + 0.2 * p.age + 0.2 * face.smile) * fold
    dark += 0.30 * spot(m, y, p.eye_gap - 0.12, p.eye_y - 0.06, 0.12, 0.09)
    dark += (0.06 + 0.16 * p.age) * spot(m, y, p.eye_gap, p.eye_y + 0.12, 0.12, 0.04)
    dark += 0.30 * spot(x, y, 0, p.nose_y + 0.12, 1.1 * p.nose_width, 0.05)
    dark += 0.28 * spot(x, y, 0, p.mouth_y + p.lower_lip + 0.075, 0.14, 0.04)
    dark += 0.60 * ramp(y, 0.96 * face.chin, face.chin)
    if p.age > 0.5:
        lines = bell(np.sin(46 * y + 4 * x * x) / 0.25)
        dark += 0.13 * (p.age - 0.3) * lines * spot(x, y, 0, -0.45, 0.35, 0.1)
    if p.style != "bald" or s.occlusion == "hat":
        dark += 0.5 * ramp(y - hairline(p, s, x), 0.14, 0)
        dark += 0.3 * ramp(m, 0.8 * p.width, p.width)
    face.rgb *= 1 - TINT["shadow"] * np.minimum(dark, 0.8)
    nostril = length((m - 0.5 * p.nose_width) / 1.5, y - p.nose_y - 0.055) - 0.02
    face.paint(face.skin * TINT["nostril"], 0.85 * ramp(nostril, 0.02, -0.02))


def _beard(p, s, face, x, m, y):
    if not p.beard:
        return
    jaw = ramp(y, 0.3, 0.6) * ramp(m + (y - 0.4) * 0.35, 0.30, 0.48)
    jaw = np.maximum(jaw, ramp(y, p.mouth_y + 0.1, p.mouth_y + 0.16))
    lip = 0.5 * (p.nose_y + p.mouth_y - p.upper_lip) + 0.08
    moustache = ramp(spot(x, y, 0, lip, 0.85 * p.mouth_width, 0.05), 0.25, 0.6)
    goatee = ramp(spot(x, y, 0, p.mouth_y + 0.24, 0.2, 0.16), 0.25, 0.6)
    parts = zip(BEARDS[p.beard], (jaw, moustache, goatee), strict=True)
    alpha = common(*(weight * part for weight, part in parts)) * s.stubble
    grain = 1 + 0.2 * strands(p, 110 * x + 9 * y)
    face.paint(face.hair * grain + 0.03 * face.skin, np.clip(alpha, 0, 1))


def _mouth(p, s, face, x, m, y):
    """Paint two lips along a line that a smile bends, and the teeth between them."""
    across = x * (1 / (p.mouth_width * (1 + 0.16 * s.smile) * (1 - 0.12 * s.open)))
    out = np.abs(across)
    arch = np.clip(1 - across**2, 0, 1)
    beyond = (out - 1) * p.mouth_width
    line = p.mouth_y - (0.015 + 0.08 * s.smile) * (across**2 - 0.45)
    above = line - 0.03 * s.open * arch
    below = line + 0.10 * s.open * arch
    bow = 1 - p.cupid * bell(x / 0.03) - 0.25 * np.clip(out - 0.2, 0, 1)
    top = above - p.upper_lip * arch**0.8 * bow * (1 - 0.2 * face.smile)
    bottom = below + p.lower_lip * arch**0.7 * (1 - 0.15 * face.smile)

    red = min(max(p.red + s.lipstick, 0), 1)
    lip = face.skin * (1 - red) + face.skin * TINT["lip"] * red
    moist = p.mouth_y + 0.55 * p.lower_lip + 0.1 * s.open
    shine = 0.4 * spot(across, y, 0, moist, 0.5, 0.02)
    face.paint(0.72 * lip, 0.9 * face.cover(common(top - y, y - above, beyond)))
    face.paint((0.9 + shine) * lip, 0.9 * face.cover(common(below - y, y - bottom, beyond)))
    gap = common(above - y, y - below, beyond)
    if s.open > 0.03:
        edges = (1 - 0.5 * across**2) * (0.92 + 0.08 * np.cos(95 * x))
        face.paint(PAINT["mouth"], face.cover(gap))
        face.paint(PAINT["teeth"] * edges, face.cover(common(gap, y - above - 0.05)))
    shut = face.cover(common(np.abs(y - line) - 0.007, beyond))
    face.paint(PAINT["shut_mouth"], shut * 0.75 * max(1 - 4 * s.open, 0))
    face.paint(face.skin * 0.35, 0.4 * spot(out, y, 1, line, 0.12, 0.025))


def _eyes(p, s, face, x, m, y):
    """Paint both eyes, each in coordinates tilted about its pupil."""
    dx = m - p.eye_gap
    dy = y - p.eye_y
    across = (dx + p.eye_tilt * dy) * (1 / p.eye_width)
    down = dy + p.eye_tilt * dx
    arch = np.clip(1 - across**2, 0, 1)
    beyond = (np.abs(across) - 1) * p.eye_width
    height = p.eye_height * s.lids * (1 - 0.12 * face.smile)
    upper = 0.012 - height * arch**0.75 * (1 - 0.25 * across)
    depth = 0.5 * p.eye_height * (1 - 0.35 * face.smile)
    lower = 0.012 + depth * arch**0.8 * (1 + 0.2 * across)
    face.slit = face.cover(common(upper - down, down - lower, beyond))
    crease = bell((down - upper + 0.03 + 0.05 * p.lid * arch) / 0.014)
    face.paint(face.skin * TINT["crease"], 0.7 * p.lid * crease * (beyond < 0.012))
    white = 1 - 0.5 * bell((down - upper) / 0.03) - 0.25 * across**2
    face.paint(PAINT["eye"] * white, face.slit)

    ix = dx * np.sign(x) - s.gaze
    iy = down + 0.12 * p.eye_height - 0.004
    face.iris = (ix, iy)
    r = length(ix, iy)
    tone = 1.25 + 0.9 * np.clip(iy * (1 / p.iris), -0.5, 1)
    tone *= 1 - 0.7 * ramp(r, 0.7 * p.iris, p.iris)
    face.paint(linear(p.iris_colour) * tone, face.cover(r - p.iris) * face.slit)
    face.paint(PAINT["pupil"], face.cover(r - 0.45 * p.iris) * face.slit)
    lash = np.abs(down - upper) - (0.02 - 0.01 * p.build) * (1 + 0.5 * across)
    face.paint(PAINT["lash"], 0.92 * face.cover(common(lash, beyond - 0.012)))
    face.paint(face.skin * 0.3, 0.5 * bell((down - lower) / 0.008) * (beyond < 0))


def _brows(p, s, face, x, m, y):
    along = (m - p.brow_gap) * (1 / p.brow_length)
    middle = p.eye_y - p.brow_y - s.brow_raise + p.brow_tilt * (along - 0.3)
    middle -= p.brow_arch * (1 - ((along - 0.6) / 0.6) ** 2)
    thick = p.brow_thick * np.clip(1.25 - along, 0.1, 1) ** 0.7 * ramp(along, -0.05, 0.12)
    thick += 0.004 * strands(p, 150 * x + 110 * y * np.sign(x))
    brow = ramp(np.abs(y - middle) - thick, 0.012, -0.012)
    brow *= (along > -0.06) * ramp(along, 1.08, 0.92)
    face.paint(0.55 * face.hair + 0.04 * face.skin, 0.9 * brow)


def _glasses(p, s, face, m, y, light, view):
    width, height, square = p.frame
    x = m - p.eye_gap - 0.01
    y = y - p.eye_y - 0.03
    lens = (np.abs(x) / width) ** square + (np.abs(y) / height) ** square
    lens = (lens ** (1 / square) - 1) * height
    if s.occlusion == "sunglasses":
        sky = 0.01 + 0.12 * view.fill * np.clip(-y / height, 0, 1)
        face.paint(sky, 0.97 * view.cover(lens))
    bridge = common(np.abs(y + 0.04) - 0.012, x + width)
    arm = common(np.abs(y + 0.03) - 0.013, width - x)
    frame = np.minimum(np.abs(lens) - 0.015, np.minimum(bridge, arm))
    face.paint(PAINT["frame"] * (1 + 2 * light), 0.95 * view.cover(frame))
