import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import facelab as fl

README = Path(__file__).parents[1] / "README.md"
PACKAGE = Path(fl.__file__).parent
WINGS = ("data", "field", "explorer", "study")
MAY_IMPORT = {  # by room; all rooms may import the floor
    "floor": {"floor"},
    "data": {"floor", "data"},
    "field": {"floor", "data", "field"},
    "explorer": {"floor", "data", "explorer"},
    "study": {"floor", "data", "field", "explorer", "study"},
    "__main__": {"study"},
}


def module_of(file):
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imports(file):
    """Every name that a file imports of the package, wherever in it: (module, name) each."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: expected absolute imports"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = inner in MODULES
                found.append((inner, "") if is_module else (node.module, alias.name))
    return [(module, name) for module, name in found if module.split(".")[0] == "facelab"]


def room(module):
    first = module.removeprefix("facelab.").split(".")[0]
    return first if first in (*WINGS, "__main__") else "floor"


@pytest.mark.parametrize("module", [m for m in MODULES if m != "facelab"])
def test_a_module_imports_public_names_from_rooms_that_it_may_look_into(module):
    for other, name in imports(MODULES[module]):
        assert other in MODULES, f"expected a module of the package, got {other}"
        private = [part for part in (*other.split("."), name) if part.startswith("_")]
        assert not private, f"expected public names, got {private} of {other}"
        assert room(other) in MAY_IMPORT[room(module)], f"expected none of {room(other)}"


def test_no_imports_go_round_in_circles():
    graph = {module: {other for other, _ in imports(file)} for module, file in MODULES.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises a CycleError
    assert order.index("facelab.faces") < order.index("facelab.train")


def test_no_test_imports_a_private_name():
    for file in Path(__file__).parent.rglob("*.py"):
        private = [name for _, name in imports(file) if name.startswith("_")]
        assert not private, f"expected public names in {file.name}, got {private}"


def test_every_name_of_the_map_is_where_it_says():
    for name in fl.__all__:
        value = getattr(fl, name)
        assert value.__name__ == name
        assert value.__doc__


def test_the_map_is_what_help_shows():
    assert set(fl.__all__) <= set(dir(fl))


def code_of_readme(number):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return blocks[number]


def test_the_experiment_in_the_readme_runs_and_can_be_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = code_of_readme(0)
    assert "epochs=10" in code
    names = {}
    exec(code.replace("epochs=10", "epochs=1"), names)
    assert names["training"].history["dev_auc"].notna().all()
    assert names["report"].name == "View 1 test"
    printed = capsys.readouterr().out
    assert f"{names['report'].metrics()['auc']:.3f}" in printed
    assert "..." not in printed
    assert Path("distances.png").is_file()


def test_the_chapter_in_the_readme_runs_and_records(tmp_path, capsys):
    code = code_of_readme(1)
    assert len(code.splitlines()) <= 44
    out = tmp_path / "08_margins"
    names = {}
    code = code.replace('OUT = ""', f"OUT = {str(out)!r}").replace("EPOCHS = 2", "EPOCHS = 1")
    exec(code, names)
    results = fl.load_results(tmp_path)
    assert results["method"].tolist() == ["triplet, margin 0.1", "triplet, margin 0.2"]
    assert (results["auc_n"] == 2).all()
    assert len(names["run"].claims()) == 1
    assert (out / "distances.png").exists()
