"""InsightFace's training sets: ``.rec``, ``.idx`` and ``property``, read without mxnet."""

import hashlib
import io
import struct
from pathlib import Path

import numpy as np

from facelab.checks import expect_in, kinds
from facelab.faces import Faces
from facelab.field.listed import matched
from facelab.field.streamed import Streamed
from facelab.progress import Progress

MAGIC = 0xCED7230A
HEADER = struct.Struct("<IfQQ")  # flag, label, two ids
AT_ONCE = 100_000  # records whose heads are checked together
MOST_KEYS = 2**24  # up to which float32, in which key 0 tells their number, counts


@kinds
def load_rec(path: str | Path, image_size: int = 112, progress: bool = True) -> Faces:
    """Load a training set of InsightFace's, for example CASIA or MS1MV2, without pairs.

    `path` is a ``.rec`` with ``.idx`` and ``property`` beside it, or the folder of ``train.rec``.
    Every record's head is checked here; pictures are read from the file when a batch asks for
    them. A person's name is the number that the file gives; numbers without an image are left
    out. The fingerprint is of the records' places, lengths and labels. What is broken is a
    ValueError that names the file, the record and its byte.
    """
    rec = Path(path)
    if rec.is_dir():
        rec = rec / "train.rec"
    properties = rec.with_name("property")
    first = properties.read_text("utf-8-sig", "replace").split(",")[0].strip()
    is_count = first.isdecimal() and len(first) < 10 and 0 < int(first) <= MOST_KEYS
    expect_in(properties, is_count, "the number of people first", repr(first[:40]))
    records = Records(rec)
    keys, offsets = _images(records, *_index(rec.with_suffix(".idx")))
    labels, lengths = _heads(records, keys, offsets, int(first), progress)
    people, of_person = np.unique(labels, return_inverse=True)
    digest = hashlib.sha256(f"{image_size}".encode())
    for column in (offsets, lengths, labels):
        digest.update(column.tobytes())

    def picture(row):
        return io.BytesIO(records.read(keys[row], offsets[row])[-1])

    def place(row):
        return f"{rec}, key {keys[row]} at byte {offsets[row]}"

    return Faces(
        packed=Streamed(len(keys), picture, place, image_size),
        rows=np.arange(len(keys)),
        labels=of_person,
        names=tuple(map(str, people.tolist())),
        source=rec.absolute().parent.name,
        fingerprint=digest.hexdigest(),
        root=rec.absolute().parent.name,
    )


class Records:
    """The records of a ``.rec``, mapped into memory, not read into it."""

    def __init__(self, path: Path):
        self.path = path
        self.size = path.stat().st_size
        self.bytes = np.memmap(path, np.uint8, "r") if self.size else np.zeros(0, np.uint8)

    def refuse(self, key: int, offset: int, expected: str, got) -> None:
        """Raise the error of what is broken in the record of `key`."""
        raise ValueError(f"{self.path}, key {key} at byte {offset}: expected {expected}, got {got}")

    def read(self, key: int, offset: int) -> tuple[int, float, bytes]:
        """Return flag, label (the first, if there are several) and payload of a record."""
        start = int(offset)
        parts, last = [], False
        while not last:
            if not 0 <= start <= self.size - 8:
                self.refuse(key, start, "a record", f"the end of the file at {self.size}")
            magic, head = struct.unpack_from("<II", self.bytes, start)
            part, length = head >> 29, head & (2**29 - 1)
            if magic != MAGIC:
                self.refuse(key, start, f"the magic number {MAGIC:#x}", f"{magic:#x}")
            if part not in ((2, 3) if parts else (0, 1)):
                self.refuse(key, start, f"part {len(parts) + 1} of a record", f"flag {part}")
            end = start + 8 + -(-length // 4) * 4
            if end > self.size:
                self.refuse(key, start, f"{length} bytes of data", f"a file of {self.size} bytes")
            parts.append(self.bytes[start + 8 : start + 8 + length].tobytes())
            start, last = end, part in (0, 3)
        data = struct.pack("<I", MAGIC).join(parts)
        flag = int.from_bytes(data[:4], "little") if len(data) >= HEADER.size else 0
        n_head = HEADER.size + 4 * flag
        if len(data) < n_head:
            self.refuse(key, offset, f"a head of {n_head} bytes", f"{len(data)} bytes of data")
        (label,) = struct.unpack_from("<f", data, HEADER.size if flag else 4)
        return flag, label, data[n_head:]


def _index(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read keys and byte offsets, (n_records,) each, in the order of the keys."""
    lines = matched(path, r"(\d{1,18})\t(\d{1,18})", "KEY<tab>OFFSET")
    pairs = (tuple(map(int, line)) for line in lines)
    keys, offsets = np.fromiter(pairs, np.dtype((np.int64, 2))).T
    order = np.argsort(keys, kind="stable")
    keys, offsets = keys[order], offsets[order]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    got = f"key {keys[twice[0]]} twice" if len(twice) else f"{len(keys)} without key 0"
    expect_in(path, not len(twice) and keys[0] == 0, "each key once, from 0", got)
    return keys, offsets


def _images(records: Records, keys: np.ndarray, offsets: np.ndarray):
    """Return the keys and offsets that hold images, as the record of key 0 tells."""
    flag, end, _ = records.read(0, offsets[0])
    if flag == 0:
        return keys, offsets
    if not (2 <= end <= MOST_KEYS and end.is_integer()):
        records.refuse(0, offsets[0], f"the first key of a person, 2 to {MOST_KEYS}", end)
    wanted = np.arange(1, int(end))
    at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    absent = wanted[keys[at] != wanted]
    got = f"no key {', '.join(map(str, absent[:5]))}"
    expect_in(records.path.with_suffix(".idx"), not len(absent), f"{wanted[-1]} images", got)
    return wanted, offsets[at]


def _heads(records: Records, keys, offsets, n_people: int, progress: bool):
    """Check every record's head; return labels and lengths of data, int64 of (n_images,) each."""
    labels = np.empty(len(keys), np.float32)
    lengths = np.empty(len(keys), np.int64)
    chunks = range(0, len(keys), AT_ONCE)
    for start in Progress(chunks, records.path.name, disable=not progress or len(chunks) < 2):
        some = slice(start, start + AT_ONCE)
        at = offsets[some, None] + np.arange(36)  # magic, length, head and a first label
        words = records.bytes[at.clip(max=records.size - 1)].view("<u4")  # (n, 9)
        lengths[some] = length = words[:, 1].astype(np.int64)  # of a whole record, whose flag is 0
        flag = words[:, 2].astype(np.int64)
        label = words[:, [3, 8]].view("<f4")  # (n, 2)
        labels[some] = np.where(flag > 0, label[:, 1], label[:, 0])
        whole = (words[:, 0] == MAGIC) & (length > HEADER.size + 4 * flag) & (length < 2**29)
        whole &= offsets[some] + 8 + -(-length // 4) * 4 <= records.size
        for row in start + np.flatnonzero(~whole):  # in parts, which is rare, or broken
            _, labels[row], payload = records.read(keys[row], offsets[row])
            if not payload:
                records.refuse(keys[row], offsets[row], "a picture", "an empty payload")
            lengths[row] = len(payload)
    good = (labels >= 0) & (labels < n_people) & (labels == np.floor(labels))
    if not good.all():
        row = np.argmin(good)
        expected = f"a person from 0 to {n_people - 1}, as `property` says"
        records.refuse(keys[row], offsets[row], expected, labels[row])
    return labels.astype(np.int64), lengths
