"""The study as a book of web pages: chapters with their stored outputs, readable offline.

``make book`` has Jupyter Book build it from the top of the repository, by the settings in
``notebooks``. This module is an extension of Sphinx: it writes equations as MathML, which browsers
draw without a script, says on each page whose faces its outputs are of, and adds the explorer.
"""

import json
import re
from pathlib import Path

from facelab.explorer.payload import front_end, inline, payload
from facelab.study.results import load_shown
from facelab.study.writing import write_text

EXPLORE = "notebooks/explore"
FRAME = """:::{raw} html
<iframe class="explorer" src="../_static/explorer.html" title="The explorer of all runs"></iframe>
:::"""
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>Explorer</title><style>body {{ margin: 0 }} {style}</style>
<div id="explorer"></div><script type="application/json" id="data">{data}</script>
<script type="module">{script}
const data = JSON.parse(document.getElementById("data").textContent);
mountPage(document.getElementById("explorer"), data);
</script></html>
"""
REAL = """**Executed on real faces**, LFW deep-funneled, profile `{profile}`. Text and code are those of
that run; [the chapter as it is now](../../../notebooks/{name}.ipynb) has synthetic faces."""
DRAWN = "**Executed on synthetic faces**: drawn people, small settings."


def add_explorer(app, error) -> None:
    """Write the explorer of all finished runs as a page of its own, beside the style sheets."""
    if error:
        return
    script, style = front_end()
    data = inline(*payload(load_shown(Path(app.srcdir) / "outputs")))
    page = PAGE.format(script=script, style=style, data=data)
    write_text(Path(app.outdir) / "_static" / "explorer.html", page)


def add_note(app, docname: str, source: list[str]) -> None:
    """Say below the heading of a notebook whose faces its outputs are of."""
    if not source[0].startswith("{"):
        return
    folder, name = docname.rsplit("/", 1)
    said = FRAME if docname == EXPLORE else f":::{{note}}\n{DRAWN}\n:::"
    if folder.startswith("outputs/"):
        real = REAL.format(profile=folder.split("/")[1], name=name)
        said = f":::{{note}}\n{real}\n:::"
    notebook = json.loads(source[0])
    heading = notebook["cells"][0]
    first, _, rest = "".join(heading["source"]).partition("\n")
    heading["source"] = f"{first}\n\n{said}\n{rest}"
    source[0] = json.dumps(notebook)


def write_mathml(translator, node) -> None:
    """Write an equation as MathML."""
    from docutils.nodes import SkipNode, math_block
    from latex2mathml.converter import convert

    display = "block" if isinstance(node, math_block) else "inline"
    latex = re.sub(r"\\Big(?=\\[lr]Vert)", "", node.astext())  # which the converter lacks
    translator.body.append(convert(latex, display=display))
    raise SkipNode


def setup(app) -> dict[str, bool]:
    """Connect all this to Sphinx."""
    renderers = (write_mathml, None)
    app.add_html_math_renderer("mathml", inline_renderers=renderers, block_renderers=renderers)
    app.connect("build-finished", add_explorer)
    app.connect("source-read", add_note)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
