"""The committed results are whole, and the README says what they say."""

import json
import re
from pathlib import Path

import pytest

from facelab.study.report import build_report
from facelab.study.results import budgets, differing
from facelab.study.tables import BEGIN, END, results_tables

ROOT = Path(__file__).parents[1]
OUT = ROOT / "outputs" / "lfw-cpu"
RUNS = {path.parent.name: json.loads(path.read_text()) for path in sorted(OUT.glob("*/run.json"))}
BUDGET = {"batch_size", "lr", "epochs", "images", "people_images"}
# What each chapter compares, as patterns of prefixes, and what must then be the same.
COMPARED = {
    "02_resnet50_contrastive": {".*": BUDGET, "(small|semihard).*": BUDGET | {"weights"}},
    "03_mining_comparison": {".*": BUDGET | {"weights"}},
    "04_arcface_overfitting": {"(arcface|cosface|adacos).*": BUDGET | {"weights"}},
    "05_cures": {
        "cure_(base|augment|dropout|adamw|lower_scale|warm_up|sub_centers).*": BUDGET | {"weights"}
    },
    "07_view2": {"network.*": {"batch_size", "lr", "epochs", "weights"}},
}

each = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


def test_the_chapters_are_there_on_real_faces():
    assert RUNS.keys() >= {"00_faces_and_pairs", "01_siamese_baseline"}


@each
def test_a_committed_run_says_what_it_is(run):
    assert run["status"] == "done"
    assert run["profile"] == "lfw-cpu"
    assert run["data"]["source"] == "LFW deep-funneled"
    assert (run["data"]["people"], run["data"]["images"]) == (5749, 13233)
    assert re.fullmatch("[0-9a-f]{40}", run["commit"])
    assert run["changed"] is False


@each
def test_a_committed_run_has_its_figures_and_its_notebook_and_is_small(run):
    folder = OUT / run["notebook"]
    files = {figure["file"] for figure in run["figures"]} | {f"{run['notebook']}.ipynb"}
    assert all((folder / file).is_file() for file in files)
    assert (folder / f"{run['notebook']}.ipynb").stat().st_size < 500_000


def test_the_readme_has_the_tables_of_the_records():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    written = text.partition(BEGIN)[2].partition(END)[0].strip()
    folders = [folder for folder in (OUT, ROOT / "outputs" / "lfw") if folder.is_dir()]
    assert written == results_tables(folders, ROOT), (
        "write it anew: facelab report outputs/lfw-cpu --readme README.md"
    )


def test_the_trainings_that_are_compared_have_the_same_network_and_budget():
    trainings = budgets(OUT)
    unfair = []
    for chapter, methods in COMPARED.items():
        of_chapter = trainings[trainings.chapter == chapter] if len(trainings) else trainings
        for which, columns in methods.items() if len(of_chapter) else ():
            compared = of_chapter[of_chapter.prefix.str.fullmatch(which)]
            assert len(compared) > 1, (chapter, which)
            unfair += [(chapter, c) for c in differing(compared) if c in columns]
    assert not unfair


def test_the_seeds_of_a_method_differ_in_nothing_else():
    trainings = budgets(OUT)
    if len(trainings):
        methods = trainings.prefix.str.replace(r"_seed_\d+$", "", regex=True)
        for _, seeds in trainings.groupby([trainings.chapter, methods]):
            assert differing(seeds) == []


def test_the_report_can_be_built_from_what_is_committed(tmp_path):
    for path in OUT.glob("*/*"):
        if path.suffix in (".json", ".png", ".jpg"):
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    html = build_report(tmp_path).read_text()
    for run in RUNS.values():
        assert all(claim["sentence"].split()[0] in html for claim in run["claims"])


def test_the_readme_quotes_the_records():
    one, two, mining, arcface, cures, bar, view2 = (
        {k: v for k, v in RUNS[name].items() if k in ("metrics", "claims")}
        for name in (
            "01_siamese_baseline",
            "02_resnet50_contrastive",
            "03_mining_comparison",
            "04_arcface_overfitting",
            "05_cures",
            "06_compare",
            "07_view2",
        )
    )
    quotes = [f"{one['metrics']['loss_plateau']:.2f} over the last 20 of 100 epochs"]
    for kind in ("resnet50", "small", "semihard"):
        mean, error = (two["metrics"][f"{kind}_mean_auc{end}"] for end in ("", "_se"))
        quotes.append(f"{mean:.3f} ± {error:.3f}")
    for kind, sentence in (("resnet50", "to {:.2f} at its lowest"), ("semihard", "({:.2f} at its")):
        quotes.append(sentence.format(two["metrics"][f"{kind}_loss_lowest"]))
    for k in (0, 1, 2, 5):
        mean, error = (mining["metrics"][f"mean_auc_{k}{end}"] for end in ("", "_se"))
        quotes.append(f"{mean:.3f} ± {error:.3f}")
    m, claims = arcface["metrics"], arcface["claims"]
    adamw = next(c for c in claims if c["sentence"].startswith("AdamW"))
    apart = next(c for c in claims if c["sentence"].startswith("Same strangers"))
    named = next(c for c in claims if "names 99 %" in c["sentence"])
    low, high = (f"{adamw[end]:.3f}".replace("-", "−") for end in ("low", "high"))
    quotes += [f"{100 * named['value']:.1f} % of its training images"]
    quotes += [f"rises to {m['arcface_dev_auc_best']:.3f}", f"to {m['arcface_dev_auc_end']:.3f} ("]
    quotes += [f"{100 * apart['value']:.0f} % of that distance"]
    quotes += [f"{adamw['value']:.3f} ({low} to {high})"]
    quotes += [f"an AUC of {m['early_auc']:.3f} instead of {m['arcface_auc']:.3f}"]
    quotes += [f"seems to reach {m['all_lfw_auc']:.3f}"]
    quotes += [f"AUC of {bar['metrics']['lbp_lda_flip_auc']:.3f}"]
    m = cures["metrics"]
    quotes += [f"early stopping ({m['cure_early_dev_gain']:.3f} dev AUC)"]
    quotes += [f"AdamW ({m['cure_adamw_dev_gain']:.3f})"]
    gain, error = m["cure_together_dev_gain"], m["cure_together_dev_gain_two_se"]
    quotes += [f"{gain:.3f} ± {error:.3f} (two standard errors)"]
    quotes += [f"{100 * m['cure_final_accuracy']:.1f} % and an AUC of {m['cure_final_auc']:.3f}"]
    quotes += [f"(one seed; {m['cure_base_auc']:.3f} without cures after eight)"]
    m, minus = view2["metrics"], view2["claims"][1]
    for who in ("network", "patterns"):
        mean, error = (100 * m[f"{who}_view2_accuracy{end}"] for end in ("", "_se"))
        quotes.append(f"{mean:.1f} % ± {error:.1f} %")
    low, high = (f"{100 * minus[end]:.1f}".replace("-", "−") for end in ("low", "high"))
    quotes += [f"{100 * minus['value']:.1f} points ({low} to {high})"]
    quotes += [f"said {100 * m['view1_accuracy']:.1f} %: its AUC, {m['view1_auc']:.3f}"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    # the tables have a test of their own, and hold so many numbers that a slip would be among them
    text = text[: text.index(BEGIN)] + text[text.index(END) :]
    assert [quote for quote in quotes if quote not in text] == []
