"""What every painter of a drawn face uses: colours, edges, soft spots, a camera, and light.

Pictures are float32 arrays (3, height, width) of linear light. A shape is a signed distance from
its edge in head units, negative inside.
"""

import math
from functools import reduce

import numpy as np
from PIL import Image

SIZE = 250  # pixels, as LFW's files


def rgb(*channels):
    """Return three numbers as a colour, float32 of shape (3, 1, 1)."""
    return np.array(channels, np.float32).reshape(3, 1, 1)


def linear(colour):
    """Return a colour in sRGB as linear light."""
    return rgb(*colour) ** 2


def ramp(x, start, end):
    """Rise smoothly from 0 at start to 1 at end."""
    t = np.clip((x - start) * (1 / (end - start)), 0, 1)
    return t * t * (3 - 2 * t)


def length(x, y):
    """Return the length of a vector; far faster than hypot."""
    return np.sqrt(x * x + y * y)


def bell(x):
    """Fall from 1 at 0 to 1/e at 1."""
    return np.exp(-(x**2))


def spot(x, y, cx, cy, rx, ry):
    """Return a bell in two dimensions, with its centre and radii."""
    return np.exp(-(((x - cx) * (1 / rx)) ** 2 + ((y - cy) * (1 / ry)) ** 2))


def egg(y, top, top_power, bottom, bottom_power):
    """Return the squared relative width at height y of an egg, 1 at y = 0, at least -1."""
    upper = 1 - np.abs(np.minimum(y, 0) * (1 / top)) ** top_power
    lower = 1 - (np.maximum(y, 0) * (1 / bottom)) ** bottom_power
    return np.maximum(np.minimum(upper, lower), -1)


def common(*shapes):
    """Return the shape of what lies inside every one of `shapes`."""
    return reduce(np.maximum, shapes)


def strands(p, along):
    """Return smooth noise of the person `p` along a line."""
    table = p.noise.ravel()
    start = np.floor(along)
    f = along - start
    i = start.astype(np.int32)
    return table[i & 4095] * (1 - f) + table[(i + 1) & 4095] * f


def over(canvas, colour, alpha):
    """Paint `colour` on `canvas`, in place, as opaque as `alpha`."""
    canvas += (colour - canvas) * alpha


class View:
    """A camera in front of a head, and the lights, as `draw_shot` drew them.

    Head coordinates have x to the viewer's right, y down and z out of the face; the pupils are
    near y = 0, the chin near y = 1. In the image, turned upright, u runs right and v down.
    """

    def __init__(self, s):
        angles = (s.roll, s.yaw, s.pitch, s.azimuth, s.elevation)
        turns = [(math.cos(math.radians(angle)), math.sin(math.radians(angle))) for angle in angles]
        (cos, sin), (ca, sa), (cb, sb), (c_azimuth, s_azimuth), (c_up, s_up) = turns
        self.scale = 64 * s.zoom  # pixels
        y, x = (np.mgrid[:SIZE, :SIZE].astype(np.float32) - SIZE / 2) / self.scale
        x = x - s.shift_x
        y = y - s.shift_y + 0.19
        self.u = x * cos + y * sin
        self.v = y * cos - x * sin
        # In head coordinates: the image's right, its down, and the way to the camera.
        self.right = (ca, 0, sa)
        self.down = (sa * sb, cb, -ca * sb)
        self.out = (-sa * cb, sb, ca * cb)
        kx = s_azimuth * c_up
        ky = -s_up
        self.key = (kx * cos + ky * sin, ky * cos - kx * sin, c_azimuth * c_up)
        self.key_colour = s.power * rgb(1 + s.warmth, 1, 1 - s.warmth)
        self.fill = s.fill * rgb(1 + s.fill_warmth, 1, 1 - s.fill_warmth)
        self.rim = s.rim

    def window(self, u0, u1, v0, v1):
        """Cut a box of head units out of the image: slices, and u and v in them."""
        inside = (self.u > u0) & (self.u < u1) & (self.v > v0) & (self.v < v1)
        rows, columns = (
            slice(some.argmax(), len(some) - some[::-1].argmax())
            for some in (inside.any(1), inside.any(0))
        )
        return (slice(None), rows, columns), self.u[rows, columns], self.v[rows, columns]

    def project(self, x, y, z):
        """Return where a point of the head is in the image."""
        return [a * x + b * y + c * z for a, b, c in (self.right, self.down)]

    def cover(self, shape):
        """Return how much of each pixel a shape covers."""
        return np.clip(0.5 - shape * self.scale, 0, 1)

    def light(self, normal, even=False):
        """Return the light on a surface; on skin, what creeps round the shadow's edge is red."""
        x, y, z = normal
        kx, ky, kz = self.key
        wrap = rgb(0.3, 0.3, 0.3) if even else rgb(0.42, 0.28, 0.22)
        key = self.key_colour * np.clip((x * kx + y * ky + z * kz + wrap) / (1 + wrap), 0, 1)
        behind = np.clip(-math.copysign(1, kx) * x - 0.5 * y, 0, 1)
        rim = self.rim * (1 - np.clip(z, 0, 1)) ** 3 * behind
        return key + self.fill * (0.8 - 0.25 * y) + rim

    def cast(self, u, v, profile, bump, coarse):
        """Find where the ray of each pixel (u, v) meets a surface.

        `profile` gives the squared half-axes of the cross-section at y, and `bump` its
        magnification at (x, y). Both depend on where the ray lands, so its depth is iterated:
        `coarse` times on a grid of half the size, then twice. Returns x, y and z on the surface,
        its normal in the image (3, height, width), and its coverage of each pixel.
        """
        half_u, half_v = (np.asarray(Image.fromarray(a).reduce(2)) for a in (u, v))
        t = np.full_like(half_u, 1.3)  # depth, from in front of the nose
        # The whole step would swing to and fro where the surface is steep.
        self._approach(t, half_u, half_v, profile, bump, [0.7 - 0.04 * k for k in range(coarse)])
        h, w = u.shape
        box = (0, 0, w / 2, h / 2)
        t = np.array(Image.fromarray(t).resize((w, h), Image.Resampling.BILINEAR, box))
        inside, start = self._approach(t, u, v, profile, bump, [0.35, 0.35])

        gy, gx = np.gradient(inside)
        cover = np.clip(inside / np.sqrt(gx * gx + gy * gy + 1e-12) + 0.5, 0, 1)
        gy, gx = (np.clip(slope, -4, 4) for slope in np.gradient(t, 1 / self.scale))
        normal = np.stack([-gx, -gy, np.ones_like(t)])
        normal /= np.sqrt(gx * gx + gy * gy + 1)
        x, y, z = (a + b * t for a, b in zip(start, self.out, strict=True))
        return x, y, z, normal, cover

    def _approach(self, t, u, v, profile, bump, steps):
        """Move the depths t to the surface, in place; return how far inside each ray passes."""
        start = [a * u + b * v for a, b in zip(self.right, self.down, strict=True)]
        x0, y0, z0 = start
        ax, ay, az = self.out
        miss = (ax * z0 - az * x0) ** 2
        for step in steps:
            y = y0 + ay * t
            a2, d2 = profile(y)
            inside = bump(x0 + ax * t, y) ** 2 * (ax * ax * d2 + az * az * a2) - miss
            a2 = np.maximum(a2, 1e-3)
            d2 = np.maximum(d2, 1e-3)
            hit = np.sqrt(a2 * d2 * np.maximum(inside, 0)) - (ax * d2) * x0 - (az * a2) * z0
            t += step * (hit / (ax * ax * d2 + az * az * a2) - t)
        return inside, start

    def stick(self, img, colour, start, end, r0, r1):
        """Paint a round stick with a soft shadow: a finger, an ear, a bun."""
        (x0, y0), (x1, y1) = start, end
        r = max(r0, r1) + 0.1
        cut, u, v = self.window(min(x0, x1) - r, max(x0, x1) + r, min(y0, y1) - r, max(y0, y1) + r)
        x, y = u - x0, v - y0
        dx, dy = x1 - x0, y1 - y0
        t = np.clip((x * dx + y * dy) * (1 / (dx * dx + dy * dy)), 0, 1)
        nx, ny = x - t * dx, y - t * dy
        r = r0 + (r1 - r0) * t
        d = length(nx, ny)
        nz = np.sqrt(np.maximum(1 - (d / r) ** 2, 0.05))
        over(img[cut], 0.3 * colour, 0.4 * ramp(d - r, 0.08, 0))
        over(img[cut], colour * self.light((nx / r, ny / r, nz)), self.cover(d - r))
