"""What every painter of a drawn face uses: colours, edges, soft spots and strands.

Pictures are float32 arrays (3, height, width) of linear light. A shape is a signed distance from
its edge in head units, negative inside.
"""

from functools import reduce

import numpy as np


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
