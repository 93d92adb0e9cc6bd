"""The files that set a machine up say the same thing and can be resolved."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from rattler import MatchSpec

ROOT = Path(__file__).parents[1]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEV = PROJECT["optional-dependencies"]["dev"]
OWN_EXTRAS = [line for line in DEV if line.startswith("facelab[")]
REQUIREMENTS = [line for line in [*PROJECT["dependencies"], *DEV] if line not in OWN_EXTRAS]


def test_environment_yml_holds_python_pip_and_this_package_and_nothing_that_can_drift():
    *conda, pip = ENVIRONMENT["dependencies"]
    assert [MatchSpec(spec).name.normalized for spec in conda] == ["python", "pip"]
    assert pip == {"pip": ["-e .[dev]"]}


def test_environment_yml_asks_for_the_python_that_the_package_needs():
    spec = MatchSpec(ENVIRONMENT["dependencies"][0])
    assert str(spec.version) == PROJECT["requires-python"]


@pytest.mark.parametrize("line", REQUIREMENTS)
def test_every_requirement_has_a_lower_and_an_upper_bound(line):
    assert re.fullmatch(r">=\S+,<\S+|<\S+,>=\S+", str(Requirement(line).specifier))


def test_the_users_own_packages_are_required():
    names = {Requirement(line).name for line in REQUIREMENTS}
    wanted = "torch torchvision jupyterlab papermill pytorch-metric-learning seaborn ipywidgets"
    assert names >= {*wanted.split(), "nbval"}


def test_the_readme_names_both_commands():
    readme = (ROOT / "README.md").read_text()
    assert "make study" in readme
    assert "make test" in readme


def test_what_the_readme_tells_users_of_colab_is_there():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (notebook,) = re.findall(r"colab.+?/OWNER/facelab/blob/main/(\S+?)`", readme)
    assert (ROOT / notebook).is_file()
    (line,) = re.findall(r"%pip install (?!-)(.+)", readme)
    assert {*line.split()} <= {Requirement(line).name for line in PROJECT["dependencies"]}


IMPORTED_AS = {
    "lazy-loader": "lazy_loader",
    "lightning-fabric": "lightning_fabric",
    "jupyter-client": "jupyter_client",
    "pillow": "PIL",
    "pytorch-metric-learning": "pytorch_metric_learning",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "ipython": "IPython",
}
RUN_BY_NAME = {"voila", "jupyterlab"}  # of the Makefile and of `facelab lab`
UNDER = {"ipywidgets"}  # what anywidget's widgets are made of


def test_every_dependency_is_used():
    files = [*(ROOT / "facelab").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for line in PROJECT["dependencies"]:
        name = Requirement(line).name
        module = IMPORTED_AS.get(name, name)
        used = re.search(rf"\b(import |from |load\(\"){module}\b", text)
        assert used or name in RUN_BY_NAME | UNDER, f"expected a use of {name}, found none"
