import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelab.data.protocol import NamedPairs, Protocol, official
from facelab.data.protocol_text import FILES, read, texts, write

names = st.text(string.ascii_letters + "_-éß", min_size=1, max_size=8)


@st.composite
def protocols(draw):
    """Any protocol that the files can say: people, parts, folds and as many pairs as fit."""
    people = draw(st.lists(names, min_size=4, max_size=12, unique=True))
    counts = {name: draw(st.integers(1, 4)) for name in people}
    cut = draw(st.integers(2, len(people) - 2))

    def pairs(part, n, fold=0):
        many = [name for name in part if counts[name] > 1]
        same = [(name, 1, name, counts[name], fold) for name in many]
        different = [(part[0], 1, other, counts[other], fold) for other in part[1:]]
        return [*same[:n], *different[:n]]

    def room(part):
        return min(sum(counts[name] > 1 for name in part), len(part) - 1)

    parts = tuple(people[:cut]), tuple(people[cut:])
    n = min(map(room, parts))
    dev = [NamedPairs.of(pairs(part, room(part))) for part in parts]
    folded = NamedPairs.of(p for k, part in enumerate(parts) for p in pairs(part, n, k))
    return Protocol(counts, *parts, parts, *dev, folded)


def written(protocol, folder):
    write(protocol, folder)
    return {file: folder / file for file in FILES}


@given(protocols())
def test_parsing_gives_back_what_was_written(tmp_path, protocol):
    written(protocol, tmp_path)
    assert texts(read(tmp_path)) == texts(protocol)


def drop_a_field(fields):
    return fields[:-1]


def add_a_field(fields):
    return [*fields, "1"]


def swap_the_first_two_columns(fields):
    return [fields[1], fields[0], *fields[2:]]


def swap_the_middle_columns(fields):
    return [fields[0], *fields[2:0:-1], *fields[3:]] if len(fields) == 4 else fields[::-1]


def name_a_stranger(fields):
    return ["Nobody_Here", *fields[1:]]


def count_from_zero(fields):
    return [*fields[:-1], "0"]


def count_too_far(fields):
    return [*fields[:-1], "99"]


def write_a_word_for_a_number(fields):
    return [*fields[:-1], "one"]


MUTATIONS = [
    drop_a_field,
    add_a_field,
    swap_the_first_two_columns,
    swap_the_middle_columns,
    name_a_stranger,
    count_from_zero,
    count_too_far,
    write_a_word_for_a_number,
]


@given(mutate=st.sampled_from(MUTATIONS), protocol=protocols(), data=st.data())
def test_a_spoilt_line_is_named_with_its_file(tmp_path, mutate, protocol, data):
    files = written(protocol, tmp_path)
    file = data.draw(st.sampled_from(FILES[1:]))  # lfw-names.txt is what the others are held to
    lines = files[file].read_text("utf-8").split("\n")[:-1]
    spoilt = [k for k, line in enumerate(lines) if "\t" in line and not line[0].isdigit()]
    if not spoilt:
        return
    k = data.draw(st.sampled_from(spoilt))
    lines[k] = "\t".join(mutate(lines[k].split("\t")))
    files[file].write_text("\n".join(lines) + "\n", "utf-8")
    with pytest.raises(ValueError) as error:
        read(tmp_path)
    message = str(error.value)
    assert message.startswith(f"{files[file]}, line {k + 1}: expected ")
    assert message.endswith(f", got {lines[k]!r}")


@given(protocol=protocols(), data=st.data())
def test_a_line_more_or_less_is_noticed_in_its_file(tmp_path, protocol, data):
    files = written(protocol, tmp_path)
    file = data.draw(st.sampled_from(FILES[1:]))
    lines = files[file].read_text("utf-8").split("\n")[:-1]
    k = data.draw(st.integers(0, len(lines) - 1))
    lines[k : k + 1] = data.draw(st.sampled_from([[], [lines[k]] * 2]))
    files[file].write_text("\n".join(lines) + "\n", "utf-8")
    with pytest.raises(ValueError, match=rf"{file}, line \d+: expected .*, got "):
        read(tmp_path)


@pytest.mark.parametrize(
    ("file", "line", "text", "message"),
    [
        ("pairs.txt", 2, "Person_Ab\t2\t2", "two different images or people"),
        ("pairs.txt", 8, "Person_Ab\t1\tPerson_Ab\t2", "two different images or people"),
        ("pairs.txt", 2, "Person_Ba\t1\t2", "images of the people in fold 1"),
        ("pairsDevTest.txt", 2, "Person_Ab\t1\t2", "images of the people in fold 1"),
        ("pairs.txt", 1, "3\t6", "2 folds, as in people.txt"),
        ("people.txt", 3, "Person_Aa\t9", "a person and its images as in lfw-names.txt"),
        ("people.txt", 4, "Person_Aa\t1", "each person once"),
        ("lfw-names.txt", 2, "../up\t2", "a name fit for a folder"),
        ("lfw-names.txt", 2, "Person_Aa\t1", "each person once"),
        ("lfw-names.txt", 2, "Person_Ab\t0", "each person once, with an image or more"),
    ],
)
def test_a_contradiction_is_explained(tmp_path, small_protocol, file, line, text, message):
    files = written(small_protocol, tmp_path)
    lines = files[file].read_text().split("\n")
    lines[line - 1] = text
    files[file].write_text("\n".join(lines))
    with pytest.raises(ValueError) as error:
        read(tmp_path)
    assert str(error.value).startswith(f"{files[file]}, line {line}: expected {message}")


def test_a_line_without_end_is_shown_in_part(tmp_path, small_protocol):
    for end in ("x" * 10**6, "9" * 10**6):
        files = written(small_protocol, tmp_path)
        with files["pairs.txt"].open("a") as file:
            file.write(f"Person_Ab\t1\t{end}")
        with pytest.raises(ValueError, match=r"pairs\.txt, line \d+: expected the end") as error:
            read(tmp_path)
        assert len(str(error.value)) < 500


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path, small_protocol):
    files = written(small_protocol, tmp_path)
    files["people.txt"].write_bytes(b"2\n20\nPerson_\xe9\t1\n")
    with pytest.raises(
        ValueError, match=r"people\.txt, line 3: expected a person .* got 'Person_.\\t1'"
    ):
        read(tmp_path)


def test_other_line_ends_are_accepted(tmp_path, small_protocol):
    for path in written(small_protocol, tmp_path).values():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").rstrip())
    assert texts(read(tmp_path)) == texts(small_protocol)


def test_a_folder_without_lists_has_the_official_ones(tmp_path):
    assert read(tmp_path) is official()


def test_some_of_the_official_files_are_enough(tmp_path):
    files = written(official(), tmp_path)
    for file in FILES[:4]:
        files[file].unlink()
    assert read(tmp_path) is official()


def test_files_are_taken_from_the_first_folder_that_has_them(tmp_path, small_protocol):
    near, far = tmp_path / "near", tmp_path / "far"
    near.mkdir()
    far.mkdir()
    files = written(small_protocol, far)
    files["pairs.txt"].rename(near / "pairs.txt")
    files["pairs.txt"].write_text("not looked at")
    assert texts(read(near, far)) == texts(small_protocol)


NEED = r"needs all seven lists, but there is no peopleDevTest\.txt$"


def test_other_people_need_all_seven_files(tmp_path, small_protocol):
    files = written(small_protocol, tmp_path)
    files["peopleDevTest.txt"].unlink()
    with pytest.raises(ValueError, match=rf"names.txt, line 1: .* LFW's own list, got .* {NEED}"):
        read(tmp_path)


@given(data=st.data())
def test_any_change_of_an_official_line_is_named(tmp_path, data):
    files = written(official(), tmp_path)
    file = data.draw(st.sampled_from(FILES))
    lines = files[file].read_text().split("\n")[:-1]
    k = data.draw(st.integers(0, len(lines) - 1))
    was = lines[k]
    lines[k] = was + "1" if "\t" not in was else "\t".join(reversed(was.split("\t")))
    files[file].write_text("\n".join(lines) + "\n")
    if lines[k] == was:
        return
    with pytest.raises(ValueError) as error:
        read(tmp_path)
    expected = (
        f"{files[file]}, line {k + 1}: expected {was!r}, as in LFW's own list, got {lines[k]!r}"
    )
    assert str(error.value) == expected


def test_a_swap_that_still_parses_is_noticed_in_official_files(tmp_path):
    files = written(official(), tmp_path)
    text = files["pairs.txt"].read_text()
    assert "\nAbel_Pacheco\t1\t4\n" in text
    files["pairs.txt"].write_text(text.replace("\nAbel_Pacheco\t1\t4\n", "\nAbel_Pacheco\t4\t1\n"))
    with pytest.raises(ValueError, match=r"line 2: expected 'Abel_Pacheco\\t1\\t4', as in LFW's"):
        read(tmp_path)


def test_other_pairs_than_lfws_own_beside_its_lists_are_refused(tmp_path, small_protocol):
    files = written(small_protocol, tmp_path)
    files = {file: path.read_bytes() for file, path in files.items()}
    written(official(), tmp_path)
    (tmp_path / "pairs.txt").write_bytes(files["pairs.txt"])
    with pytest.raises(ValueError) as error:
        read(tmp_path)
    expected = "pairs.txt, line 1: expected '10\\t300', as in LFW's own list, got '2\\t6'"
    assert str(error.value) == f"{tmp_path}/{expected}"


def test_an_official_file_that_ends_early_or_late_is_noticed(tmp_path):
    files = written(official(), tmp_path)
    text = files["pairsDevTest.txt"].read_text()
    files["pairsDevTest.txt"].write_text(text + "Abdullah_Gul\t1\t2\n")
    with pytest.raises(ValueError, match=r"line 1002: expected the end of the file, as in"):
        read(tmp_path)
    files["pairsDevTest.txt"].write_text(text[: text.rindex("Todd_Petit")])
    with pytest.raises(ValueError, match=r"line 1001: expected .*, got the end of the file$"):
        read(tmp_path)


def test_the_folder_of_real_images_has_the_shipped_lists(lfw_root):
    present = [file for file in FILES if (lfw_root / file).is_file()]
    if not present:
        pytest.skip("this copy came without lists")
    for file in present:
        assert (lfw_root / file).read_text() == texts(official())[file]
