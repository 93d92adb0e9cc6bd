"""From uint8 images to what a network sees; every random choice is made per image."""

from collections.abc import Callable

import torch
from torch.nn import functional

from facelab.checks import expect, kinds, real


def to_float(images: torch.Tensor) -> torch.Tensor:
    """Scale uint8 images to float32 in [-1, 1], channels last in memory."""
    _check(images)
    return images.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


@kinds
def augment(
    images: torch.Tensor,
    generator: torch.Generator,
    flip: float = 0.5,
    shift: float = 0.06,
    scale: float = 0.1,
    rotate: float = 10.0,
    contrast: float = 0.2,
    colour: float = 0.1,
    erase: float = 0.3,
) -> torch.Tensor:
    """Change each image of a batch by itself: mirror, move, zoom, turn, relight, cover.

    From uint8 to float32 near [-1, 1], both of shape (B, 3, H, W). torchvision's transforms draw
    one set of random numbers for a whole batch; these draw, on the CPU, for each image.

    `flip` and `erase` are shares of images: mirrored, and with a grey rectangle of 20 to 40 % of
    each side. The others are the largest change: `shift` along each axis (share of the side),
    relative zoom `scale`, `rotate` in degrees, relative `contrast` and, of a single channel,
    `colour`; brightness changes by as much of the full range as contrast.
    """
    _check(images)
    shares = {"flip": flip, "shift": shift, "scale": scale, "contrast": contrast}
    shares |= {"colour": colour, "erase": erase}
    for name, share in shares.items():
        real(name, share, 0, 1)
    real("rotate", rotate, 0, 180)
    n, _, height, width = images.shape

    def uniform(*shape, low=-1.0, high=1.0):
        drawn = torch.rand(*shape, generator=generator) * (high - low) + low
        return drawn.to(images.device, non_blocking=images.is_cuda)  # or the device is waited for

    x = (2 * torch.arange(width, device=images.device) + 1) / width - 1  # pixels' centres
    y = (2 * torch.arange(height, device=images.device) + 1) / height - 1
    mirror = torch.where(uniform(n, low=0.0) < flip, -1.0, 1.0)  # (B,)
    zoom = 1 + scale * uniform(n)
    angle = torch.deg2rad(rotate * uniform(n))
    cos = zoom * torch.cos(angle)
    sin = zoom * torch.sin(angle)
    move = 2 * shift * uniform(n, 2)
    # affine_grid, as a sum of what depends on the column and what depends on the row: the same
    # grid in a quarter of the time.
    columns = torch.stack([cos * mirror, sin * mirror])[..., None] * x  # (2, B, W)
    rows = torch.stack([-sin, cos])[..., None] * y + move.T[..., None]  # (2, B, H)
    grid = columns[:, :, None, :] + rows[..., None]  # (2, B, H, W)
    grid = grid.permute(1, 2, 3, 0).contiguous()
    out = functional.grid_sample(
        images.float(), grid, padding_mode="reflection", align_corners=False
    )
    gain = 1 + contrast * uniform(n, 1, 1, 1) + colour * uniform(n, 3, 1, 1)
    brightness = contrast * uniform(n, 1, 1, 1)
    out.mul_(gain / 127.5).add_(brightness - gain)

    size = uniform(n, 2, low=0.2, high=0.4)
    start = uniform(n, 2, low=0.0) * (1 - size)
    top, left = start.T[..., None]  # (B, 1) each
    bottom, right = (start + size).T[..., None]
    x = (x + 1) / 2
    y = (y + 1) / 2
    covers = uniform(n, 1, low=0.0) < erase
    inside_y = (y >= top) & (y < bottom) & covers  # (B, H)
    inside_x = (x >= left) & (x < right)  # (B, W)
    out.mul_(~(inside_y[:, None, :, None] & inside_x[:, None, None, :]))
    return out.contiguous(memory_format=torch.channels_last)


def for_batches(augment: Callable | None) -> Callable:
    """Return what is called on every batch: ``see(uint8_images, generator)``.

    None scales alone. A transform of torchvision is called on each image, since on a batch it would
    draw once for all, and has to leave uint8 images.
    """
    if augment is None:
        return lambda images, generator: to_float(images)
    modules = [kind.__module__ for kind in type(augment).__mro__]
    if any(module.startswith("torchvision.transforms") for module in modules):
        return lambda images, generator: to_float(torch.stack([augment(one) for one in images]))
    return augment


def _check(images):
    got = getattr(images, "dtype", type(images).__name__)
    expect(got == torch.uint8, "uint8 images, to be scaled to [-1, 1] here", got)
