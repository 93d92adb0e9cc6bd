"""Draw one portrait: what is fixed for a person, what is new in every image, and the pixels.

Lengths are in head units: 1 is half the height of a head, about 64 pixels. Head coordinates have
x to the viewer's right, y down and z out of the face; the pupils are near y = 0, the chin near
y = 1. A head is a stack of elliptic cross-sections, on which bumps make nose, brows, cheeks and
chin. The ray of each pixel is intersected with it, and eyes, lips and all the rest are painted
where the ray lands. Colours are sRGB in the tables, and linear light (squared) while drawing.
"""

import math
from functools import reduce
from types import SimpleNamespace

import numpy as np
from PIL import Image, ImageFilter

SIZE = 250  # pixels, as LFW's files

# fmt: off
# A person: uniform in (low, high), plus the last number times (build - 0.5); build runs from 0,
# delicate, to 1, heavy. Widths of the head, the eyes and the mouth are halves.
PERSON = {
    "width": (0.64, 0.78, 0.05), "height": (0.95, 1.08, 0.04), "depth": (0.80, 0.90, 0.00),
    # Width near the chin, relative to the cheeks; where its taper begins; squareness.
    "jaw": (0.42, 0.74, 0.14), "jaw_y": (0.05, 0.40, 0.10), "chin": (3.2, 6.0, 1.2),
    "chin_out": (0.00, 0.09, 0.04), "cheek": (0.00, 0.09, -0.03), "ear": (0.85, 1.20, 0.10),
    # Brows: height above the pupils, the inner end's distance from the middle.
    "brow_y": (0.17, 0.27, -0.05), "brow_gap": (0.06, 0.14, -0.03),
    "brow_thick": (0.020, 0.045, 0.018), "brow_length": (0.32, 0.40, 0.00),
    "brow_arch": (0.00, 0.07, -0.03), "brow_tilt": (-0.09, 0.04, 0.00),
    "brow_ridge": (0.00, 0.04, 0.04),
    # Eyes: distance from the middle to a pupil; lid is the depth of the crease.
    "eye_gap": (0.26, 0.35, 0.00), "eye_y": (-0.06, 0.06, 0.00), "eye_tilt": (-0.10, 0.22, -0.05),
    "eye_width": (0.135, 0.175, -0.01), "eye_height": (0.065, 0.105, -0.02),
    "eye_depth": (0.02, 0.07, 0.02), "iris": (0.060, 0.074, 0.00), "lid": (0.2, 0.9, 0.0),
    "nose_y": (0.29, 0.42, 0.02), "nose_width": (0.095, 0.165, 0.02),
    "nose_out": (0.16, 0.29, 0.04), "nose_bridge": (0.02, 0.15, 0.03),
    # Mouth: cupid is the depth of the upper lip's bow, red the colour of the lips.
    "mouth_y": (0.57, 0.66, 0.00), "mouth_width": (0.21, 0.31, 0.02), "cupid": (0.0, 0.5, 0.0),
    "upper_lip": (0.028, 0.066, -0.02), "lower_lip": (0.042, 0.085, -0.02),
    "red": (0.25, 0.70, -0.30),
    # Hair: thickness, slant and peak of the line above the face, slant of the strands.
    "hair_top": (0.06, 0.20, -0.03), "hair_side": (0.03, 0.11, -0.03), "curl": (0.0, 1.0, 0.0),
    "hairline": (-0.68, -0.50, -0.06), "part": (-0.3, 0.3, 0.0), "peak": (-0.04, 0.09, 0.0),
    "sweep": (-0.5, 0.5, 0.0),
    "age": (0.0, 1.0, 0.0), "freckles": (-1.2, 0.9, 0.0), "mole": (-0.015, 0.024, 0.0),
}

# An image: normal (mean, standard deviation), clipped to (low, high). Angles are in degrees.
SHOT = {
    "yaw": (0, 19, -38, 38), "pitch": (-1, 7, -17, 12), "roll": (0, 4.5, -14, 14),
    "zoom": (1.02, 0.08, 0.85, 1.22), "shift_x": (0, 0.07, -0.2, 0.2),
    "shift_y": (0, 0.06, -0.15, 0.15),
    # Expression: near lids 0 the eyes are shut; open is the mouth.
    "smile": (0.5, 0.4, -0.35, 1.1), "open": (-0.15, 0.45, 0, 1), "lids": (1, 0.16, 0.2, 1.3),
    "brow_raise": (0, 0.025, -0.05, 0.06), "gaze": (0, 0.012, -0.03, 0.03),
    # Light: azimuth 0 is the camera's side; fill comes from everywhere, rim from behind.
    "azimuth": (0, 50, -90, 90), "elevation": (30, 20, -10, 65), "power": (1.0, 0.3, 0.4, 1.6),
    "warmth": (0.03, 0.2, -0.4, 0.45), "fill": (0.40, 0.16, 0.12, 0.8),
    "fill_warmth": (0, 0.2, -0.4, 0.4), "rim": (0.3, 0.5, 0, 1.2),
    # Camera: blur in pixels; below 0 the image is sharp, but has noise.
    "exposure": (1.05, 0.3, 0.5, 1.8), "saturation": (1.02, 0.28, 0, 1.4),
    "blur": (0, 1.1, -2.4, 2.4), "noise": (0, 0.02, -0.05, 0.05),
    # How the person looks that day, relative to usual: thickness and brightness of the hair.
    "hair": (1, 0.2, 0.6, 1.5), "dye": (1, 0.15, 0.7, 1.4), "stubble": (1, 0.3, 0.3, 1.5),
    "lipstick": (0, 0.2, -0.3, 0.5),
}
# fmt: on
STYLES = ("crop", "bob", "long", "coils", "bun", "bald")
STYLE_CHANCES = ((0.12, 0.30, 0.32, 0.10, 0.16, 0), (0.55, 0.10, 0.08, 0.12, 0, 0.15))  # by build
OCCLUSIONS = ("sunglasses", "hat", "scarf", "hand", "microphone", "patch")
# Weight of the whole jaw, moustache and goatee: none, stubble, moustache, goatee, full.
BEARDS = ((0, 0, 0), (0.35, 0.35, 0), (0, 0.9, 0), (0, 0.85, 0.9), (0.92, 0.9, 0.9))


def _palette(colours):
    return np.array([list(bytes.fromhex(c)) for c in colours.split()]) / 255


SKIN = _palette("ffdcc8 f5c8a8 e0aa84 b98058 865638 5c3a2a")
HAIR = _palette("17110f 2a1a12 4a2c1a 74482a 96422a cda05c")
IRIS = _palette("33200f 56361c 5e5c30 4c7456 48749e 6c8090")
CLOTH = _palette(
    "22304a 2e2e33 f2ede4 7c2734 2f4f3c c9982f 46678c d8c7a6 cf6f55 8a8f98 5a4a6b 3d7c7a"
)


def draw_person(rng):
    """Draw what is fixed for a person."""
    build = rng.beta(0.7, 0.7)
    drawn = {k: rng.uniform(a, b) + e * (build - 0.5) for k, (a, b, e) in PERSON.items()}
    p = SimpleNamespace(build=build, **drawn)
    tone = rng.uniform(0, len(SKIN) - 1.001)
    p.melanin = tone / (len(SKIN) - 1)
    light, dark = SKIN[int(tone)], SKIN[int(tone) + 1]
    p.skin = light + (dark - light) * (tone % 1) + rng.normal(0, 0.012, 3)
    p.iris_colour = IRIS[rng.integers(2 if p.melanin > 0.45 else 6)] * rng.uniform(0.9, 1.1)
    p.hair = HAIR[rng.integers(3 if p.melanin > 0.45 else 6)] * rng.uniform(0.85, 1.15)
    grey = rng.uniform(0.2, 0.95) * (p.age > 0.72)
    p.hair = p.hair * (1 - grey) + 0.73 * grey
    p.style = str(rng.choice(STYLES, p=STYLE_CHANCES[build > 0.5]))
    p.length = {"bob": rng.uniform(0.5, 1.0), "long": rng.uniform(1.3, 1.9)}.get(p.style, 0.1)
    if p.style == "coils":
        lengths = rng.uniform((0.15, 0.08, 0.5), (0.42, 0.34, 1.0))
        p.hair_top, p.hair_side, p.length, p.curl = *lengths.tolist(), 1.0
    p.fringe = rng.random() < 0.35 and p.style in ("crop", "bob", "long")
    p.beard = int(rng.choice(5, p=(0.4, 0.2, 0.12, 0.13, 0.15))) if build > 0.55 else 0
    p.glasses = rng.random() < 0.2
    p.frame = rng.uniform((0.19, 0.13, 2), (0.24, 0.19, 6)).tolist()  # half-axes, squareness
    p.mole_at = rng.uniform((-0.5, 0.05), (0.5, 0.8)).tolist()
    p.noise = rng.standard_normal((64, 64), np.float32)  # the grain of skin and hair
    return p


def draw_shot(rng, p):
    """Draw what is new in an image of the person `p`."""
    drawn = {k: float(np.clip(rng.normal(m, d), a, b)) for k, (m, d, a, b) in SHOT.items()}
    s = SimpleNamespace(**drawn)
    s.occlusion = str(rng.choice(OCCLUSIONS)) if rng.random() < 0.3 else ""
    s.glasses = rng.random() < (0.7 if p.glasses else 0.08)
    s.fringe = p.fringe != (rng.random() < 0.15)
    s.clothes = int(rng.integers(3))
    s.colours = [_linear(colour) for colour in rng.permutation(CLOTH)[:6]]
    s.side = 1 if rng.random() < 0.5 else -1
    return s


def _rgb(*channels):
    return np.array(channels, np.float32).reshape(3, 1, 1)


def _linear(colour):
    return _rgb(*colour) ** 2


def _ramp(x, start, end):
    """Rise smoothly from 0 at start to 1 at end."""
    t = np.clip((x - start) * (1 / (end - start)), 0, 1)
    return t * t * (3 - 2 * t)


def _length(x, y):
    return np.sqrt(x * x + y * y)  # far faster than hypot


def _gauss(x, y, cx, cy, rx, ry):
    return np.exp(-(((x - cx) * (1 / rx)) ** 2 + ((y - cy) * (1 / ry)) ** 2))


def _all(*distances):
    """Signed distance to what lies inside every one of some shapes."""
    return reduce(np.maximum, distances)


def _strands(p, along):
    """Smooth noise along a line."""
    table, i = p.noise.ravel(), np.floor(along)
    f, i = along - i, i.astype(np.int32)
    return table[i & 4095] * (1 - f) + table[(i + 1) & 4095] * f


def _over(canvas, colour, alpha):
    canvas += (colour - canvas) * alpha


class _View:
    """Where the head is in the image, and the light on it."""

    def __init__(self, s):
        degrees = (s.roll, s.yaw, s.pitch, s.azimuth, s.elevation)
        roll, yaw, pitch, azimuth, elevation = map(math.radians, degrees)
        self.scale = 64 * s.zoom
        y, x = (np.mgrid[:SIZE, :SIZE].astype(np.float32) - SIZE / 2) / self.scale
        x, y = x - s.shift_x, y - s.shift_y + 0.19
        cos, sin = math.cos(roll), math.sin(roll)
        self.u, self.v = x * cos + y * sin, y * cos - x * sin  # the image, turned upright
        ca, sa, cb, sb = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        self.axes = ((ca, 0, sa), (sa * sb, cb, -ca * sb), (-sa * cb, sb, ca * cb))
        kx, ky = math.sin(azimuth) * math.cos(elevation), -math.sin(elevation)
        kz = math.cos(azimuth) * math.cos(elevation)
        self.key = (kx * cos + ky * sin, ky * cos - kx * sin, kz)
        self.key_colour = s.power * _rgb(1 + s.warmth, 1, 1 - s.warmth)
        self.fill = s.fill * _rgb(1 + s.fill_warmth, 1, 1 - s.fill_warmth)
        self.rim = s.rim

    def window(self, u0, u1, v0, v1):
        """Cut a box of head units out of the image: slices, and u and v in them."""
        inside = (self.u > u0) & (self.u < u1) & (self.v > v0) & (self.v < v1)
        cut = [slice(a.argmax(), len(a) - a[::-1].argmax()) for a in (inside.any(1), inside.any(0))]
        return (slice(None), *cut), self.u[*cut], self.v[*cut]

    def project(self, x, y, z):
        """Return where a point of the head is in the image."""
        return [a * x + b * y + c * z for a, b, c in self.axes[:2]]

    def cover(self, distance):
        """Coverage of pixels at a signed distance from an edge, negative inside."""
        return np.clip(0.5 - distance * self.scale, 0, 1)

    def light(self, normal, wrap=(0.42, 0.28, 0.22)):
        """Light on a surface; `wrap` is how far it creeps round the edge of the shadow."""
        x, y, z = normal
        toward, wrap = x * self.key[0] + y * self.key[1] + z * self.key[2], _rgb(*wrap)
        behind = np.clip(-math.copysign(1, self.key[0]) * x - 0.5 * y, 0, 1)
        rim = self.rim * (1 - np.clip(z, 0, 1)) ** 3 * behind
        key = self.key_colour * np.clip((toward + wrap) / (1 + wrap), 0, 1)
        return key + self.fill * (0.8 - 0.25 * y) + rim

    def cast(self, u, v, profile, bump, coarse):
        """Find where the ray of each pixel meets a surface.

        `profile` gives the squared half-axes of the cross-section at y, and `bump` its
        magnification at (x, y). Both depend on where the ray lands, so its depth t is iterated,
        from in front of the nose inwards: `coarse` times on a grid of half the size, then twice.
        Returns x, y and z on the surface, its normal in the image, and its coverage.
        """
        half = [np.asarray(Image.fromarray(a).reduce(2)) for a in (u, v)]
        t, (ax, ay, az) = np.full_like(half[0], 1.3), self.axes[2]
        for (a, b), steps in ((half, coarse), ((u, v), 2)):
            if steps == 2:
                (h, w), bilinear = a.shape, Image.Resampling.BILINEAR
                t = np.array(Image.fromarray(t).resize((w, h), bilinear, (0, 0, w / 2, h / 2)))
            x0, y0, z0 = (self.axes[0][k] * a + self.axes[1][k] * b for k in range(3))
            miss = (ax * z0 - az * x0) ** 2
            for k in range(steps):
                y = y0 + ay * t
                a2, d2 = profile(y)
                inside = bump(x0 + ax * t, y) ** 2 * (ax * ax * d2 + az * az * a2) - miss
                a2, d2 = np.maximum(a2, 1e-3), np.maximum(d2, 1e-3)
                hit = np.sqrt(a2 * d2 * np.maximum(inside, 0)) - (ax * d2) * x0 - (az * a2) * z0
                # The whole step would swing to and fro where the surface is steep.
                step = 0.35 if steps == 2 else 0.7 - 0.04 * k
                t += step * (hit / (ax * ax * d2 + az * az * a2) - t)
        gy, gx = np.gradient(inside)
        cover = np.clip(inside / np.sqrt(gx * gx + gy * gy + 1e-12) + 0.5, 0, 1)
        gy, gx = (np.clip(g, -4, 4) for g in np.gradient(t, 1 / self.scale))
        normal = np.stack([-gx, -gy, np.ones_like(t)]) / np.sqrt(gx * gx + gy * gy + 1)
        return x0 + ax * t, y0 + ay * t, z0 + az * t, normal, cover

    def stick(self, img, colour, start, end, r0, r1):
        """Paint a round stick with a soft shadow: a finger, an ear, a bun."""
        (x, y), (dx, dy) = start, (end[0] - start[0], end[1] - start[1])
        us, vs, r = (start[0], end[0]), (start[1], end[1]), max(r0, r1) + 0.1
        cut, u, v = self.window(min(us) - r, max(us) + r, min(vs) - r, max(vs) + r)
        t = np.clip(((u - x) * dx + (v - y) * dy) * (1 / (dx * dx + dy * dy)), 0, 1)
        nx, ny, r = u - x - t * dx, v - y - t * dy, r0 + (r1 - r0) * t
        d = _length(nx, ny)
        normal = np.stack([nx / r, ny / r, np.sqrt(np.maximum(1 - (d / r) ** 2, 0.05))])
        _over(img[cut], 0.3 * colour, 0.4 * _ramp(d - r, 0.08, 0))
        _over(img[cut], colour * self.light(normal), self.cover(d - r))


def _background(s, rng):
    """Paint a wall, with lights or curtains out of focus, small and then enlarged."""
    y, x = np.mgrid[:50, :50].astype(np.float32) / 50
    turn, dim, kind = rng.uniform(0, 2 * math.pi), rng.uniform(0.4, 1.3), rng.integers(3)
    mix = _ramp(x * math.cos(turn) + y * math.sin(turn), -0.8, 1.4)
    wall = (s.colours[0] + (s.colours[1] - s.colours[0]) * mix * 0.5) * dim
    for _ in range(rng.integers(4, 12) if kind else 0):
        spot = rng.uniform((0, 0, 0.03, 0.6, 0.1), (1, 1, 0.15, 1.8, 0.5))
        cx, cy, r, bright, alpha = spot.tolist()
        d = _length(x - cx, y - cy) if kind == 1 else np.abs(x - cx)
        _over(wall, bright * s.colours[rng.integers(3)], alpha * np.clip((r - d) * 25, 0, 1))
    bands = (Image.fromarray(band).resize((SIZE, SIZE), Image.Resampling.BICUBIC) for band in wall)
    return np.stack([np.asarray(band) for band in bands])


def _hairline(p, s, x):
    """Height y of the edge of the hair above the face."""
    edge = max(p.hairline + 0.22, -0.44) if s.fringe else p.hairline
    edge += p.peak * np.exp(-((x * (1 / 0.12)) ** 2))
    return edge + p.part * x + 0.2 * (x * (1 / p.width)) ** 4


def _hair(p, s, view):
    """Return slices, colour, and coverage in front of the head and behind it."""
    top, side, short = p.hair_top * s.hair, p.hair_side * s.hair, p.length < 0.2
    end = 0.45 if short else p.length * s.hair
    flare = 0 if short else 0.05 + 0.1 * p.curl
    coils = p.style == "coils"
    square = 3 if coils else 8

    def profile(y):
        taper = 1 - _ramp(y, -0.7, 0.1) if short else 1
        f = 1 - np.abs(np.minimum(y, 0) * (1 / (1 + top))) ** 2.3
        f = np.maximum(np.minimum(f, 1 - (np.maximum(y, 0) * (1 / end)) ** square), -1)
        a = p.width + 0.01 + side * taper + flare * _ramp(y, -0.5, 0.6)
        if short:
            a = a - 0.12 * _ramp(y, 0.05, 0.5)
        return a * a * f, (p.depth + 0.6 * top * taper + 0.02) ** 2 * f

    def bump(x, y):
        waves = 0.012 + (0 if short else 0.02 * p.curl)
        return 1 + waves * _strands(p, (14 if coils else 9) * np.arctan2(x, 0.2 - y))

    wide = max(p.width + side + flare, p.depth) + 0.2
    cut, u, v = view.window(-wide, wide, -1.25 - top, end + 0.35)
    x, y, z, normal, cover = view.cast(u, v, profile, bump, 3)
    angle = np.arctan2(x, z + 0.4) + p.sweep * y * (z > 0)
    angle += 0.07 * p.curl * np.sin(9 * y + 5 * angle)
    fibre = 0.7 * _strands(p, angle * 16) + 0.45 * _strands(p, angle * 70 + 999)
    if coils:
        fibre = p.noise[(angle * 22).astype(int) & 63, (y * 30).astype(int) & 63]
    # Strands shine in a band where they lie across the direction halfway from light to camera.
    half = np.add(view.key, (0, 0, 1))
    hx, hy, hz = (half / np.linalg.norm(half)).tolist()
    facing = normal[0] * hx + normal[1] * hy + normal[2] * hz
    along = (hy - normal[1] * facing) / np.sqrt(1.02 - normal[1] ** 2)
    gloss = np.maximum(1 - along * along, 0) ** 14 * np.clip(facing, 0, 1) * (1 + 0.6 * fibre)
    light, hair = view.light(normal, (0.3, 0.3, 0.3)), _linear(p.hair * s.dye)
    colour = hair * light * np.maximum(1 + 0.3 * fibre, 0.2)
    colour += view.key_colour * gloss * (0.02 if coils else 0.16) * (0.25 + hair)
    face = np.minimum(y - _hairline(p, s, x), 0.93 * p.width + 0.5 * side - np.abs(x))
    front = cover * _ramp(np.where(z > -0.12, face + 0.02 * fibre, -1), 0.02, -0.02)
    if short:
        front *= _ramp(np.where(z > -0.1, y - 0.12, y - 0.35), 0.04, -0.06)
    back = cover
    if p.style == "bald":
        front, back = 0 * cover, 0 * cover
    if s.occlusion == "hat":
        hat = view.cover(y + 0.42 - 0.05 * np.abs(x))
        band = _ramp(y, -0.62, -0.60)
        knit = s.colours[4] * (1 - band) + s.colours[5] * band
        _over(colour, knit * light * (0.85 + 0.15 * np.sin(angle * 45)), hat)
        front = np.maximum(front, cover * hat)
    return cut, colour, front, back


def _body(img, p, s, view):
    """Paint the neck and one of three kinds of clothes: a round neck, a V-neck, a jacket."""
    cut, u, v = view.window(-3, 3, 0.4, 4)
    width, m = 0.40 + 0.1 * p.build, np.abs(u)
    x = (u - 0.15 * view.axes[0][2]) / (width + 0.12 * _ramp(v, 0.95, 1.5))
    bend = np.clip(x, -0.97, 0.97)
    light = view.light((bend, -0.1, np.sqrt(1 - bend * bend))) * (0.35 + 0.65 * _ramp(v, 0.85, 1.6))
    _over(img[cut], _linear(p.skin) * light, view.cover((np.abs(x) - 1) * width))
    light = view.light((np.clip(u * 0.5, -0.8, 0.8), -0.35, 0.75 + 0 * u), (0.3, 0.3, 0.3))
    light *= 0.75 + 0.25 * _ramp(v, 1.1, 1.9)
    shoulder = 1.24 + 0.32 * (np.sqrt(u * u + 0.08) - 0.28) + 0.3 * np.maximum(m - 1, 0) ** 2 - v
    round_neck = 1.27 + 0.24 * np.maximum(1 - (m / 0.56) ** 2, -3)
    vee, deep = (1.27 + depth * (1 - m / 0.56) for depth in (0.62, 1.1))
    cloth, trim = s.colours[3:5]
    layers = [(cloth, (round_neck, vee)[s.clothes == 1], 0.07)]
    if s.clothes == 2:
        layers = [(0.5 + 0.4 * trim, round_neck, 0.07), (0.7 * cloth, deep, 0.3)]
    for cloth, neck, border in layers:
        edge = _all(shoulder, neck - v)
        _over(img[cut], cloth * light, view.cover(edge))
        hem = trim if border < 0.1 else 1.3 * cloth
        _over(img[cut], hem * light, view.cover(_all(edge, v - neck - border)))


def _ears(img, p, view):
    for side in (-1, 1):
        lobe = view.project(side * p.width, p.eye_y + 0.24, -0.08)
        tip = view.project(side * (p.width + 0.05), p.eye_y + 0.02, -0.08)
        skin = _linear(p.skin) * _rgb(0.95, 0.8, 0.76)
        view.stick(img, skin, lobe, tip, 0.075 * p.ear, 0.12 * p.ear)
        view.stick(img, 0.6 * skin, lobe, tip, 0.035 * p.ear, 0.06 * p.ear)


def _head(p, s, view):
    """Return slices, colour and coverage of the head with all that is painted on it."""
    h, smile = p.height + 0.04 * s.open, max(s.smile, 0)
    bumps = (  # x on both sides, y, radii, height
        (0.85 * p.nose_width, p.nose_y + 0.02, 0.055, 0.06, 0.1 + 0.2 * p.nose_out),
        (0.26, p.eye_y - p.brow_y + 0.02, 0.20, 0.07, p.brow_ridge + 0.02),
        (p.eye_gap - 0.03, p.eye_y - 0.02, 0.17, 0.10, -p.eye_depth),
        (p.eye_gap, p.eye_y + 0.01, 0.10, 0.08, 0.03),
        (0.40, 0.27 - 0.04 * smile, 0.17, 0.15, p.cheek + 0.035 * smile),
        (0, p.mouth_y, 0.9 * p.mouth_width, 0.13, 0.05),
        (0, 0.86 * h, 0.17, 0.12, p.chin_out + (0.06 if p.beard >= 3 else 0.01)),
    )

    def profile(y):
        f = 1 - np.abs(np.minimum(y, 0)) ** 2.4
        f = np.maximum(np.minimum(f, 1 - (np.maximum(y, 0) * (1 / h)) ** p.chin), -1)
        taper = _ramp(y, p.jaw_y - 0.35, 1.15)
        a, d = p.width * (1 - (1 - p.jaw) * taper), p.depth * (1 - 0.12 * taper)
        return a * a * f, d * d * f

    def bump(x, y):
        tip = np.clip((y + 0.12) * (1 / (p.nose_y + 0.12)), 0, 1.5)
        ridge = p.nose_bridge * (1 - tip) + p.nose_out * tip * tip
        ridge *= _ramp(y, -0.3, -0.02) * _ramp(y, p.nose_y + 0.1, p.nose_y + 0.005)
        wide = 0.08 + (0.62 * p.nose_width - 0.06) * np.minimum(tip, 1) ** 2
        level, m = 1 + ridge * np.exp(-((x / wide) ** 2)), np.abs(x)
        for *where, height in bumps:
            level += height * _gauss(m, y, *where)
        return level

    cut, u, v = view.window(-1, 1, -1.15, 1.3)
    x, y, _, normal, cover = view.cast(u, v, profile, bump, 8)
    face = SimpleNamespace(x=x, m=np.abs(x), y=y, h=h, smile=smile, cover=view.cover)
    face.skin, face.hair = _linear(p.skin), _linear(p.hair * s.dye)
    face.rgb = np.broadcast_to(face.skin, (3, *x.shape)).copy()
    face.paint = lambda colour, alpha: _over(face.rgb, colour, alpha)
    for part in (_skin, _beard, _mouth, _eyes, _brows):
        part(p, s, face)
    light = view.light(normal)
    toward = (normal[2] + sum(n * k for n, k in zip(normal, view.key, strict=True))) * 0.5
    shine = 0.1 * np.clip(toward, 0, 1) ** 18 + 0.04 * _gauss(x, y, 0, p.nose_y - 0.02, 0.04, 0.05)
    face.rgb = face.rgb * light + view.key_colour * shine
    ix, iy = face.iris  # a spark in each eye, on the side of the light
    spark = _length(ix - math.copysign(0.02, view.key[0]), iy + 0.022) - 0.016
    face.paint(view.key_colour, 0.9 * view.cover(spark) * face.slit)
    if s.glasses or s.occlusion == "sunglasses":
        _glasses(p, s, face, light, view)
    return cut, face.rgb, cover


def _skin(p, s, face):
    """Paint blush, freckles and a mole, and darken what little light reaches."""
    x, m, y, skin, smile = face.x, face.m, face.y, face.skin, face.smile
    fine = np.asarray(Image.fromarray(p.noise).resize((256, 256), Image.Resampling.BICUBIC))
    fine = fine[(y * 100).astype(int) & 255, (x * 100).astype(int) & 255]
    face.rgb *= 1 + 0.02 * fine
    flush = 0.6 * _gauss(m, y, 0.42, 0.28, 0.2, 0.16) + 0.4 * _gauss(x, y, 0, p.nose_y, 0.13, 0.1)
    face.paint(skin * _rgb(1, 0.72, 0.70), flush * (1 - 0.6 * p.melanin))
    if p.freckles > 0 and p.melanin < 0.5:
        spots = np.clip(fine - 0.8, 0, 1) * _gauss(m, y, 0.3, 0.2, 0.3, 0.2)
        face.paint(skin * _rgb(0.6, 0.42, 0.35), np.minimum(1.4 * p.freckles * spots, 1))
    if p.mole > 0.01:
        mole = _length(x - p.mole_at[0], y - p.mole_at[1]) - p.mole
        face.paint(skin * 0.25, face.cover(mole))
    fold = np.exp(-(((m - p.nose_width - 0.02 - 0.55 * (y - p.nose_y)) / 0.024) ** 2))
    fold *= _ramp(y, p.nose_y - 0.04, p.nose_y + 0.06)
    fold *= _ramp(y, p.mouth_y + 0.08, p.mouth_y - 0.06)
    dark = (0.05 + 0.2 * p.age + 0.2 * smile) * fold
    dark += 0.30 * _gauss(m, y, p.eye_gap - 0.12, p.eye_y - 0.06, 0.12, 0.09)
    dark += (0.06 + 0.16 * p.age) * _gauss(m, y, p.eye_gap, p.eye_y + 0.12, 0.12, 0.04)
    dark += 0.30 * _gauss(x, y, 0, p.nose_y + 0.12, 1.1 * p.nose_width, 0.05)
    dark += 0.28 * _gauss(x, y, 0, p.mouth_y + p.lower_lip + 0.075, 0.14, 0.04)
    dark += 0.60 * _ramp(y, 0.96 * face.h, face.h)
    if p.age > 0.5:
        lines = np.exp(-((np.sin(46 * y + 4 * x * x) / 0.25) ** 2))
        dark += 0.13 * (p.age - 0.3) * lines * _gauss(x, y, 0, -0.45, 0.35, 0.1)
    if p.style != "bald" or s.occlusion == "hat":
        dark += 0.5 * _ramp(y - _hairline(p, s, x), 0.14, 0)
        dark += 0.3 * _ramp(m, 0.8 * p.width, p.width)
    face.rgb *= 1 - _rgb(0.75, 0.95, 1) * np.minimum(dark, 0.8)
    nostril = _length((m - 0.5 * p.nose_width) / 1.5, y - p.nose_y - 0.055) - 0.02
    face.paint(skin * _rgb(0.16, 0.09, 0.08), 0.85 * _ramp(nostril, 0.02, -0.02))


def _beard(p, s, face):
    if not p.beard:
        return
    x, m, y = face.x, face.m, face.y
    grain = 1 + 0.2 * _strands(p, 110 * x + 9 * y)
    lip = 0.5 * (p.nose_y + p.mouth_y - p.upper_lip) + 0.08
    tache = _ramp(_gauss(x, y, 0, lip, 0.85 * p.mouth_width, 0.05), 0.25, 0.6)
    goatee = _ramp(_gauss(x, y, 0, p.mouth_y + 0.24, 0.2, 0.16), 0.25, 0.6)
    jaw = _ramp(y, 0.3, 0.6) * _ramp(m + (y - 0.4) * 0.35, 0.30, 0.48)
    jaw = np.maximum(jaw, _ramp(y, p.mouth_y + 0.1, p.mouth_y + 0.16))
    parts = zip(BEARDS[p.beard], (jaw, tache, goatee), strict=True)
    alpha = _all(*(weight * part for weight, part in parts)) * s.stubble
    face.paint(face.hair * grain + 0.03 * face.skin, np.clip(alpha, 0, 1))


def _mouth(p, s, face):
    """Paint two lips along a line that a smile bends, and the teeth between them."""
    x, y, skin, smile = face.x, face.y, face.skin, face.smile
    across = x * (1 / (p.mouth_width * (1 + 0.16 * s.smile) * (1 - 0.12 * s.open)))
    arch, beyond = np.clip(1 - across**2, 0, 1), (np.abs(across) - 1) * p.mouth_width
    line = p.mouth_y - (0.015 + 0.08 * s.smile) * (across**2 - 0.45)
    above, below = line - 0.03 * s.open * arch, line + 0.10 * s.open * arch
    bow = 1 - p.cupid * np.exp(-((x / 0.03) ** 2)) - 0.25 * np.clip(np.abs(across) - 0.2, 0, 1)
    top = above - p.upper_lip * arch**0.8 * bow * (1 - 0.2 * smile)
    bottom = below + p.lower_lip * arch**0.7 * (1 - 0.15 * smile)
    red = min(max(p.red + s.lipstick, 0), 1)
    lip = skin * (1 - red) + skin * _rgb(0.85, 0.33, 0.36) * red
    shine = 0.4 * _gauss(across, y, 0, p.mouth_y + 0.55 * p.lower_lip + 0.1 * s.open, 0.5, 0.02)
    face.paint(0.72 * lip, 0.9 * face.cover(_all(top - y, y - above, beyond)))
    face.paint((0.9 + shine) * lip, 0.9 * face.cover(_all(below - y, y - bottom, beyond)))
    gap = _all(above - y, y - below, beyond)
    if s.open > 0.03:
        teeth = _linear((0.88, 0.86, 0.82)) * (1 - 0.5 * across**2) * (0.92 + 0.08 * np.cos(95 * x))
        face.paint(_linear((0.25, 0.10, 0.10)), face.cover(gap))
        face.paint(teeth, face.cover(_all(gap, y - above - 0.05)))
    shut = face.cover(_all(np.abs(y - line) - 0.007, beyond)) * 0.75 * max(1 - 4 * s.open, 0)
    face.paint(_linear((0.30, 0.15, 0.14)), shut)
    face.paint(skin * 0.35, 0.4 * _gauss(np.abs(across), y, 1, line, 0.12, 0.025))


def _eyes(p, s, face):
    """Paint both eyes, each in coordinates tilted about its pupil."""
    skin, cover = face.skin, face.cover
    dx, dy = face.m - p.eye_gap, face.y - p.eye_y
    across, down = (dx + p.eye_tilt * dy) * (1 / p.eye_width), dy + p.eye_tilt * dx
    arch, beyond = np.clip(1 - across**2, 0, 1), (np.abs(across) - 1) * p.eye_width
    height = p.eye_height * s.lids * (1 - 0.12 * face.smile)
    upper = 0.012 - height * arch**0.75 * (1 - 0.25 * across)
    lower = 0.012 + 0.5 * p.eye_height * (1 - 0.35 * face.smile) * arch**0.8 * (1 + 0.2 * across)
    face.slit = cover(_all(upper - down, down - lower, beyond))
    crease = np.exp(-(((down - upper + 0.03 + 0.05 * p.lid * arch) / 0.014) ** 2))
    face.paint(skin * _rgb(0.32, 0.2, 0.18), 0.7 * p.lid * crease * (beyond < 0.012))
    white = 1 - 0.5 * np.exp(-(((down - upper) / 0.03) ** 2)) - 0.25 * across**2
    face.paint(_linear((0.90, 0.88, 0.87)) * white, face.slit)
    ix, iy = dx * np.sign(face.x) - s.gaze, down + 0.12 * p.eye_height - 0.004
    r, face.iris = _length(ix, iy), (ix, iy)
    tone = 1.25 + 0.9 * np.clip(iy * (1 / p.iris), -0.5, 1)
    tone *= 1 - 0.7 * _ramp(r, 0.7 * p.iris, p.iris)
    face.paint(_linear(p.iris_colour) * tone, cover(r - p.iris) * face.slit)
    face.paint(_linear((0.08, 0.08, 0.09)), cover(r - 0.45 * p.iris) * face.slit)
    lash = np.abs(down - upper) - (0.02 - 0.01 * p.build) * (1 + 0.5 * across)
    face.paint(_linear((0.14, 0.11, 0.10)), 0.92 * cover(_all(lash, beyond - 0.012)))
    face.paint(skin * 0.3, 0.5 * np.exp(-(((down - lower) / 0.008) ** 2)) * (beyond < 0))


def _brows(p, s, face):
    along = (face.m - p.brow_gap) * (1 / p.brow_length)
    middle = p.eye_y - p.brow_y - s.brow_raise + p.brow_tilt * (along - 0.3)
    middle -= p.brow_arch * (1 - ((along - 0.6) / 0.6) ** 2)
    thick = p.brow_thick * np.clip(1.25 - along, 0.1, 1) ** 0.7 * _ramp(along, -0.05, 0.12)
    thick += 0.004 * _strands(p, 150 * face.x + 110 * face.y * np.sign(face.x))
    brow = _ramp(np.abs(face.y - middle) - thick, 0.012, -0.012)
    brow *= (along > -0.06) * _ramp(along, 1.08, 0.92)
    face.paint(0.55 * face.hair + 0.04 * face.skin, 0.9 * brow)


def _glasses(p, s, face, light, view):
    (width, height, square), (x, y) = p.frame, (face.m - p.eye_gap - 0.01, face.y - p.eye_y - 0.03)
    lens = (np.abs(x) / width) ** square + (np.abs(y) / height) ** square
    lens = (lens ** (1 / square) - 1) * height
    if s.occlusion == "sunglasses":
        sky = 0.01 + 0.12 * view.fill * np.clip(-y / height, 0, 1)
        face.paint(sky, 0.97 * view.cover(lens))
    bridge = _all(np.abs(y + 0.04) - 0.012, x + width)
    arm = _all(np.abs(y + 0.03) - 0.013, width - x)
    frame = np.minimum(np.abs(lens) - 0.015, np.minimum(bridge, arm))
    face.paint(_linear((0.14, 0.12, 0.12)) * (1 + 2 * light), 0.95 * view.cover(frame))


def _occlude(img, p, s, view, rng):
    """Put something between the face and the camera."""
    one, two = s.colours[4:6]
    a, b, c = rng.uniform(0, 1, 3).tolist()
    if s.occlusion == "hand":
        cx, cy = s.side * (0.2 + 0.3 * a), 0.35 + 0.45 * b
        for k in range(4):
            tip = (cx + s.side * 0.15 * k, cy + 0.05 * (k - 1.2) ** 2)
            palm = (cx + s.side * (0.35 + 0.13 * k), 1.9)
            view.stick(img, _linear(p.skin), tip, palm, 0.075, 0.20)
    elif s.occlusion == "microphone":
        cx, cy = s.side * (0.1 + 0.3 * a), 0.85 + 0.25 * b
        view.stick(img, _rgb(0.02, 0.02, 0.02), (cx, cy), (cx + 0.4 * s.side, 2.4), 0.06, 0.08)
        view.stick(img, _rgb(0.05, 0.05, 0.06), (cx, cy), (cx, cy + 0.06), 0.16, 0.16)
    elif s.occlusion == "scarf":
        cut, u, v = view.window(-1, 1, 0.4, 1.8)
        top = 0.72 + 0.12 * a + 0.25 * u * u + 0.04 * np.sin(3 * u + 6 * b)
        normal = np.clip(0.9 * u, -0.9, 0.9), 0.5 * np.sin((v - top) * 9), 0.6 + 0 * u
        stripes = _ramp(np.sin((v - 0.25 * u * u + 0.2 * (c - 0.5) * u) * 16), -0.2, 0.2)
        wool = (one + (two - one) * stripes) * view.light(normal, (0.3, 0.3, 0.3))
        edge = _all(top - v, v - 1.5 + 0.2 * u * u, np.abs(u) - 0.75 - 0.05 * np.sin(6 * v))
        _over(img[cut], wool, view.cover(edge))
    elif s.occlusion == "patch":
        d = _length(view.u - s.side * (0.6 + 0.4 * a), 0.8 * (view.v - 1.8 * b + 0.6))
        _over(img, 1.6 * one * view.fill, 0.97 * _ramp(d - 0.4 - 0.35 * c, 0.14, -0.14))


def paint(p, s, rng):
    """Paint one image.

    Parameters
    ----------
    p : SimpleNamespace
        The person, from `draw_person`.
    s : SimpleNamespace
        What is new in this image, from `draw_shot`.
    rng : numpy.random.Generator
        Draws the background and the noise.

    Returns
    -------
    PIL.Image.Image
        RGB, 250 x 250 pixels; the central 128 hold the face from its forehead to the chin.
    """
    view = _View(s)
    img = _background(s, rng)
    hair, colour, front, back = _hair(p, s, view)
    if p.style == "bun":
        u, v = view.project(0, -1.05 - p.hair_top, -0.2)
        view.stick(img, _linear(p.hair * s.dye), (u - 0.05, v), (u + 0.05, v), 0.3, 0.3)
    _over(img[hair], 0.4 * colour, back)
    _body(img, p, s, view)
    _ears(img, p, view)
    head, skin, cover = _head(p, s, view)
    _over(img[head], skin, cover)
    _over(img[hair], colour, front)
    _occlude(img, p, s, view, rng)
    grey = img.mean(0)
    img = np.maximum(grey + (img - grey) * s.saturation, 0) * s.exposure
    img = np.sqrt(img / (1 + 0.28 * img))
    if s.blur < 0:
        img += rng.standard_normal(img.shape, np.float32) * abs(s.noise)
    pixels = (np.clip(img, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return image.filter(ImageFilter.GaussianBlur(s.blur)) if s.blur > 0.3 else image
