"""The book: its equations, its pages, and that nothing in them is of the net."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from docutils import nodes

from facelab.study.book import EXPLORE, add_note, write_mathml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
EQUATION = re.compile(r"\$\$(.+?)\$\$|(?<![\\\w])\$([^$\n]+?)\$(?!\w)", re.DOTALL)


def texts():
    for path in sorted(FOLDER.rglob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        yield path.stem, "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    yield "glossary", (FOLDER / "glossary.md").read_text(encoding="utf-8")


def test_every_equation_is_written_as_mathml_with_no_command_left_over():
    n_equations = 0
    for name, text in texts():
        for block, inline in EQUATION.findall(text):
            translator = SimpleNamespace(body=[])
            node = nodes.math_block(text=block) if block else nodes.math(text=inline)
            with pytest.raises(nodes.SkipNode):
                write_mathml(translator, node)
            (written,) = translator.body
            assert "<math" in written, name
            assert "\\" not in re.sub("<[^>]+>", "", written), (name, block or inline)
            n_equations += 1
    assert n_equations > 100


@pytest.mark.parametrize(("page", "stays"), [(EXPLORE, False), ("notebooks/06_compare", True)])
def test_the_plain_figure_goes_where_the_explorer_is(page, stays):
    source = [(ROOT / f"{page}.ipynb").read_text(encoding="utf-8")]
    add_note(None, page, source)
    notebook = nbformat.reads(source[0], 4)
    nbformat.validate(notebook)
    assert ("image/png" in source[0]) is stays
    assert ("<iframe" in notebook.cells[0].source) is not stays


def test_the_links_of_a_run_lead_to_the_pages_of_the_chapters():
    page = "outputs/lfw-cpu/09_trained_elsewhere/09_trained_elsewhere"
    source = [(ROOT / f"{page}.ipynb").read_text(encoding="utf-8")]
    add_note(None, page, source)
    heading = nbformat.reads(source[0], 4).cells[0].source
    links = re.findall(r"\]\((.+?)\)", heading)
    before, after = "lfw-cpu/08_alignment/08_alignment", "lfw/10_best_recipe/10_best_recipe"
    assert f"../../../outputs/{before}.ipynb" in links
    assert f"../../../outputs/{after}.ipynb" in links
    assert "../../../notebooks/09_trained_elsewhere.ipynb" in links  # on synthetic faces
    for link in links:
        assert (ROOT / page).parent.joinpath(link).is_file(), link


def entries(part):
    for entry in part.get("chapters", part.get("sections", ())):
        yield from [entry["file"]] if "file" in entry else []
        yield from entries(entry)


def test_every_page_is_in_the_table_of_contents_and_there():
    toc = yaml.safe_load((FOLDER / "_toc.yml").read_text())
    listed = {file for part in toc["parts"] for file in entries(part)}
    pages = [*FOLDER.glob("*.ipynb"), *FOLDER.glob("*.md"), *ROOT.glob("outputs/lfw*/*/*.ipynb")]
    there = {path.relative_to(ROOT).with_suffix("").as_posix() for path in pages}
    assert there <= listed
    assert not [file for file in listed if not list(ROOT.glob(f"{file}.*"))]
    assert {"glob": "notebooks/solutions/*"} in [e for p in toc["parts"] for e in p["chapters"]]


def test_a_page_says_whose_faces_it_shows_and_asks_the_net_for_nothing(tmp_path):
    text = "# 00 · Pairs\n\nA [link](00_pairs.ipynb#two), and\n\n$$ d = \\sqrt 2 $$\n\n## Two"
    cells = [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_code_cell("1 + 1")]
    for folder in ("notebooks", "outputs/lfw-cpu/00_pairs"):
        (tmp_path / folder).mkdir(parents=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / folder / "00_pairs.ipynb")
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / "one.png").write_bytes(b"a picture")
    tag = '<img src="shown/one.png" width="620" alt="one">'
    badge = (
        "[![tests](../../actions/workflows/test.yml/badge.svg)](../../actions/workflows/test.yml)"
    )
    links = "[pairs](notebooks/00_pairs.ipynb), [report](outputs/lfw-cpu/report.html)"
    (tmp_path / "README.md").write_text(f"# Start\n\n{badge}\n\n{links}\n\n{tag}")
    run = '<a href="#top">top</a>, <a href="{0}/{0}.ipynb">of {0}</a>'
    runs = run.format("00_pairs") + run.format("01_no_page")
    (tmp_path / "outputs/lfw-cpu/report.html").write_text(runs)
    chapters = [{"file": "notebooks/00_pairs"}, {"file": "outputs/lfw-cpu/00_pairs/00_pairs"}]
    toc = {"format": "jb-book", "root": "README", "chapters": chapters}
    (tmp_path / "toc.yml").write_text(yaml.safe_dump(toc))
    settings = ["--config", FOLDER / "_config.yml", "--toc", tmp_path / "toc.yml"]
    command = [Path(sys.executable).with_name("jupyter-book"), "build", tmp_path, *settings]
    subprocess.run([*command, "--path-output", tmp_path / "out"], check=True, cwd=ROOT)
    html = tmp_path / "out" / "_build" / "html"
    drawn = (html / "notebooks" / "00_pairs.html").read_text(encoding="utf-8")
    real = (html / "outputs/lfw-cpu/00_pairs/00_pairs.html").read_text(encoding="utf-8")
    assert "Executed on synthetic faces" in drawn
    assert "Executed on real faces" in real
    assert 'href="../../../notebooks/00_pairs.html"' in real
    first = (html / "README.html").read_text(encoding="utf-8")
    assert (html / "shown" / "one.png").read_bytes() == b"a picture"  # of an HTML tag
    assert "badge" not in first and "actions/workflows" not in first  # which GitHub alone has
    (report,) = html.glob("_downloads/*/report.html")
    links = re.findall('<a href="([^#].*?)">', report.read_text(encoding="utf-8"))
    assert [report.parent.joinpath(link).resolve() for link in links] == [
        html / "outputs/lfw-cpu/00_pairs/00_pairs.html"
    ]
    assert "<a>of 01_no_page</a>" in report.read_text(encoding="utf-8")
    for page in (drawn, real, first):
        assert not re.findall(r"""<(?:script|img|iframe)[^>]+src=["']?(?:https?:)?//""", page)
        assert not re.findall(r"""<link[^>]+stylesheet[^>]+href=["']?(?:https?:)?//""", page)
        addresses = set(re.findall(r"https?://[^\"' <)]*", page))
        assert addresses <= {"http://www.w3.org/1998/Math/MathML"}  # a name, which nobody asks
    assert "<msqrt>" in drawn
    assert "mountPage" in (html / "_static" / "explorer.html").read_text(encoding="utf-8")
