"""Paint one portrait: a wall, a body, a head with hair, what covers it, and the camera's flaws.

Pictures are float32 arrays (3, height, width) of linear light. Lengths are in head units from
between the eyes: u to the right and v down on the sheet; x and y on the face, z out of it, and m
is x on both sides. A shape is the distance from its edge, negative inside.
"""

import math

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from scipy.ndimage import map_coordinates

from facelab.data.drawn.person import PAINT, TABLES, linear

SIZE = 250  # pixels a side of a portrait, as LFW's files
SHEET = 280  # pixels a side of what it is cut out of
UNIT = 56  # pixels
U = (np.arange(SHEET, dtype=np.float32) - 139.5) / UNIT
V = (np.arange(SHEET, dtype=np.float32)[:, None] - 129) / UNIT
BOX = np.s_[:, 45:220, 66:214]  # the part of the sheet for the head and its hair
HEAD_U = U[66:214]
HEAD_V = V[45:220]


def ramp(x, start, end):
    """Rise smoothly from 0 at start to 1 at end."""
    t = np.clip((x - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def spot(x, y, cx, cy, rx, ry):
    """Return a bell in two dimensions, with its centre and radii."""
    across = (x - cx) / rx
    down = (y - cy) / ry
    return np.exp(-across * across - down * down)


def cover(shape):
    """Return how much of each pixel a shape covers."""
    return np.clip(0.5 - shape * UNIT, 0, 1)


def over(picture, colour, alpha):
    """Paint `colour` on `picture`, in place, as opaque as `alpha`."""
    picture += (colour - picture) * alpha


def fill(picture, colour, *shapes):
    """Paint what lies inside all of `shapes`."""
    over(picture, colour, math.prod(cover(shape) for shape in shapes))


def light(s, normal):
    """Return the light on a surface in the image `s`."""
    x, y, z = normal
    front = math.sqrt(max(1 - s.light_x**2 - s.light_y**2, 0))
    key = np.clip((x * s.light_x + y * s.light_y + z * front + 0.3) / 1.3, 0, 1)
    return s.power * linear((1 + s.warmth, 1, 1 - s.warmth)) * key + s.fill * (0.8 - 0.25 * y)


def egg(top, bottom, squareness):
    """Return the squared relative half-width of an egg at every height of the box."""
    upper = np.maximum(-HEAD_V / top, 0) ** 2.4
    lower = np.maximum(HEAD_V / bottom, 0) ** squareness
    return np.maximum(1 - upper - lower, -1)


def cast(s, profile, width, depth, bump):
    """Find what the camera of `s` sees of a stack of elliptic cross-sections.

    `width` and `depth` are their half-axes at every height of the box, for an egg's `profile`;
    ``bump(x, y)`` magnifies them. Returns x, y and z on the surface, its normal, and its cover.
    """
    sin = s.turn
    cos = math.sqrt(1 - sin * sin)
    size = 1
    for _ in range(4):  # where a ray lands depends on the bumps, and they on where it lands
        width2 = profile * (width * size) ** 2
        depth2 = profile * (depth * size) ** 2
        reach2 = cos * cos * width2 + sin * sin * depth2
        inside = reach2 - HEAD_U**2
        chord = np.sqrt(width2 * depth2 * np.maximum(inside, 0))
        t = (chord - sin * cos * (width2 - depth2) * HEAD_U) / np.maximum(reach2, 1e-3)
        x = cos * HEAD_U - sin * t
        y = HEAD_V + s.nod * t
        size = 0.5 * size + 0.5 * bump(x, y)
    z = sin * HEAD_U + cos * t
    gy, gx = np.gradient(inside, 1 / UNIT)
    edge = -inside / np.sqrt(gx * gx + gy * gy + 1e-6)
    gy, gx = np.clip(np.gradient(t, 1 / UNIT), -4, 4)
    normal = np.stack([-gx, -gy, np.ones_like(t)]) / np.sqrt(gx * gx + gy * gy + 1)
    return x, y, z, normal, cover(edge)


def paint(p, s, rng) -> Image.Image:
    """Paint an image `s` of a person `p`, RGB of 250 x 250 pixels; the central 128 hold the face.

    They are what `draw_person` and `draw_shot` drew; `rng` draws the background and the noise.
    """
    sheet = _wall(s, rng)
    box = sheet[BOX]
    hair, in_front, behind = _hair(p, s)
    over(box, 0.4 * hair, behind)
    _body(sheet, p, s)
    _ears(box, p, s)
    over(box, *_head(p, s))
    over(box, hair, in_front)
    return _photograph(sheet, s, rng)


def _photograph(sheet, s, rng):
    sheet *= s.exposure
    sheet = np.sqrt(sheet / (1 + 0.28 * sheet))
    sheet += s.noise * rng.standard_normal(sheet.shape, np.float32)
    pixels = (255 * np.clip(sheet, 0, 1)).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    image = ImageEnhance.Color(image).enhance(s.saturation)
    cos = math.cos(math.radians(s.roll)) / s.zoom
    sin = math.sin(math.radians(s.roll)) / s.zoom
    left = SHEET / 2 - s.shift_x * UNIT - (cos + sin) * SIZE / 2
    top = SHEET / 2 - s.shift_y * UNIT - (cos - sin) * SIZE / 2
    turn = (cos, sin, left, -sin, cos, top)
    wall = image.getpixel((0, 0))  # for what is beyond the sheet
    image = image.transform((SIZE, SIZE), Image.AFFINE, turn, Image.BICUBIC, fillcolor=wall)
    return image.filter(ImageFilter.GaussianBlur(max(s.blur, 0)))


def _wall(s, rng):
    # Few rows or columns of random numbers, enlarged, are soft patches or stripes.
    mix = rng.uniform(0, 1, rng.integers(1, 9, 2)).astype(np.float32)
    mix = Image.fromarray(mix).resize((SHEET, SHEET), Image.Resampling.BICUBIC)
    colour = s.colours[0] + (s.colours[1] - s.colours[0]) * np.asarray(mix)
    return np.maximum(colour, 0) * rng.uniform(0.2, 1.8)


def _body(sheet, p, s):
    width = 0.40 + 0.1 * p.build + 0.12 * ramp(V, 0.95, 1.5)
    across = (U - 0.15 * s.turn) / width
    bend = np.clip(across, -0.97, 0.97)
    skin = p.skin * light(s, (bend, -0.1, np.sqrt(1 - bend * bend)))
    shade = 0.35 + 0.65 * ramp(V, 0.85, 1.6)
    fill(sheet, skin * shade, (np.abs(across) - 1) * width, 0.4 - V)
    shoulder = 0.91 + 0.4 * np.sqrt(U * U + 0.6)
    out = np.abs(U) / 0.56
    collar = 1.27 + (0.62 * (1 - out) if s.is_v_neck else 0.24 * np.maximum(1 - out * out, -3))
    lit = light(s, (np.clip(0.5 * U, -0.8, 0.8), -0.35, 0.75)) * (0.75 + 0.25 * ramp(V, 1.1, 1.9))
    fill(sheet, s.colours[2] * lit, shoulder - V, collar - V)
    fill(sheet, s.colours[3] * lit, shoulder - V, np.abs(V - collar - 0.035) - 0.035)


def _ears(box, p, s):
    cos = math.sqrt(1 - s.turn * s.turn)
    for side in (-1, 1):
        x = side * (p.width + 0.02)
        u = cos * x - 0.08 * s.turn
        v = p.eye_y + 0.13 + s.nod * s.turn * x
        r = np.hypot((HEAD_U - u) / 0.11, (HEAD_V - v) / 0.2) / p.ear
        skin = p.skin * PAINT["ear"] * light(s, (0.7 * side, 0, 0.4 + 0.4 * r))
        fill(box, skin, (r - 1) * 0.11)


def _hair(p, s):
    """Return the colour of the hair, and its cover in front of the head and behind."""
    is_short = p.length == 0
    if is_short:
        side = p.hair_side * ramp(HEAD_V, 0.1, -0.7) - 0.12 * ramp(HEAD_V, 0.05, 0.5)
    else:
        side = p.hair_side + (0.05 + 0.1 * p.curl) * ramp(HEAD_V, -0.5, 0.6)
    profile = egg(1 + p.hair_top, p.length or 0.45, 8 - 5 * p.curl)
    width = p.width + 0.01 + side
    depth = p.depth + 0.6 * p.hair_top
    x, y, z, normal, behind = cast(s, profile, width, depth, lambda x, y: 1)
    angle = np.arctan2(x, z + 0.4)
    places = [35 * angle, (1 + 30 * p.curl) * y]
    fibre = map_coordinates(p.noise, places, order=1, mode="grid-wrap")
    gloss = 0.1 * spot(normal[0], normal[1], 0, -0.4, 0.6, 0.15)
    lit = light(s, normal)
    colour = (p.hair * s.dye + gloss) * lit * np.maximum(1 + 0.3 * fibre, 0.2)
    temple = 0.93 * p.width + 0.5 * p.hair_side - np.abs(x)
    face = np.minimum(y - _hairline(p, x), temple) + 0.02 * fibre
    in_front = behind * ramp(np.where(z > -0.12, face, -1), 0.02, -0.02)
    if is_short:
        in_front *= ramp(np.where(z > -0.1, y - 0.12, y - 0.35), 0.04, -0.06)
    hat = behind * cover(y + 0.42 - 0.05 * np.abs(x))
    if p.style == "bald":
        in_front = behind = 0 * behind
    if s.occlusion == "hat":
        over(colour, s.colours[4] * (0.9 + 0.1 * np.sin(45 * angle)) * lit, hat)
        in_front = np.maximum(in_front, hat)
    return colour, in_front, behind


def _hairline(p, x):
    edge = max(p.hairline + 0.22, -0.44) if p.fringe else p.hairline
    return edge + p.part * x + 0.8 * np.maximum(np.abs(x) - 0.7 * p.width, 0)


def _head(p, s):
    """Return the colour of the head, with all that is painted on it, and its cover."""
    taper = ramp(HEAD_V, p.jaw_y - 0.35, 1.15)
    width = p.width * (1 - (1 - p.jaw) * taper)
    depth = p.depth * (1 - 0.12 * taper)

    def bump(x, y):
        along = np.clip((y + 0.12) / (p.nose_y + 0.12), 0, 1.5)  # the nose: 1 at its tip
        ridge = p.nose_bridge * (1 - along) + p.nose_out * along * along
        ridge *= ramp(y, -0.3, -0.02) * ramp(y, p.nose_y + 0.1, p.nose_y)
        half = 0.08 + (0.62 * p.nose_width - 0.06) * np.minimum(along, 1)
        nose = ridge * spot(x / half, 0, 0, 0, 1, 1)
        return 1 + nose + _spots(p, "bumps", np.abs(x), y)

    profile = egg(1, p.height + 0.04 * s.open, p.chin)
    x, y, _, normal, whole = cast(s, profile, width, depth, bump)
    m = np.abs(x)
    lit = light(s, normal)
    dark = np.clip(_shadows(p, x, m, y), 0, 0.85)
    face = p.skin * (1 - PAINT["shadow"] * dark)
    _beard(face, p, m, y)
    _mouth(face, p, s, x, y)
    _eyes(face, p, s, x, m, y)
    _brows(face, p, s, m, y)
    if s.occlusion == "mask":
        fill(face, s.colours[4], p.nose_y - 0.12 + 0.5 * m * m - y)
    face *= lit
    if s.glasses or s.occlusion == "sunglasses":
        _glasses(face, p, s, m, y)
    return face, whole


def _spots(p, table, m, y):
    total = 0
    for place, right, down, rx, ry, height in TABLES["spots"][table]:
        total = total + height * spot(m, y, right, getattr(p, place) + down, rx, ry)
    return total


def _shadows(p, x, m, y):
    fold = m - p.nose_width - 0.02 - 0.55 * (y - p.nose_y)  # from the nose past the mouth
    dark = _spots(p, "shadows", m, y)
    dark += (0.1 + 0.3 * p.age) * spot(fold, y, 0, p.mouth_y - 0.12, 0.024, 0.1)
    dark += 0.6 * ramp(y, 0.96 * p.height, p.height)
    if p.style != "bald":
        dark += 0.5 * ramp(y - _hairline(p, x), 0.14, 0)
        dark += 0.3 * ramp(m, 0.8 * p.width, p.width)
    return dark


def _beard(face, p, m, y):
    jaw_density, lip_density = TABLES["beards"][p.beard]
    side = ramp(y, 0.3, 0.6) * ramp(m + 0.35 * (y - 0.4), 0.30, 0.48)
    chin = ramp(y, p.mouth_y + 0.1, p.mouth_y + 0.16)
    lip = ramp(spot(m, y, 0, p.mouth_y - 0.06, 0.85 * p.mouth_width, 0.05), 0.25, 0.6)
    over(face, p.hair, np.maximum(jaw_density * np.maximum(side, chin), lip_density * lip))


def _mouth(face, p, s, x, y):
    across = x / (p.mouth_width * (1 + 0.16 * s.smile))
    arch = 1 - across * across  # below 0 beyond the corners
    line = p.mouth_y + (0.015 + 0.08 * s.smile) * (arch - 0.55)
    above = line - 0.03 * s.open * arch
    below = line + 0.10 * s.open * arch
    top = above - p.upper_lip * arch
    bottom = below + p.lower_lip * arch
    lip = p.skin * (1 - p.red + p.red * PAINT["lip"])
    fill(face, 0.72 * lip, top - y, y - above, -arch)
    fill(face, lip, below - y, y - bottom, -arch)
    fill(face, PAINT["mouth"], above - y, y - below, -arch)
    fill(face, PAINT["teeth"], above + 0.01 - y, y - below + 0.01, y - above - 0.05)


def _eyes(face, p, s, x, m, y):
    """Paint both eyes, each in coordinates tilted about its pupil."""
    right = m - p.eye_gap
    down = y - p.eye_y + p.eye_tilt * right
    across = right / p.eye_width
    arch = 1 - across * across  # below 0 beyond the corners
    upper = -p.eye_height * s.lids * arch * (1 - 0.25 * across)
    lower = 0.5 * p.eye_height * arch
    slit = np.maximum(upper - down, down - lower)
    fill(face, PAINT["eye"] * (1 - 0.3 * across * across), slit)
    r = np.hypot(right, down + 0.12 * p.eye_height)
    fill(face, p.iris_colour * (1.4 - ramp(r, 0.7 * p.iris, p.iris)), r - p.iris, slit)
    fill(face, PAINT["pupil"], r - 0.45 * p.iris, slit)
    spark = np.hypot(right - np.copysign(0.02, x * s.light_x), down + 0.03)
    fill(face, PAINT["spark"], spark - 0.016, slit)
    lash = np.abs(down - upper) - (0.02 - 0.01 * p.build) * (1 + 0.5 * across)
    fill(face, PAINT["lash"], lash, -arch)


def _brows(face, p, s, m, y):
    along = (m - p.brow_gap) / p.brow_length  # 0 at the inner end, 1 at the outer
    middle = p.eye_y - p.brow_y - s.brow_raise + p.brow_tilt * (along - 0.3)
    thick = p.brow_thick * np.clip(1.25 - along, 0.1, 1)
    brow = ramp(np.abs(y - middle) - thick, 0.012, -0.012)
    ends = ramp(along, -0.06, 0.06) * ramp(along, 1.08, 0.92)
    over(face, 0.55 * p.hair, 0.9 * brow * ends)


def _glasses(face, p, s, m, y):
    x = (m - p.eye_gap - 0.01) / p.lens_width
    y = (y - p.eye_y - 0.03) / p.lens_height
    lens = (np.sqrt(np.hypot(x * x, y * y)) - 1) * p.lens_height
    if s.occlusion == "sunglasses":
        fill(face, PAINT["lens"], lens)
    fill(face, PAINT["frame"], np.abs(lens) - 0.015)
    fill(face, PAINT["frame"], np.abs(y + 0.2) * p.lens_height - 0.012, -lens)  # to the ears
