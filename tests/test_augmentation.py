import numpy as np
import pytest
import torch

from facelab.augmentation import augment, to_float

OFF = dict(flip=0, shift=0, scale=0, rotate=0, contrast=0, colour=0, erase=0)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (1, 3, 4, 4)).astype(np.float32)
    big = torch.nn.functional.interpolate(torch.from_numpy(smooth), 32, mode="bilinear")
    return big.to(torch.uint8).repeat(16, 1, 1, 1)


def generator():
    return torch.Generator().manual_seed(0)


def test_to_float_maps_black_to_minus_one_and_white_to_one():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert to_float(images)[:, 0, 0, 0].tolist() == [-1.0, 1.0]


def test_with_everything_off_nothing_changes(images):
    torch.testing.assert_close(
        augment(images, generator(), **OFF), to_float(images), atol=1e-4, rtol=0
    )


def test_a_flip_mirrors_left_to_right(images):
    flipped = augment(images, generator(), **OFF | {"flip": 1})
    torch.testing.assert_close(flipped, to_float(images).flip(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "what", ["flip", "shift", "scale", "rotate", "contrast", "colour", "erase"]
)
def test_each_change_is_drawn_for_each_image(images, what):
    strength = 10.0 if what == "rotate" else 0.5 if what in ("flip", "erase") else 0.2
    out = augment(images, generator(), **OFF | {what: strength})
    distinct = torch.unique(out.flatten(1), dim=0)
    assert len(distinct) == 2 if what == "flip" else len(distinct) > 4
    assert not torch.equal(out, to_float(images))


def test_a_positive_shift_is_a_share_of_the_side(images):
    out = augment(images, generator(), **OFF | {"shift": 0.25})
    reference, moved = to_float(images), 0
    for before, after in zip(reference, out, strict=True):
        errors = {
            (dy, dx): (before.roll((dy, dx), (1, 2)) - after)[:, 9:-9, 9:-9].abs().mean().item()
            for dy in range(-9, 10)
            for dx in range(-9, 10)
        }
        best = min(errors, key=errors.get)
        assert max(map(abs, best)) <= 8  # a quarter of 32 pixels
        moved += best != (0, 0)
    assert moved >= 14


def test_erased_rectangles_are_grey_and_of_the_stated_size(images):
    out = augment(images, generator(), **OFF | {"erase": 1})
    for image in out:
        hidden = (image == 0).all(0)
        share = hidden.float().mean().item()
        assert 0.2**2 * 0.7 < share < 0.4**2 * 1.3


def test_the_same_generator_state_repeats_the_batch(images):
    assert torch.equal(augment(images, generator()), augment(images, generator()))


def test_images_that_are_scaled_already_are_refused(images):
    for change in (to_float, lambda floats: augment(floats, generator())):
        with pytest.raises(ValueError, match="expected uint8 images, .*, got torch.float32"):
            change(images / 255)
