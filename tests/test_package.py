import re
from pathlib import Path

import facelab as fl

README = Path(__file__).parents[1] / "README.md"


def test_every_name_of_the_map_is_where_it_says():
    for name in fl.__all__:
        value = getattr(fl, name)
        assert value.__name__ == name
        assert value.__doc__


def test_the_map_is_what_help_shows():
    assert set(fl.__all__) <= set(dir(fl))


def test_the_experiment_in_the_readme_runs(monkeypatch):
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL).group(1)
    assert "epochs=10" in code
    names = {}
    exec(code.replace("epochs=10", "epochs=1"), names)
    assert names["history"].dev_auc.notna().all()
    assert names["report"].name == "View 1 test"
