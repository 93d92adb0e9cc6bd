"""A protocol as LFW's seven text files: written, and read strictly.

A slip in these files (a swapped column, a lost line) would quietly change every result, so each
error names the file, the line, what was expected and what was found.
"""

from itertools import chain, zip_longest
from pathlib import Path

from facelab.data.protocol import NamedPairs, Protocol, official

FILES = (
    "lfw-names.txt",
    "people.txt",
    "peopleDevTrain.txt",
    "peopleDevTest.txt",
    "pairs.txt",
    "pairsDevTrain.txt",
    "pairsDevTest.txt",
)


def texts(protocol: Protocol) -> dict[str, str]:
    """Return the content of the seven text files, by file name.

    All folds of `protocol` must be of one size, each with its same pairs first, then as many
    different ones: the files cannot say otherwise.
    """
    counts = protocol.counts
    n_folds = len(protocol.folds)
    n_pairs = len(protocol.pairs) // (2 * n_folds)
    people = chain.from_iterable(_people_lines(fold, counts) for fold in protocol.folds)
    train = _pair_lines(protocol.pairs_dev_train)
    test = _pair_lines(protocol.pairs_dev_test)
    lines = (
        _people_lines(counts, counts)[1:],
        [f"{n_folds}", *people],
        _people_lines(protocol.dev_train, counts),
        _people_lines(protocol.dev_test, counts),
        [f"{n_folds}\t{n_pairs}", *_pair_lines(protocol.pairs)],
        [f"{len(train) // 2}", *train],
        [f"{len(test) // 2}", *test],
    )
    return {file: "\n".join(some) + "\n" for file, some in zip(FILES, lines, strict=True)}


def _people_lines(people, counts) -> list[str]:
    return [f"{len(people)}", *(f"{name}\t{counts[name]}" for name in people)]


def _pair_lines(pairs: NamedPairs) -> list[str]:
    return [f"{a}\t{i}\t{j}" if a == b else f"{a}\t{i}\t{b}\t{j}" for a, i, b, j, _ in pairs]


def write(protocol: Protocol, folder: str | Path) -> None:
    """Write the seven text files into `folder`; for LFW, byte for byte the official ones."""
    for file, text in texts(protocol).items():
        (Path(folder) / file).write_bytes(text.encode())


def read(*folders: str | Path) -> Protocol:
    """Read a protocol from its text files, each taken from the first folder that has it.

    LFW's own lists ship with the package, so a copy of LFW may lack some of the files or all of
    them, and each that is there must be LFW's own, line for line: swapped columns may still parse.
    If all seven are there and none of them is LFW's, they are another data set's.

    Raises
    ------
    ValueError
        If a file is not LFW's own but others are or are missing, or if another data set's files
        break the format or contradict each other; the message names file and line.
    """
    paths = [Path(folder) / file for folder in reversed(folders) for file in FILES]
    found = {path.name: path for path in paths if path.is_file()}
    own = texts(official())
    differences = [_first_difference(found[file], own[file]) for file in FILES if file in found]
    if not any(differences):
        return official()
    if len(differences) == len(FILES) and all(differences):
        return _parse(found)
    first = next(filter(None, differences))
    missing = ", ".join(file for file in FILES if file not in found)
    others = f"; a data set of other people needs all seven lists, but there is no {missing}"
    raise ValueError(first + (others if missing else ""))


def _first_difference(path: Path, own_text: str) -> str:
    """Say where a file first differs from LFW's own; empty if nowhere."""
    own_lines = own_text.rstrip("\n").split("\n")
    for k, (got, own) in enumerate(zip_longest(_lines_of(path), own_lines)):
        if got != own:
            expected = "the end of the file" if own is None else repr(own)
            found = "the end of the file" if got is None else repr(got)
            return f"{path}, line {k + 1}: expected {expected}, as in LFW's own list, got {found}"
    return ""


def _lines_of(path: Path) -> list[str]:
    data = path.read_bytes()
    try:
        return data.decode().rstrip("\r\n").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: expected UTF-8, got byte 0x{data[e.start]:02x}"
        ) from None


def _parse(files: dict[str, Path]) -> Protocol:
    """Parse all seven files, by name, without looking at whose they are."""
    counts = {}
    names = _Reader(files["lfw-names.txt"])
    while names.n_read < len(names.lines):
        name, n = names.take("'NAME<tab>number of images'", str, int)
        names.require(name not in counts, "each person once")
        names.require(n > 0, "at least one image")
        names.require(name.strip(".") and not set(name) & set("/\\:\0"), "a name fit for a folder")
        counts[name] = n
    folds = _read_people(files["people.txt"], counts)
    train = _read_people(files["peopleDevTrain.txt"], counts)
    test = _read_people(files["peopleDevTest.txt"], counts)
    train_pairs = _read_pairs(files["pairsDevTrain.txt"], train)
    test_pairs = _read_pairs(files["pairsDevTest.txt"], test)
    pairs = _read_pairs(files["pairs.txt"], folds)
    people = [tuple(part) for part in (*train, *test, *folds)]
    return Protocol(counts, people[0], people[1], tuple(people[2:]), train_pairs, test_pairs, pairs)


class _Reader:
    """The lines of one text file, with errors that name file and line."""

    def __init__(self, path: Path):
        self.path = path
        self.lines = _lines_of(path)
        self.n_read = 0

    def take(self, expected: str, *kinds: type) -> list:
        """Take the next line's tab-separated fields, one of each kind (str or int)."""
        fields = self.lines[self.n_read].split("\t") if self.n_read < len(self.lines) else []
        self.n_read += 1
        is_number = [field.isascii() and field.isdigit() for field in fields]
        fits = is_number == [kind is int for kind in kinds] and "" not in fields
        self.require(fits, expected)
        return [kind(field) for kind, field in zip(kinds, fields, strict=True)]

    def require(self, fits: bool, expected: str) -> None:
        """Raise unless the line taken last is as it should be."""
        if not fits:
            k = self.n_read - 1
            got = repr(self.lines[k]) if k < len(self.lines) else "the end of the file"
            raise ValueError(f"{self.path}, line {k + 1}: expected {expected}, got {got}")

    def end(self) -> None:
        self.n_read += 1
        self.require(self.n_read > len(self.lines), "the end of the file")


def _read_people(path: Path, counts: dict[str, int]) -> list[dict[str, int]]:
    """Read the people of each fold with their numbers of images; View 1's files are one fold."""
    file, folds, seen = _Reader(path), [], set()
    n_folds = file.take("the number of folds", int)[0] if path.name == "people.txt" else 1
    file.require(n_folds > 0, "at least one fold")
    for _ in range(n_folds):
        (n_people,) = file.take("the number of people", int)
        folds.append({})
        for _ in range(n_people):
            name, n = file.take("'NAME<tab>number of images'", str, int)
            file.require(name in counts, "a person of lfw-names.txt")
            file.require(n == counts[name], f"{counts[name]} images, as in lfw-names.txt")
            file.require(name not in seen, "each person once")
            seen.add(name)
            folds[-1][name] = n
    file.end()
    return folds


def _read_pairs(path: Path, folds: list[dict[str, int]]) -> NamedPairs:
    file, pairs = _Reader(path), []
    people_file = path.name.replace("pairs", "people")
    if path.name == "pairs.txt":
        n_folds, n = file.take("'number of folds<tab>pairs of each kind'", int, int)
        file.require(n_folds == len(folds), f"{len(folds)} folds, as in people.txt")
    else:
        (n,) = file.take("the number of same pairs", int)
    for fold, n_images in enumerate(folds):
        for k in range(2 * n):
            if k < n:
                a, i, j = file.take("a same pair, 'NAME<tab>i<tab>j'", str, int, int)
                b = a
                file.require(i != j, "two different images")
            else:
                form = "a different pair, 'NAME1<tab>i<tab>NAME2<tab>j'"
                a, i, b, j = file.take(form, str, int, str, int)
                file.require(a != b, "two different people")
            fits = 0 < i <= n_images.get(a, 0) and 0 < j <= n_images.get(b, 0)
            file.require(fits, f"images of the people in fold {fold + 1} of {people_file}")
            pairs.append((a, i, b, j, fold))
    file.end()
    return NamedPairs.of(pairs)
