"""Paint one portrait: a wall, a body, a head with hair, what covers it, and the camera's flaws."""

import math

import numpy as np
from PIL import Image, ImageFilter

from facelab.data.drawn.canvas import SIZE, View, common, length, linear, over, ramp, rgb
from facelab.data.drawn.head import hair, head
from facelab.data.drawn.person import TINT


def paint(p, s, rng) -> Image.Image:
    """Paint an image `s` of a person `p`, RGB of 250 x 250 pixels; the central 128 hold the face.

    They are what `draw_person` and `draw_shot` drew; `rng` draws the background and the noise.
    """
    view = View(s)
    img = _wall(s, rng)
    hair_cut, hair_colour, in_front, behind = hair(p, s, view)
    if p.style == "bun":
        u, v = view.project(0, -1.05 - p.hair_top, -0.2)
        colour = linear(p.hair * s.dye)
        view.stick(img, colour, (u - 0.05, v), (u + 0.05, v), 0.3, 0.3)
    over(img[hair_cut], 0.4 * hair_colour, behind)
    _body(img, p, s, view)
    _ears(img, p, view)
    head_cut, skin, cover = head(p, s, view)
    over(img[head_cut], skin, cover)
    over(img[hair_cut], hair_colour, in_front)
    _occlude(img, p, s, view, rng)
    return _develop(img, s, rng)


def _develop(img, s, rng):
    grey = img.mean(0)
    img = np.maximum(grey + (img - grey) * s.saturation, 0) * s.exposure
    img = np.sqrt(img / (1 + 0.28 * img))
    if s.blur < 0:
        img += rng.standard_normal(img.shape, np.float32) * abs(s.noise)
    pixels = (np.clip(img, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return image.filter(ImageFilter.GaussianBlur(s.blur)) if s.blur > 0.3 else image


def _wall(s, rng):
    """Paint a wall, with lights or curtains out of focus, small and then enlarged."""
    y, x = np.mgrid[:50, :50].astype(np.float32) / 50
    turn = rng.uniform(0, 2 * math.pi)
    bright = rng.uniform(0.4, 1.3)
    kind = rng.integers(3)  # 0: bare, 1: lights, 2: curtains
    mix = ramp(x * math.cos(turn) + y * math.sin(turn), -0.8, 1.4)
    wall = (s.colours[0] + (s.colours[1] - s.colours[0]) * mix * 0.5) * bright
    for _ in range(rng.integers(4, 12) if kind else 0):
        spot = rng.uniform((0, 0, 0.03, 0.6, 0.1), (1, 1, 0.15, 1.8, 0.5))
        cx, cy, r, power, alpha = spot.tolist()
        d = length(x - cx, y - cy) if kind == 1 else np.abs(x - cx)
        colour = power * s.colours[rng.integers(3)]
        over(wall, colour, alpha * np.clip((r - d) * 25, 0, 1))
    bicubic = Image.Resampling.BICUBIC
    return np.stack([Image.fromarray(band).resize((SIZE, SIZE), bicubic) for band in wall])


def _body(img, p, s, view):
    """Paint the neck and one of three kinds of clothes: a round neck, a V-neck, a jacket."""
    cut, u, v = view.window(-3, 3, 0.4, 4)
    m = np.abs(u)
    width = 0.40 + 0.1 * p.build
    x = (u - 0.15 * view.right[2]) / (width + 0.12 * ramp(v, 0.95, 1.5))
    bend = np.clip(x, -0.97, 0.97)
    light = view.light((bend, -0.1, np.sqrt(1 - bend * bend)))
    light = light * (0.35 + 0.65 * ramp(v, 0.85, 1.6))
    over(img[cut], linear(p.skin) * light, view.cover((np.abs(x) - 1) * width))

    light = view.light((np.clip(u * 0.5, -0.8, 0.8), -0.35, 0.75 + 0 * u), even=True)
    light *= 0.75 + 0.25 * ramp(v, 1.1, 1.9)
    slope = 0.32 * (np.sqrt(u * u + 0.08) - 0.28)
    shoulder = 1.24 + slope + 0.3 * np.maximum(m - 1, 0) ** 2 - v
    round_neck = 1.27 + 0.24 * np.maximum(1 - (m / 0.56) ** 2, -3)
    vee = 1.27 + 0.62 * (1 - m / 0.56)
    lapels = 1.27 + 1.1 * (1 - m / 0.56)
    cloth, trim = s.colours[3:5]

    def dress(colour, neck, hem, border):
        edge = common(shoulder, neck - v)
        over(img[cut], colour * light, view.cover(edge))
        over(img[cut], hem * light, view.cover(common(edge, v - neck - border)))

    if s.clothes == 2:
        jacket = 0.7 * cloth
        dress(0.5 + 0.4 * trim, round_neck, trim, 0.07)
        dress(jacket, lapels, 1.3 * jacket, 0.3)
    else:
        dress(cloth, vee if s.clothes else round_neck, trim, 0.07)


def _ears(img, p, view):
    for side in (-1, 1):
        lobe = view.project(side * p.width, p.eye_y + 0.24, -0.08)
        tip = view.project(side * (p.width + 0.05), p.eye_y + 0.02, -0.08)
        skin = linear(p.skin) * TINT["ear"]
        view.stick(img, skin, lobe, tip, 0.075 * p.ear, 0.12 * p.ear)
        view.stick(img, 0.6 * skin, lobe, tip, 0.035 * p.ear, 0.06 * p.ear)


def _occlude(img, p, s, view, rng):
    """Put something between the face and the camera."""
    a, b, c = rng.uniform(0, 1, 3).tolist()
    if s.occlusion == "hand":
        x = s.side * (0.2 + 0.3 * a)
        y = 0.35 + 0.45 * b
        for k in range(4):
            tip = (x + s.side * 0.15 * k, y + 0.05 * (k - 1.2) ** 2)
            palm = (x + s.side * (0.35 + 0.13 * k), 1.9)
            view.stick(img, linear(p.skin), tip, palm, 0.075, 0.20)
    elif s.occlusion == "microphone":
        x = s.side * (0.1 + 0.3 * a)
        y = 0.85 + 0.25 * b
        view.stick(img, rgb(0.02, 0.02, 0.02), (x, y), (x + 0.4 * s.side, 2.4), 0.06, 0.08)
        view.stick(img, rgb(0.05, 0.05, 0.06), (x, y), (x, y + 0.06), 0.16, 0.16)
    elif s.occlusion == "scarf":
        cut, u, v = view.window(-1, 1, 0.4, 1.8)
        top = 0.72 + 0.12 * a + 0.25 * u * u + 0.04 * np.sin(3 * u + 6 * b)
        height = v - 0.25 * u * u + 0.2 * (c - 0.5) * u
        wave = ramp(np.sin(height * 16), -0.2, 0.2)
        stripes = s.colours[4] + (s.colours[5] - s.colours[4]) * wave
        normal = (np.clip(0.9 * u, -0.9, 0.9), 0.5 * np.sin((v - top) * 9), 0.6 + 0 * u)
        side = np.abs(u) - 0.75 - 0.05 * np.sin(6 * v)
        edge = common(top - v, v - 1.5 + 0.2 * u * u, side)
        over(img[cut], stripes * view.light(normal, even=True), view.cover(edge))
    elif s.occlusion == "patch":
        across = view.u - s.side * (0.6 + 0.4 * a)
        d = length(across, 0.8 * (view.v - 1.8 * b + 0.6))
        patch = 1.6 * s.colours[4] * view.fill
        over(img, patch, 0.97 * ramp(d - 0.4 - 0.35 * c, 0.14, -0.14))
