"""Read a protocol from LFW's seven text files, strictly.

A slip in these files (a swapped column, a lost line) would quietly change every result, so each
error names the file, the line, what was expected and what was found.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path

from facelab.data.protocol import FILES, NamedPairs, Protocol, official, texts

# SHA-256 of LFW's own seven files: whoever has them need not have them read line by line.
_OFFICIAL = {
    "lfw-names.txt": "403cd39411ee297f99f69241959bd8f0496b44377711913a76ccdd8562874164",
    "people.txt": "bc8fa2b7f25c895cf7efb6de4f4fc27ca8b8d1cfa63350ad8b96eae2b198d365",
    "peopleDevTrain.txt": "2e58df13ba4cc143189336e001cc2c195f1dfa5b29a6475c02857be353c2a2fa",
    "peopleDevTest.txt": "c3ed1f90499473401542101a56c14c1d82396bb8218c67a356d7460601047555",
    "pairs.txt": "ea42330c62c92989f9d7c03237ed5d591365e89b3e649747777b70e692dc1592",
    "pairsDevTrain.txt": "1d454dada7dfeca0e7eab6f65dc4e97a6312d44cf142207be28d688be92aabfa",
    "pairsDevTest.txt": "7cb06600ea8b2814ac26e946201cdb304296262aad67d046a16a7ec85d0ff87c",
}


class _Lines:
    """The lines of one text file, with errors that name file and line."""

    def __init__(self, path: Path):
        self.path = path
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError as e:
            line = e.object[: e.start].count(b"\n") + 1
            raise ValueError(
                f"{path}, line {line}: expected UTF-8, got byte 0x{e.object[e.start]:02x}"
            ) from None
        self.lines = text.rstrip("\r\n").replace("\r\n", "\n").split("\n")
        self.next = 0

    def error(self, expected: str, line: int) -> ValueError:
        got = repr(self.lines[line]) if line < len(self.lines) else "the end of the file"
        return ValueError(f"{self.path}, line {line + 1}: expected {expected}, got {got}")

    def take(self, kinds: tuple[type, ...], expected: str) -> list:
        """Take the next line's tab-separated fields, one of each kind (str or int)."""
        fields = self.lines[self.next].split("\t") if self.next < len(self.lines) else []
        self.next += 1
        digits = [f.isascii() and f.isdigit() for f in fields]
        if digits != [kind is int for kind in kinds] or "" in fields:
            raise self.error(expected, self.next - 1)
        return [kind(f) for kind, f in zip(kinds, fields, strict=True)]

    def require(self, fits: bool, expected: str) -> None:
        if not fits:
            raise self.error(expected, self.next - 1)

    def end(self) -> None:
        if self.next < len(self.lines):
            raise self.error(f"the end of the file after {self.next} lines", self.next)


def _read_names(path: Path) -> dict[str, int]:
    lines, counts = _Lines(path), {}
    while lines.next < len(lines.lines):
        name, n = lines.take((str, int), "'NAME<tab>number of images'")
        lines.require(name not in counts, "each person once")
        lines.require(n > 0, "at least one image")
        lines.require(name.strip(".") and not set(name) & set("/\\:\0"), "a name fit for a folder")
        counts[name] = n
    return counts


def _read_people(path: Path, counts: dict[str, int], folds: bool) -> tuple[tuple[str, ...], ...]:
    lines, parts, seen = _Lines(path), [], set()
    n_parts = lines.take((int,), "the number of folds")[0] if folds else 1
    lines.require(n_parts > 0, "at least one fold")
    for _ in range(n_parts):
        (n,) = lines.take((int,), "the number of people")
        parts.append([])
        for _ in range(n):
            name, count = lines.take((str, int), "'NAME<tab>number of images'")
            lines.require(name in counts, "a person of lfw-names.txt")
            lines.require(count == counts[name], f"{counts[name]} images, as in lfw-names.txt")
            lines.require(name not in seen, "each person once")
            seen.add(name)
            parts[-1].append(name)
    lines.end()
    return tuple(map(tuple, parts))


def _read_pairs(
    path: Path, counts: dict[str, int], parts: tuple[Collection[str], ...], folds: bool
) -> NamedPairs:
    lines, pairs = _Lines(path), []
    if folds:
        n_folds, n = lines.take((int, int), "'number of folds<tab>pairs of each kind'")
        lines.require(n_folds == len(parts), f"{len(parts)} folds, as in people.txt")
    else:
        (n,) = lines.take((int,), "the number of same pairs")

    for fold, people in enumerate(map(frozenset, parts)):
        for k in range(2 * n):
            if k < n:
                a, i, j = lines.take((str, int, int), "a same pair, 'NAME<tab>i<tab>j'")
                b = a
                lines.require(i != j, f"two different images of {a}")
            else:
                expected = "a different pair, 'NAME1<tab>i<tab>NAME2<tab>j'"
                a, i, b, j = lines.take((str, int, str, int), expected)
                lines.require(a != b, "two different people")
            for name, number in ((a, i), (b, j)):
                where = f"fold {fold + 1} of people.txt" if folds else f"people{path.name[5:]}"
                lines.require(name in people, f"a person of {where} instead of {name!r}")
                expected = f"an image number in 1..{counts[name]} for {name}"
                lines.require(1 <= number <= counts[name], expected)
            pairs.append((a, i, b, j, fold))
    lines.end()
    return NamedPairs.of(pairs)


def parse(files: dict[str, Path]) -> Protocol:
    """Parse all seven files, given by name, without looking at whose they are.

    Raises
    ------
    ValueError
        If a line breaks the format or contradicts another file; the message names file, line,
        what was expected and what was found.
    """
    counts = _read_names(files["lfw-names.txt"])
    folds = _read_people(files["people.txt"], counts, folds=True)
    train = _read_people(files["peopleDevTrain.txt"], counts, folds=False)
    test = _read_people(files["peopleDevTest.txt"], counts, folds=False)
    return Protocol(
        counts,
        *(train + test),
        folds,
        _read_pairs(files["pairsDevTrain.txt"], counts, train, folds=False),
        _read_pairs(files["pairsDevTest.txt"], counts, test, folds=False),
        _read_pairs(files["pairs.txt"], counts, folds, folds=True),
    )


def _is_lfw(found: dict[str, Path]) -> bool:
    """Whether most of the names in the files are LFW's, so that a slip in one is still noticed."""
    fields = [f for p in found.values() for f in p.read_bytes().decode(errors="replace").split()]
    names = {f for f in fields if not f.isdigit()}
    return 2 * len(names & set(official().counts)) >= len(names)


def _compare(path: Path, text: str) -> None:
    """Require LFW's own list, line for line: swapped columns may still parse."""
    lines, official_lines = _Lines(path), text.rstrip("\n").split("\n")
    for k, expected in enumerate(official_lines):
        if k >= len(lines.lines) or lines.lines[k] != expected:
            raise lines.error(f"{expected!r}, as in LFW's own list", k)
    lines.next = len(official_lines)
    lines.end()


def read(*folders: str | Path) -> Protocol:
    """Read a protocol from its text files, each taken from the first folder that has it.

    Copies of LFW lack some of the files or all of them, so for LFW's own people the shipped facts
    are the protocol, and each file that is there must agree with them line for line. A data set of
    other people must come with all seven files.

    Raises
    ------
    ValueError
        If a file is missing or breaks the format or its agreement with the others; the message
        names file, line, what was expected and what was found.
    """
    paths = [Path(folder) / file for folder in reversed(folders) for file in FILES]
    found = {path.name: path for path in paths if path.is_file()}
    if all(hashlib.sha256(p.read_bytes()).hexdigest() == _OFFICIAL[f] for f, p in found.items()):
        return official()
    if _is_lfw(found):
        for file, text in texts(official()).items():
            if file in found:
                _compare(found[file], text)
        return official()
    if missing := [file for file in FILES if file not in found]:
        raise ValueError(
            f"{folders[0]}: expected all of {', '.join(FILES)} for people who are "
            f"not LFW's, but there is no {', '.join(missing)}"
        )
    return parse(found)
