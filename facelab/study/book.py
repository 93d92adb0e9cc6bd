"""The study as a book of web pages: chapters with their stored outputs, readable offline.

``make book`` has Jupyter Book build it from the top of the repository, by the settings in
``notebooks``. This module is an extension of Sphinx: it writes equations as MathML, which browsers
draw without a script, says on each page whose faces its outputs are of, and adds the explorer.
"""

import json
import re
import shutil
from pathlib import Path

import yaml

from facelab.explorer.payload import page_of
from facelab.study.layout import shipped
from facelab.study.results import load_shown
from facelab.study.writing import relative, render, write_text

EXPLORE = "notebooks/explore"
FRAME = """:::{raw} html
<iframe class="explorer" src="../_static/explorer.html" title="The explorer of all runs"></iframe>
:::
"""
REAL = """**Executed on real faces**, LFW deep-funneled, profile `{profile}`, with that run's text.
The same on synthetic faces, as it is now: [{name}](../../../notebooks/{name}.ipynb).
"""
DRAWN = "**Executed on synthetic faces**, drawn people, with small settings.\n"


def add_explorer(app, error) -> None:
    """Write the explorer of all finished runs as a page of its own, beside the style sheets."""
    if error:
        return
    shown = load_shown(Path(app.srcdir) / "outputs")
    page = render("explorer.html", **page_of(shown))
    write_text(Path(app.outdir) / "_static" / "explorer.html", page)


def add_pictures(app, error) -> None:
    """Copy what the README shows by a tag of HTML, of which Sphinx knows nothing."""
    if error:
        return
    readme = Path(app.srcdir, "README.md").read_text(encoding="utf-8")
    for file in re.findall(r'<img src="([^":]+)"', readme):
        out = Path(app.outdir, file)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(app.srcdir, file), out)


def lead_to_pages(app, error) -> None:
    """Let the links of copied reports lead to the pages of their chapters; other links go."""
    if error:
        return
    for file, (_, copied) in app.env.dlfiles.items():
        if not file.endswith("/report.html"):
            continue
        report = Path(app.outdir, "_downloads", copied)
        folder = Path(app.outdir, file).parent

        def link(found: re.Match, report=report, folder=folder) -> str:
            page = folder / f"{found[1]}.html"
            to = f' href="{relative(page, report.parent).as_posix()}"' if page.exists() else ""
            return f"<a{to}>"

        text = report.read_text(encoding="utf-8")
        write_text(report, re.sub(r'<a href="([^":#]+)\.ipynb">', link, text))


def drop_badges(app, docname: str, source: list[str]) -> None:
    """Leave out badges of GitHub's workflows, whose addresses lead nowhere but on GitHub."""
    source[0] = re.sub(r"^(\[!\[\w+\]\S+/actions/\S+ ?)+\n", "", source[0], flags=re.MULTILINE)


def lead_to_chapters(notebook: dict) -> None:
    """Let the links of a run lead to the pages of the chapters, not to their notebooks."""
    contents = yaml.safe_load((shipped("notebooks") / "_toc.yml").read_text(encoding="utf-8"))
    first = [chapter["file"] for chapter in contents["parts"][0]["chapters"]]
    pages = {Path(page).name: page for page in first}

    def page(found: re.Match) -> str:
        return pages.get(found[1], found[0])

    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = re.sub(r"\bnotebooks/(\w+)(?=\.ipynb)", page, "".join(cell["source"]))


def add_note(app, docname: str, source: list[str]) -> None:
    """Say below the heading of a notebook whose faces its outputs are of."""
    if not source[0].startswith("{"):
        return
    folder, name = docname.rsplit("/", 1)
    said = FRAME if docname == EXPLORE else DRAWN
    notebook = json.loads(source[0])
    if folder.startswith("outputs/"):
        said = REAL.format(profile=folder.split("/")[1], name=name)
        lead_to_chapters(notebook)
    heading = notebook["cells"][0]
    first, _, rest = "".join(heading["source"]).partition("\n")
    if folder == "notebooks" and docname != EXPLORE:
        first += ", on synthetic faces"  # else a search finds two chapters of one title
    heading["source"] = f"{first}\n\n{said}\n{rest}"
    if docname == EXPLORE:  # the plain figure goes where the explorer is
        for cell in notebook["cells"]:
            cell |= {"outputs": []} if cell["cell_type"] == "code" else {}
    source[0] = json.dumps(notebook)


def write_mathml(translator, node) -> None:
    """Write an equation as MathML."""
    from docutils.nodes import SkipNode, math_block
    from latex2mathml.converter import convert

    latex = re.sub(r"\\Big(?=\\[lr]Vert)", "", node.astext())  # which the converter lacks
    if isinstance(node, math_block):
        equation = convert(latex, display="block")
        translator.body.append(f'<div class="equation">{equation}</div>')
    else:
        translator.body.append(convert(latex))
    raise SkipNode


def finish_page(app, pagename: str, template: str, context: dict, doctree) -> None:
    """Add the style of a page, and leave out what is for running code in it."""
    context["metatags"] = context.get("metatags", "") + render("book_head.html")
    scripts = context["script_files"]
    context["script_files"] = [one for one in scripts if "thebe" not in str(one).lower()]


def setup(app) -> dict[str, bool]:
    """Connect all this to Sphinx."""
    renderers = (write_mathml, None)
    app.add_html_math_renderer("mathml", inline_renderers=renderers, block_renderers=renderers)
    app.connect("source-read", add_note)
    app.connect("source-read", drop_badges)
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("build-finished", add_explorer)
    app.connect("build-finished", add_pictures)
    app.connect("build-finished", lead_to_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
