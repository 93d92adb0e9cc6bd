import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from facelab.data.decoding import MOST_PIXELS, decode, decode_all

TOP_RED = np.zeros((40, 40, 3), np.uint8)  # and its lower half blue; a white corner above, left
TOP_RED[:20] = 255, 0, 0
TOP_RED[20:] = 0, 0, 255
TOP_RED[:10, :10] = 255


def encoded(image, kind="png", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return io.BytesIO(out.getvalue())


def seen(pixels):
    """Say which colours the four corners have."""
    names = {(1, 0, 0): "red", (0, 0, 1): "blue", (1, 1, 1): "white"}
    corners = pixels[:, [2, 2, -2, -2], [2, -2, 2, -2]].T > 127
    return [names.get(tuple(corner.astype(int).tolist()), "?") for corner in corners]


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_however_the_camera_was_held(kind, orientation):
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposes that undo each
    image = Image.fromarray(TOP_RED)
    if orientation > 1:
        image = image.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(encoded(image, kind, exif=exif, quality=95), 40)
    assert seen(pixels) == ["white", "red", "blue", "blue"]


def test_a_crop_is_scaled_from_the_side_that_it_counts_in():
    scenes = [Image.fromarray(TOP_RED).resize(size) for size in ((250, 250), (500, 500))]
    scenes.append(Image.new("RGB", (700, 500)))
    scenes[-1].paste(scenes[1], (100, 0))
    small, large, wide = (decode(encoded(scene), 64, 128, 250).astype(int) for scene in scenes)
    assert np.array_equal(small, decode(encoded(scenes[0]), 64, 128))
    assert np.array_equal(large, wide) and np.abs(large - small).mean() < 2
    assert np.array_equal(large, decode(encoded(scenes[1]), 64, 256))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert seen(decode(encoded(TOP_RED, exif=exif), 40)) == ["white", "red", "blue", "blue"]


def test_sixteen_bits_of_grey_become_eight():
    deep = np.linspace(0, 65535, 40 * 40).astype(np.uint16).reshape(40, 40)
    pixels = decode(encoded(deep), 40).astype(int)
    assert np.abs(pixels - deep / 257).max() <= 0.5
    assert (pixels.min(), pixels.max()) == (0, 255)


def png(width, height, depth, colour, rows, clear=None):
    """Write a PNG chunk by chunk; `clear` is the colour that is transparent."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    header = chunk(b"IHDR", header) + (chunk(b"tRNS", clear) if clear else b"")
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_sixteen_bits_of_colour_become_eight():
    row = np.array([[60_000, 30_000, 100]] * 8, ">u2").tobytes()
    pixels = decode(io.BytesIO(png(8, 8, 16, 2, [row] * 8)), 8)
    assert np.abs(pixels[:, 4, 4].astype(int) - [233, 117, 0]).max() <= 1


def test_cmyk_and_palettes_and_grey_keep_their_colours():
    image = Image.fromarray(TOP_RED)
    for other in (
        encoded(image.convert("CMYK"), "jpeg", quality=95),
        encoded(image.quantize(8)),
        encoded(image, "webp", lossless=True),
    ):
        assert seen(decode(other, 40)) == ["white", "red", "blue", "blue"]
    for mode in ("L", "LA", "1"):
        red, green, blue = decode(encoded(image.convert(mode)), 40)
        assert np.array_equal(red, green) and np.array_equal(green, blue)
        assert red[2, 2] == 255
    assert decode(encoded(Image.new("1", (8, 8), 1)), 8).min() == 255


def test_what_is_transparent_is_white_whatever_colour_hides_there():
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[4:] = 0, 0, 200, 255
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 0, 0, 200])
    palette.paste(1, (0, 4, 8, 8))
    grey = Image.fromarray(np.repeat([[0], [150]], 4, axis=0).repeat(8, 1).astype(np.uint8))
    for picture in (
        encoded(clear),
        encoded(clear, "webp", lossless=True, exact=True),
        encoded(palette, transparency=0),
        encoded(grey, transparency=0),
    ):
        pixels = decode(picture, 8)
        assert pixels[:, 0].min() == 255
        assert pixels[2, -1].max() in (150, 200)


@pytest.mark.parametrize(("depth", "kind"), [(8, ">u1"), (16, ">u2")])
@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3)], ids=["grey", "RGB"])
def test_the_colour_that_a_png_calls_transparent_is_white_and_no_other(
    depth, kind, colour, channels
):
    row = np.repeat(np.array([0x10, 0x20]) << (depth - 8), 4).repeat(channels).astype(kind)
    clear = np.full(channels, 0x10 << (depth - 8), ">u2").tobytes()
    pixels = decode(io.BytesIO(png(8, 8, depth, colour, [row.tobytes()] * 8, clear)), 8)
    assert pixels[:, 4, 0].tolist() == [255] * 3 and pixels[:, 4, -1].tolist() == [0x20] * 3


def test_a_colour_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(
        decode(encoded(TOP_RED, icc_profile=profile), 40), decode(encoded(TOP_RED), 40)
    )


def test_the_second_picture_of_a_phone_is_no_animation():
    first, second = Image.fromarray(TOP_RED), Image.new("RGB", (20, 20))
    photo = encoded(first, "mpo", save_all=True, append_images=[second], quality=95)
    assert seen(decode(photo, 40)) == ["white", "red", "blue", "blue"]


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_an_animation_is_refused(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    moving = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="^expected one picture, got an animation of 3$"):
        decode(moving, 8)


@pytest.mark.parametrize("kind", ["gif", "tiff", "bmp", "eps", "ppm", "ico", "tga", "jpeg2000"])
def test_other_formats_than_photos_have_are_not_opened(kind):
    with pytest.raises(ValueError, match="^not an image that Pillow can read as JPEG, PNG or"):
        decode(encoded(Image.new("RGB", (16, 16)), kind), 8)


def test_svg_and_pages_are_no_photos():
    for text in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"GIF89a", b""):
        with pytest.raises(ValueError, match="^not an image that Pillow can read"):
            decode(io.BytesIO(text), 8)


@pytest.mark.parametrize("side", [8_001, 13_000, 2**31 - 1])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(side):
    with pytest.raises(ValueError, match="^expected at most 64,000,000 pixels, got"):
        decode(io.BytesIO(png(side, side, 8, 0, [b"\0"])), 8)
    assert side**2 > MOST_PIXELS


def test_a_png_of_which_a_bit_has_flipped_is_refused():
    whole = encoded(np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)).getvalue()
    for place in range(len(whole) - 12):  # to the mark of its end, which holds nothing
        spoilt = bytearray(whole)
        spoilt[place] ^= 4
        with pytest.raises(ValueError):
            decode(io.BytesIO(bytes(spoilt)), 8)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_picture_that_was_cut_off_is_refused(kind):
    whole = encoded(TOP_RED, kind).getvalue()
    for n in (1, 10, len(whole) // 2, len(whole) - 13):
        with pytest.raises(ValueError):
            decode(io.BytesIO(whole[:n]), 8)


@pytest.mark.skipif(os.name == "nt", reason="as POSIX has it")
def test_a_pipe_a_device_a_folder_and_a_file_without_end_are_no_pictures(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    with open(tmp_path / "large.jpg", "wb") as file:
        file.truncate(10**12)
    wrong = [
        decoded.wrong
        for decoded in decode_all(
            [str(tmp_path / name) for name in ("pipe.jpg", "folder.jpg", "zero.jpg", "large.jpg")],
            8,
            None,
            "",
            progress=False,
        )
    ]
    assert wrong[:3] == ["expected a file, got a folder, a pipe or a device"] * 3
    assert wrong[3] == "expected at most 100,000,000 bytes, got more"


def test_a_picture_is_decoded_alike_from_a_path_and_from_memory(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(TOP_RED, "jpeg").getvalue())
    first = decode(path, 8, 20)
    for source in (str(path), io.BytesIO(path.read_bytes())):
        assert np.array_equal(decode(source, 8, 20), first)
    (packed,) = decode_all([str(path)], 8, 20, "", progress=False)
    assert np.array_equal(packed.pixels, first)
    assert packed.size == (40, 40)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "^not an image that Pillow can read as JPEG, PNG or WebP$"),
        (None, "^unreadable: .*No such file"),
        ("small", "^expected at least 20 x 20 pixels, got 10 x 10$"),
    ],
)
def test_a_picture_that_cannot_be_decoded_says_why(tmp_path, content, message):
    path = tmp_path / "photo.png"
    if content == "small":
        Image.new("RGB", (10, 10)).save(path)
    elif content:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        decode(path, 8, 20)
