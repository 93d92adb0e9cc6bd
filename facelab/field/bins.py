"""InsightFace's verification sets: a ``.bin`` is a pickle, and no pickle may run anything."""

import hashlib
import io
import pickle
import pickletools
import re
from pathlib import Path

import numpy as np

from facelab.checks import expect, expect_in, kinds, one_line
from facelab.faces import Faces, Pairs
from facelab.field.streamed import Streamed, tenths

MOST_BYTES = 4 * 2**30  # of a file
ADMITTED = "lists, tuples, bytes, bools and NumPy arrays alone"
# dtypes of plain numbers
NUMBERS = re.compile(r"b1|[ui][1248]|f[248]")
# Opcodes: of constants, lists, tuples and the memo, and what calls `find_class` and its results;
# no dicts, no instances, no extensions, no persistent objects.
OPCODES = re.compile(
    r"PROTO|FRAME|STOP|MARK|POP|POP_MARK|NONE|NEWTRUE|NEWFALSE|(BIN)?INT[12]?|LONG[14]?"
    r"|(SHORT_)?BIN(BYTES|STRING|UNICODE)8?|BYTEARRAY8|UNICODE|(EMPTY_)?LIST|APPENDS?"
    r"|(EMPTY_)?TUPLE[123]?|(LONG_)?(BIN)?(GET|PUT)|MEMOIZE|(STACK_)?GLOBAL|REDUCE|BUILD"
)


@kinds
def load_bin(path: str | Path, image_size: int = 112) -> Faces:
    """Load a verification set of InsightFace's, for example ``agedb_30.bin``, with its pairs.

    Pair k is made of the images 2k and 2k + 1, which are decoded when a batch asks for them. The
    file names nobody: the two of a same pair are one person, all others different ones, so that
    intervals take the pairs as independent. A fold is a tenth of both kinds of pairs.

    The file is a pickle, read by an unpickler that admits lists, tuples, bytes, bools and NumPy
    arrays of numbers alone; all else, or more than 4 GiB, is a ValueError, and none of it is run.
    """
    path = Path(path)
    images, same = _checked(path, _unpickle(path))
    n = len(same)
    left = 2 * np.arange(n)
    person = np.arange(2 * n).reshape(n, 2)
    person[same, 1] = person[same, 0]
    people, labels = np.unique(person, return_inverse=True)
    digest = hashlib.sha256(f"{image_size}".encode())
    for image in images:
        digest.update(image)
    picture, place = lambda row: io.BytesIO(images[row]), lambda row: f"{path}, image {row}"
    return Faces(
        packed=Streamed(2 * n, picture, place, image_size),
        rows=np.arange(2 * n),
        labels=labels.reshape(-1),
        names=tuple(f"pair{k // 2}{'ab'[k % 2]}" for k in people.tolist()),
        numbers=np.tile([1, 2], n),
        source=path.stem,
        pairs=Pairs(left, left + 1, same, tenths(same), name=path.stem, role="test"),
        fingerprint=digest.hexdigest(),
        root=path.name,
    )


def _checked(path: Path, content) -> tuple[list, np.ndarray]:
    """Return the encoded images and, bool, which pairs are same."""
    are_two = isinstance(content, list | tuple) and len(content) == 2
    expect_in(path, are_two, "images and whether same", _what(content))
    images, same = (part.content if isinstance(part, _Array) else part for part in content)
    are_lists = isinstance(images, list | tuple) and isinstance(same, list | tuple | np.ndarray)
    is_fit = are_lists and len(same) and len(images) == 2 * len(same)
    expect_in(path, is_fit, "two images for each pair", f"{_what(images)} and {_what(same)}")
    images = [image.content if isinstance(image, _Array) else image for image in images]
    for k, image in enumerate(images):
        is_array = isinstance(image, np.ndarray) and image.dtype == np.uint8
        is_encoded = (isinstance(image, bytes | bytearray) or is_array) and len(image)
        expect_in(f"{path}, image {k}", is_encoded, "encoded bytes", _what(image))
    for k, value in enumerate(same):
        is_truth = isinstance(value, bool | np.bool | int | np.integer) and value in (0, 1)
        expect_in(f"{path}, pair {k}", is_truth, "True or False", _what(value))
    return images, np.array(same, bool)


def _what(value) -> str:
    n = f" of length {len(value)}" if hasattr(value, "__len__") else ""
    return f"{type(value).__name__}{n}"


def _unpickle(path: Path):
    """Read a pickle without calling anything but this module; NumPy trusts what it unpickles."""
    size = path.stat().st_size
    expect_in(path, size <= MOST_BYTES, f"at most {MOST_BYTES:,} bytes", f"{size:,}")
    data = path.read_bytes()
    try:
        for k, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            expect(OPCODES.fullmatch(opcode.name), ADMITTED, opcode.name)
            if "PUT" in opcode.name and int(argument) > k:  # memory for as many objects is taken
                raise ValueError(f"expected object {k} at most, got {argument}")
        return _Unpickler(data).load()
    except Exception as e:  # whatever a broken pickle makes the parser raise
        raise ValueError(f"{path}: expected a pickle of images and pairs, got {one_line(e)}") from e


class _Unpickler(pickle.Unpickler):
    """Has functions of this module in the place of the few names that such a file may hold."""

    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data), encoding="bytes")  # for what Python 2 wrote
        self.left = len(data)  # bytes that may be made: a file holds no more than it has

    def find_class(self, module, name):
        """Return what stands for ``module.name``; nothing is imported."""

        def encode(text, _):  # how Python 3 writes bytes for Python 2
            self.left -= len(text)
            expect(self.left >= 0, "no more bytes than the file has", "more")
            return text.encode("latin-1")

        known = {
            "_codecs.encode": encode,
            "builtins.bytes": lambda: b"",
            "numpy.dtype": _Numbers,
            "numpy.ndarray": None,  # only handed on to _reconstruct
            "numpy.core.multiarray._reconstruct": lambda *_: _Array(),
            "numpy.core.multiarray.scalar": lambda kind, raw: kind.read(raw, (1,))[0],
            "numpy.core.numeric._frombuffer": lambda raw, kind, shape, *_: _Array(raw, kind, shape),
        }
        full = f"{module}.{name}".replace("numpy._core.", "numpy.core.")
        full = full.replace("__builtin__.", "builtins.")
        expect(full in known, ADMITTED, repr(full))
        return known[full]


class _Numbers:
    """Stands for a NumPy dtype."""

    def __init__(self, code, *_):
        self.code = code.decode("latin-1") if isinstance(code, bytes) else code
        expect(NUMBERS.fullmatch(self.code), "an array of numbers", f"one of dtype {code!r}")

    def __setstate__(self, state):
        is_plain = state[1] in ("|", "<", b"|", b"<") and not any(state[2:5])
        expect(is_plain, "a plain little-endian dtype", "another")

    def read(self, raw: bytes, shape: tuple) -> np.ndarray:
        """Read the numbers in `raw`, not a copy of them."""
        values = np.frombuffer(raw, self.code)
        # the other shape is not told: tuples in tuples may be endless in words
        expect(shape == values.shape, f"a row of {len(values)} numbers", "another shape")
        return values


class _Array:
    """Stands for a NumPy array, in `content`."""

    def __init__(self, raw=b"", kind=None, shape=(0,)):
        self.content = (kind or _Numbers("u1")).read(raw, shape)

    def __setstate__(self, state):
        _, shape, kind, _, raw = state
        self.content = kind.read(raw, shape)
