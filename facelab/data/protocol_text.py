"""A protocol as LFW's seven text files: written, and read strictly.

A slip in these files would quietly change every result, so each error names the file, the line,
what was expected and what was found.
"""

import re
import unicodedata
from itertools import zip_longest
from pathlib import Path

from facelab.data.protocol import NamedPairs, Protocol, official

PEOPLE = ("people.txt", "peopleDevTrain.txt", "peopleDevTest.txt")
PAIRS = ("pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt")
FILES = ("lfw-names.txt", *PEOPLE, *PAIRS)
END = "the end of the file"
MOST_SHOWN = 200  # characters of a line that is wrong
PATTERNS = {int: "([0-9]{1,9})", str: "([^\t]+)"}  # of fields; a name may be of digits


def texts(protocol: Protocol) -> dict[str, str]:
    """Return the content of the seven text files, by file name.

    All folds must have as many pairs, same ones first, then as many different ones.
    """
    counts = protocol.counts
    n_folds = len(protocol.folds)
    lines = {"lfw-names.txt": [f"{name}\t{n}" for name, n in counts.items()]}
    parts = (protocol.folds, [protocol.dev_train], [protocol.dev_test])
    for file, folds in zip(PEOPLE, parts, strict=True):
        lines[file] = [f"{n_folds}"] if file == "people.txt" else []
        for people in folds:
            lines[file].append(f"{len(people)}")
            lines[file] += [f"{name}\t{counts[name]}" for name in people]
    all_pairs = (protocol.pairs, protocol.pairs_dev_train, protocol.pairs_dev_test)
    for file, pairs in zip(PAIRS, all_pairs, strict=True):
        n = len(pairs) // 2
        lines[file] = [f"{n_folds}\t{n // n_folds}" if file == "pairs.txt" else f"{n}"]
        for a, i, b, j, _ in pairs:
            lines[file].append(f"{a}\t{i}\t{j}" if a == b else f"{a}\t{i}\t{b}\t{j}")
    return {file: "\n".join(some) + "\n" for file, some in lines.items()}


def write(protocol: Protocol, folder: str | Path) -> None:
    """Write the seven text files into `folder`; for LFW, byte for byte the official ones."""
    for file, text in texts(protocol).items():
        (Path(folder) / file).write_bytes(text.encode())


def read(*folders: str | Path) -> Protocol:
    """Read a protocol from its text files, each taken from the first folder that has it.

    A copy may lack some or all of LFW's own lists, and each that is there must be LFW's own, line
    for line. If all seven differ, they are another data set's. A wrong file is a ValueError.
    """
    paths = [Path(folder) / file for folder in reversed(folders) for file in FILES]
    found = {path.name: path for path in paths if path.is_file()}
    own = texts(official())
    wrong = []
    for file in FILES:
        if file in found:
            wrong += _first_difference(found[file], own[file])
    if not wrong:
        return official()
    if len(wrong) == len(FILES):
        return _parse(found)
    missing = ", ".join(file for file in FILES if file not in found)
    hint = f"; a data set of other people needs all seven lists, but there is no {missing}"
    raise ValueError(wrong[0] + (hint if missing else ""))


def _first_difference(path: Path, own_text: str) -> list[str]:
    lines = zip_longest(own_text.rstrip("\n").split("\n"), _lines_of(path))
    for number, (own, got) in enumerate(lines, 1):
        if own != got:
            own, got = map(_shown, (own, got))
            return [f"{path}, line {number}: expected {own}, as in LFW's own list, got {got}"]
    return []


def _lines_of(path: Path) -> list[str]:
    text = path.read_text("utf-8-sig", "replace")  # without the mark that Windows puts first
    return unicodedata.normalize("NFC", text).rstrip("\n").split("\n")


def _shown(line: str | None) -> str:
    return END if line is None else repr(line[:MOST_SHOWN])


class _Reader:
    """The lines of one text file, with errors that name file and line."""

    def __init__(self, path: Path):
        self.path = path
        self.lines = [*_lines_of(path), None]
        self.n_read = 0

    def take(self, *kinds: type) -> list:
        """Take the next line's tab-separated fields, one of each kind; without any, the end."""
        line = self.lines[self.n_read]
        self.n_read += 1
        form = "<tab>".join("NUMBER" if kind is int else "NAME" for kind in kinds) or END
        found = re.fullmatch("\t".join(PATTERNS[kind] for kind in kinds), line or "")
        self.require(found and (line is None) == (not kinds), form)
        return [kind(field) for kind, field in zip(kinds, found.groups(), strict=True)]

    def require(self, fits, expected: str) -> None:
        """Raise unless the line taken last is as it should be."""
        if not fits:
            got = _shown(self.lines[self.n_read - 1])
            raise ValueError(f"{self.path}, line {self.n_read}: expected {expected}, got {got}")


def _parse(files: dict[str, Path]) -> Protocol:
    """Parse all seven files, by name, without looking at whose they are."""
    names = _Reader(files["lfw-names.txt"])
    counts = {}
    while names.lines[names.n_read] is not None:
        name, n = names.take(str, int)
        names.require(name not in counts and n > 0, "each person once, with an image or more")
        names.require(name.strip(".") and not set(name) & set("/\\:\0"), "a name fit for a folder")
        counts[name] = n
    parts = [_read_people(files[file], counts) for file in PEOPLE]
    pairs = [_read_pairs(files[file], part) for file, part in zip(PAIRS, parts, strict=True)]
    folds, train, test = (tuple(map(tuple, part)) for part in parts)
    return Protocol(counts, *train, *test, folds, pairs[1], pairs[2], pairs[0])


def _read_people(path: Path, counts: dict[str, int]) -> list[dict[str, int]]:
    """Read the people of each fold with their images; View 1's files are one fold."""
    file = _Reader(path)
    folds = []
    n_folds = file.take(int)[0] if path.name == "people.txt" else 1
    for _ in range(n_folds):
        people = {}
        for _ in range(*file.take(int)):
            name, n = file.take(str, int)
            file.require(counts.get(name) == n, "a person and its images as in lfw-names.txt")
            file.require(name not in people, "each person once")
            people[name] = n
        folds.append(people)
    file.take()
    return folds


def _read_pairs(path: Path, folds: list[dict[str, int]]) -> NamedPairs:
    file = _Reader(path)
    pairs = []
    *n_folds, n = file.take(int, int) if path.name == "pairs.txt" else file.take(int)
    file.require(n_folds in ([], [len(folds)]), f"{len(folds)} folds, as in people.txt")
    for fold, n_images in enumerate(folds):
        for k in range(2 * n):
            is_same = k < n  # same pairs first
            kinds = (str, int, int) if is_same else (str, int, str, int)
            a, i, *other, j = file.take(*kinds)
            b = a if is_same else other[0]
            fits = 0 < i <= n_images.get(a, 0) and 0 < j <= n_images.get(b, 0)
            file.require(fits, f"images of the people in fold {fold + 1}")
            file.require((a, i) != (b, j) and (a == b) == is_same, "two different images or people")
            pairs.append((a, i, b, j, fold))
    file.take()
    return NamedPairs.of(pairs)
