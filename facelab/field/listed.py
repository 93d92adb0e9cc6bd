"""Sets in lists and folders of their own: CALFW, CPLFW, CFP, AgeDB, MegaFace, Trillion-Pairs."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facelab.checks import expect, expect_in, kinds
from facelab.faces import Faces
from facelab.field.streamed import files_as_faces, paired, tenths


def matched(path: Path, pattern: str, form: str, skip: int = 0) -> Iterator[tuple[str, ...]]:
    """Yield the groups of `pattern` in each line of a list; `form` says in words what it expects.

    Empty lines and the first `skip` ones are passed over. A line of another form, and a list
    without any, are a ValueError that names the file and the line.
    """
    n = 0
    with open(path, encoding="utf-8-sig", errors="replace") as file:  # of millions of lines, maybe
        for number, line in enumerate(map(str.strip, file), 1):
            if number <= skip or not line:
                continue
            found = re.fullmatch(pattern, line)
            if not found or "\0" in line or len(line.splitlines()) > 1:  # by U+2028, say
                raise ValueError(f"{path}, line {number}: expected {form}, got {line[:80]!r}")
            n += 1
            yield found.groups()
    expect_in(path, n, f"lines {form}", "none")


@kinds
def load_pair_list(
    path: str | Path, images: str | Path, image_size: int = 112, crop: int | None = None
) -> Faces:
    """Load CALFW or CPLFW: ``pairs_CALFW.txt`` or ``pairs_CPLFW.txt``, and the folder of images.

    Two lines make a pair, each ``NAME_NUMBER.jpg LABEL``; 0 is a different pair, any other number a
    same one. A fold is a tenth of both kinds. Pictures are decoded when a batch asks for them.
    """
    path, folder = Path(path), Path(images)
    lines = list(matched(path, r"((.+)_(\d{1,18})\.\w+)\s+(\d{1,18})", "NAME_NUMBER.jpg LABEL"))
    expect_in(path, len(lines) % 2 == 0, "two lines for each pair", f"{len(lines)} lines")
    same, again = np.array([label != "0" for *_, label in lines]).reshape(-1, 2).T
    k = np.argmax(same != again) + 1
    expect_in(f"{path}, pair {k}", (same == again).all(), "0 twice or not at all", "it once")
    files = sorted({(file, person, int(number)) for file, person, number, _ in lines})
    row = {file: k for k, (file, _, _) in enumerate(files)}
    ends = np.array([row[file] for file, *_ in lines]).reshape(-1, 2)
    name = path.stem.removeprefix("pairs_")
    names, people, numbers = zip(*files, strict=True)
    places = [folder / file for file in names]
    faces = files_as_faces(places, people, numbers, name, image_size, crop)
    return paired(faces, *ends.T, same, tenths(same), name)


@kinds
def load_cfp(
    root: str | Path, kind: str = "FP", image_size: int = 112, crop: int | None = None
) -> Faces:
    """Load Celebrities in Frontal-Profile (Sengupta et al., WACV 2016), with pairs in ten folds.

    `root` holds ``Data`` and ``Protocol``; `kind` is ``"FP"``, a frontal and a profile image, or
    ``"FF"``, two frontal ones. Profile images are numbered on from 101.
    """
    expect(kind in ("FP", "FF"), "kind FP or FF", repr(kind))
    protocol = Path(root) / "Protocol"
    images, rows = [], {}
    for view, pose, first in (("F", "frontal", 0), ("P", "profile", 100)):
        pattern = rf"(\d{{1,18}})\s+(.*?(\w+)/{pose}/(\d{{1,18}})\.\w+)"
        form = f"NUMBER .../PERSON/{pose}/NUMBER.jpg"
        path = protocol / f"Pair_list_{view}.txt"
        for key, file, person, number in matched(path, pattern, form):
            expect_in(path, (view, int(key)) not in rows, "each number once", f"{key} twice")
            rows[view, int(key)] = len(images)
            images.append((protocol / file, person, first + int(number)))
    pairs = []  # left, right, same, fold
    for fold in range(10):
        folder = protocol / "Split" / kind / f"{fold + 1:02d}"
        for same in (True, False):
            path = folder / ("same.txt" if same else "diff.txt")
            for a, b in matched(path, r"(\d{1,18})\s*,\s*(\d{1,18})", "NUMBER,NUMBER"):
                left, right = (kind[0], int(a)), (kind[1], int(b))
                is_listed = {left, right} <= rows.keys()
                expect_in(path, is_listed, "numbers of Pair_list_*.txt", f"{a},{b}")
                pairs.append((rows[left], rows[right], same, fold))
    name = f"CFP-{kind}"
    faces = files_as_faces(*zip(*images, strict=True), name, image_size, crop)
    return paired(faces, *map(np.array, zip(*pairs, strict=True)), name)


@kinds
def load_agedb(root: str | Path, image_size: int = 112, crop: int | None = None) -> Faces:
    """Load AgeDB (Moschoglou et al., CVPR Workshops 2017), ``NUMBER_NAME_AGE_SEX.jpg``, unpaired.

    The pairs of AgeDB-30 are in ``agedb_30.bin``: see `load_bin`. An image's number is the file's.
    """
    root = Path(root)
    files = sorted(file for file in root.glob("*") if not file.name.startswith("."))
    found = [re.fullmatch(r"(\d{1,18})_(.+)_\d{1,18}_[fm]\.\w+", file.name) for file in files]
    wrong = [file.name for file, fits in zip(files, found, strict=True) if not fits]
    got = f"{len(wrong)} others: {', '.join(wrong[:5])}" if wrong else "none"
    expect_in(root, files and not wrong, "files NUMBER_NAME_AGE_SEX.jpg", got)
    numbers, people = zip(*(fits.groups() for fits in found), strict=True)
    return files_as_faces(files, people, list(map(int, numbers)), "AgeDB", image_size, crop)


@kinds
def load_image_list(
    path: str | Path,
    images: str | Path,
    distractors: bool = False,
    noise: str | Path | None = None,
    image_size: int = 112,
    crop: int | None = None,
) -> Faces:
    """Load probes or distractors of MegaFace or Trillion-Pairs, for `with_distractors`.

    `path` lists ``PERSON/.../FILE`` in the folder `images`, as ``facescrub_lst`` does those of
    ``facescrub_images`` in InsightFace's copy. Each of `distractors` is a person of its own. The
    file names in `noise`, as in ``facescrub_noises.txt``, are of wrong images: they are left out,
    and the faces' `source` says how many (Kemelmacher-Shlizerman et al., CVPR 2016).
    """
    path = Path(path)
    files = [file for (file,) in matched(path, r"(.+/.+)", "PERSON/.../FILE")]
    wrong = {name for (name,) in matched(Path(noise), "(.+)", "FILE")} if noise else set()
    wrong = {name.split("/")[-1] for name in wrong if not name.startswith("#")}
    kept = [file for file in files if file.split("/")[-1] not in wrong]
    people = kept if distractors else [file.split("/")[0] for file in kept]
    source = f"{path.name} without {len(files) - len(kept)} wrong images" if noise else path.name
    places = [Path(images) / file for file in kept]
    return files_as_faces(places, people, None, source, image_size, crop)
