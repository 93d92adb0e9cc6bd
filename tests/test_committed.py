"""The committed results are whole, and README and diary say what they say."""

import hashlib
import html
import json
import re
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import facelab as fl
from facelab.data.protocol import official
from facelab.models import load_network
from facelab.plots.palette import COLOURS
from facelab.study.photos import NETWORK
from facelab.study.record import CATEGORIES
from facelab.study.report import build_report
from facelab.study.tables import BEGIN, END, results_tables
from facelab.verification import Calibration

ROOT = Path(__file__).parents[1]
OUT = ROOT / "outputs" / "lfw-cpu"
RUNS = {path.parent.name: json.loads(path.read_text()) for path in sorted(OUT.glob("*/run.json"))}
GPU = ROOT / "outputs" / "lfw"
RESNET_OUT = ROOT / "outputs" / "lfw-resnet50"
ALL_OUT = ROOT / "outputs" / "lfw-resnet50-all"  # the same profile, on all of LFW
STUDIES = (OUT, GPU, RESNET_OUT, ALL_OUT)
FOLDERS = [path.parent for out in STUDIES for path in sorted(out.glob("*/run.json"))]
RESNET = "ResNet-50, random pairs"
BAR = "LBP, LPQ and BSIF, fused"  # of chapter 06
FUSED = "network and patterns, fused"
ENTRY = "the recipe by LDA, and patterns"  # of chapter 11
NETWORK_ALONE = "the recipe, images moved"
BUDGET = {"batch_size", "lr", "epochs", "images", "people_images"}
# What each chapter compares, as patterns of methods, and what must then be the same.
COMPARED = {
    "02_resnet50_contrastive": {
        ".*": BUDGET - {"epochs", "images"},  # of which semi-hard has a fifth
        ".*random pairs": BUDGET,
        "small CNN.*": {"weights"},
    },
    "03_mining_comparison": {".*": BUDGET | {"weights"}},
    "04_arcface_overfitting": {"(?!.*(early|leaking)).*": BUDGET | {"weights"}},
    "05_cures": {
        "ArcFace, (augmentation|dropout 0.3|AdamW.*|lower scale|margin warm-up|sub-centers)": BUDGET
        | {"weights"}
    },
    "07_view2": {"margin.*fold.*": {"batch_size", "lr", "epochs", "weights"}},
    "11_entry": {"fold.*": {"batch_size", "lr", "epochs", "weights"}},
}

each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def record(folder):
    return json.loads((folder / "run.json").read_text())


def test_the_eight_chapters_are_there_on_real_faces():
    assert [name[:2] for name in RUNS][:8] == [f"{number:02}" for number in range(8)]
    assert [folder.name for folder in FOLDERS if folder.parent == GPU] == ["10_best_recipe"]
    assert [folder.name[:2] for folder in FOLDERS if folder.parent == RESNET_OUT] == ["03", "04"]
    assert [folder.name[:2] for folder in FOLDERS if folder.parent == ALL_OUT] == ["04"]


@each
def test_a_committed_run_says_what_it_is(folder):
    run = record(folder)
    assert run["schema"] == 2
    assert run["status"] == "done"
    assert run["profile"] == folder.parent.name.removesuffix("-all")
    assert run["data"]["source"] == "LFW deep-funneled"
    assert run["data"]["synthetic"] is False
    assert (run["data"]["people"], run["data"]["images"]) == (5749, 13233)
    assert re.fullmatch("[0-9a-f]{40}", run["commit"])
    assert run["changed"] is False
    for report in run["reports"]:
        assert report["category"] in CATEGORIES
        assert bool(report["outside_data"]) == (report["category"] != "no outside data")


@each
def test_a_committed_run_has_its_files_and_no_others_and_is_small(folder):
    run = record(folder)
    files = {figure["file"] for figure in run["figures"]} | {f"{run['notebook']}.ipynb", "run.json"}
    files |= {report["file"] for report in run["reports"]}
    files |= {training["film"] for training in run["trainings"] if training["film"]}
    files |= {report["network"]["file"] for report in run["reports"] if report["network"]}
    there = {path.name for path in folder.iterdir() if path.suffix != ".pt"}
    assert there == files
    assert (folder / f"{run['notebook']}.ipynb").stat().st_size < 650_000


@each
def test_a_kept_report_says_what_its_rows_say(folder):
    run = record(folder)
    rows = {(r["method"], r["seed"], r["split"], r["metric"]): r["value"] for r in run["results"]}
    for entry in run["reports"]:
        report = fl.Report.load(folder / entry["file"])
        assert (report.rule, report.role, report.seen) == (
            entry["rule"],
            entry["role"],
            entry["seen"],
        )
        for metric, value in report.metrics().items():
            row = (entry["method"], entry["seed"], entry["split"], metric)
            if row in rows:
                assert rows[row] == (None if np.isnan(value) else value), row


def test_kept_networks_are_those_that_the_records_name():
    kept = {}
    for folder in FOLDERS:
        for entry in record(folder)["reports"]:
            if entry["network"]:
                data = (folder / entry["network"]["file"]).read_bytes()
                assert hashlib.sha256(data).hexdigest() == entry["network"]["sha256"]
                kept[entry["method"]] = len(data)
    assert kept.keys() >= {"ArcFace, all together, longer", "the recipe", "the recipe, aligned"}
    assert max(kept.values()) <= 8_000_000


@pytest.mark.parametrize(
    "path",
    [png for folder in FOLDERS for png in sorted(folder.glob("*.png"))],
    ids=lambda path: path.stem,
)
def test_the_strong_colours_of_a_figure_are_those_of_the_palette(path):
    """Pixels that are as strong as a palette colour and as many as a line are that colour."""
    image = Image.open(path).convert("RGB")
    count, colours = zip(*image.getcolors(image.width * image.height), strict=True)
    count, colours = np.array(count), np.array(colours)
    palette = np.array([[int(c[k : k + 2], 16) for k in (1, 3, 5)] for c in COLOURS])
    for wanted in palette[palette.max(1) - palette.min(1) > 100]:
        near = np.abs(colours - wanted).max(1) <= 12
        if count[near].sum() >= 200:
            assert count[near & (np.abs(colours - wanted).max(1) <= 2)].sum() > 0, wanted


@each
def test_an_executed_notebook_holds_no_stderr_and_its_figures_are_the_files(folder):
    notebook = json.loads((folder / f"{folder.name}.ipynb").read_text())
    outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", ())]
    assert not [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]


@each
def test_an_executed_notebook_speaks_of_its_own_figures_and_of_its_explorer(folder):
    cells = json.loads((folder / f"{folder.name}.ipynb").read_text())["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    assert not [text for text in texts if "stored figures" in text]  # they are those of another
    before = [a for a, b in pairwise(texts) if "fl.explore(" in b]
    assert all("run the next cell, and the explorer takes" in text.lower() for text in before)


def test_the_stored_explorer_shows_what_it_opens_on():
    notebook = json.loads((ROOT / "notebooks" / "explore.ipynb").read_text())
    (figure,) = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    (best,) = [one.name for one in fl.load_shown(OUT) if one.is_best]
    assert figure["metadata"]["image/png"]["alt"] == f"{best} · {OUT.name}"


def test_the_readme_has_the_tables_of_the_records():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    written = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert written == results_tables((OUT, GPU, RESNET_OUT), ROOT), (
        "write it anew: facelab report outputs/lfw-cpu outputs/lfw outputs/lfw-resnet50 "
        "--readme README.md"
    )


def test_no_table_mixes_two_rules_of_thresholds():
    rules = pd.concat(map(fl.load_results, STUDIES)).set_index("method")["rule"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", text.partition(BEGIN)[2].partition(END)[0], re.MULTILINE)
    assert len(tables) >= 3
    for table in tables:
        methods = {line.split("|")[1].strip() for line in table.splitlines()[2:]}
        of_table = [set(np.atleast_1d(rules.loc[method])) for method in methods]
        assert set.intersection(*of_table), methods


def test_the_trainings_that_are_compared_have_the_same_network_and_budget():
    trainings = fl.trainings(OUT)
    trainings = trainings[~trainings["trial"].astype(bool)]
    unfair = []
    for chapter, methods in COMPARED.items():
        of_chapter = trainings[trainings["chapter"] == chapter]
        for which, columns in methods.items():
            compared = of_chapter[of_chapter["method"].str.fullmatch(which)]
            assert len(compared) > 1, (chapter, which)
            unfair += [(chapter, c) for c in fl.differing(compared) if c in columns]
    assert not unfair


def test_the_seeds_of_a_method_differ_in_nothing_else():
    trainings = fl.trainings(OUT)
    for _, seeds in trainings.groupby(["chapter", "method"]):
        assert fl.differing(seeds) == []


def test_the_report_can_be_built_from_what_is_committed(tmp_path):
    for path in OUT.glob("*/*"):
        if path.suffix in (".json", ".png", ".jpg"):
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    page = html.unescape(build_report(tmp_path).read_text())
    for run in RUNS.values():
        assert all(claim["sentence"].split()[0] in page for claim in run["claims"])


def number(chapter, metric, method="", split="View 1 test", seed=0):
    """A row of the record of a chapter; seed None: the mean over trainings or folds."""
    run = next(run for name, run in RUNS.items() if name.startswith(chapter))
    for row in run["results"]:
        key = row["method"], row["metric"], row["split"], row["seed"]
        if key == (method, metric, split, seed):
            return row
    raise KeyError((chapter, metric, method, split, seed))


def claim(chapter, start):
    run = next(run for name, run in RUNS.items() if name.startswith(chapter))
    return next(claim for claim in run["claims"] if start in claim["sentence"])


def within(row, form, scale=1):
    ends = f"{scale * row['low']:{form}} to {scale * row['high']:{form}}"
    return f"({ends})".replace("-", "−")


def mean(row):
    return f"{row['value']:.3f} ± {row['error']:.3f}"


def quotes():
    """What README and diary say, built from the records."""
    gain = claim("01", "It is not the architecture")
    yield f"{gain['value']:.3f} dev AUC {within(gain, '.3f')}"
    plateau = number("01", "loss_plateau", split="", seed=None)["value"]
    yield f"{plateau:.2f} over the last 20 of 100 epochs"
    smaller = claim("01", "A smaller margin beats")
    yield f"{smaller['value']:.3f} AUC {within(smaller, '.3f')}"
    for method in (RESNET, "small CNN, random pairs", "small CNN, semi-hard"):
        auc = number("02", "auc", method)
        yield f"{auc['value']:.3f} {within(auc, '.3f')} and "
        yield f"{100 * number('02', 'accuracy', method)['value']:.1f} %"
    yield f"below 1, to {number('02', 'loss_lowest', RESNET, split='', seed=None)['value']:.2f} at"
    large, small = (
        number("02", "auc", name)["value"] for name in (RESNET, "small CNN, random pairs")
    )
    yield f"AUC of {large:.3f} on strangers, one of a twenty-sixth of its weights to {small:.3f}"
    for method in ("random pairs", "contrastive + semi-hard", "margin + uniform histogram"):
        yield mean(number("03", "auc", method, seed=None))
    for method in ("triplet + semi-hard", "triplet + batch-hard", "margin + distance-weighted"):
        yield mean(number("03", "auc", method, seed=None))
    named = claim("04", "names 99 %")["value"]
    yield f"{100 * named:.1f} %"
    source = "ArcFace, Adam: the source"
    for metric in ("best_auc", "watched_auc"):
        yield f"{number('04', metric, source, 'dev', None)['value']:.3f}"
    adamw = claim("04", "AdamW wins back")
    yield f"{adamw['value']:.3f} {within(adamw, '.3f')}".replace("-", "−")
    cost = claim("04", "it costs accuracy")["value"]
    usual = number("04", "accuracy", source, seed=None)["value"]
    yield f"{-100 * cost:.1f} points"
    yield f"{100 * (usual + cost):.1f} % against {100 * usual:.1f} %"
    early = number("04", "auc", "ArcFace, stopped early")["value"]
    yield f"{early:.3f} instead of {number('04', 'auc', source)['value']:.3f}"
    for cure in ("early stopping", "augmentation", "flip averaging"):
        yield f"{cure} {within(claim('05', f'Helps dev people: {cure}'), '.3f')}"
    together = claim("05", "All together, as many images")
    yield f"{together['value']:.3f} {within(together, '.3f')}"
    final = "ArcFace, all together, longer"
    accuracy, auc = (number("05", metric, final)["value"] for metric in ("accuracy", "auc"))
    yield f"{100 * accuracy:.1f} % and an AUC of {auc:.3f} on strangers (one seed; "
    bar = number("06", "auc", BAR)["value"]
    bar_accuracy = number("06", "accuracy", BAR)["value"]
    yield f"AUC of {bar:.3f}"
    yield f"AUC of {bar:.3f} and {100 * bar_accuracy:.1f} %"
    clear, below = claim("06", "At least one of"), claim("06", "are below the bar")
    networks = int(re.search("of ([0-9]+) networks", clear["sentence"])[1])
    assert clear["value"] == 1
    yield f"one of {networks} networks is better by AUC"
    yield f"and {below['value']:.0f} are below it"
    yield percents(number("06", "accuracy", FUSED))
    pixels = number("00", "auc", "raw pixels")
    yield f"AUC {pixels['value']:.3f} {within(pixels, '.3f')}"
    yield f"{100 * number('00', 'accuracy', 'raw pixels')['value']:.1f} % of the pairs"
    cost = claim("00", "costs accuracy")
    yield f"{100 * cost['value']:.1f} points {within(cost, '.1f', 100)}"
    for method in ("margin + distance-weighted", "LBP + PCA + LDA"):
        row = number("07", "accuracy", method, "View 2 test", None)
        yield percents_of_folds(row)
    spread = [
        number("08", "landmark_spread", name, "", None) for name in ("as they are", "aligned")
    ]
    before, after = (row["value"] for row in spread)
    yield f"spread by {before:.1f} pixels where a face is 112 wide, and by {after:.1f}"
    for method in ("triplet + semi-hard", "ArcFace"):
        for people in ("dev people", "strangers"):
            gain = claim("08", f"Alignment helps {method}, {people}")
            yield f"{gain['value']:.3f} {within(gain, '.3f')}"
    dlib = "dlib, 5 landmarks"
    yield percents(number("09", "accuracy", dlib)).replace("% (", "% of View 1's pairs (")
    row = number("09", "accuracy", dlib, "View 2 test", None)
    yield percents_of_folds(row, digits=2)
    lost = number("09", "pairs_not_enrolled", dlib, seed=None)["value"]
    yield f"the {lost:.0f} pairs in which its detector finds no face"
    ways = ("dev threshold, not found: dropped", "tested pairs' threshold, not found: rejected")
    ways += ("tested pairs' threshold, not found: dropped", "dev threshold, nothing aligned")
    for way in ways:
        yield f"{100 * number('09', f'accuracy: {way}', dlib, '', None)['value']:.1f} %"
    gain = claim("09", "Trained on one half of the people")
    yield f"{gain['value']:.3f} AUC over raw pixels on the other half {within(gain, '.3f')}"
    recipe = number("10", "accuracy", "the recipe")["value"]
    auc = number("10", "auc", "the recipe")["value"]
    yield f"{100 * recipe:.1f} % of View 1's strangers and an AUC of {auc:.3f}"
    entry = number("11", "accuracy", ENTRY, "View 2 test", None)
    yield f"{percents_of_folds(entry)} of the pairs"
    yield f"{100 * entry['low']:.1f} to {100 * entry['high']:.1f}"
    yield mean(number("11", "auc", ENTRY, "View 2 test", None))
    for method in (NETWORK_ALONE, BAR):
        yield percents_of_folds(number("11", "accuracy", method, "View 2 test", None))
    gain = claim("11", "LDA and a tenth of the vote")
    yield f"{100 * gain['value']:.2f} points {within(gain, '.1f', 100)[:-1]}; ten folds"
    yield f"gain {100 * gain['value']:.2f} points {within(gain, '.1f', 100)}"
    both = number("11", f"auc less that of {NETWORK_ALONE}", ENTRY, "View 2 test", None)
    yield f"In AUC they bring {both['value']:.4f} {within(both, '.4f')}"
    wrong = number("11", "wrong_pairs", ENTRY, "View 2 test", None)["value"]
    yield f"Of its {wrong:.0f} mistakes"
    minus = claim("07", "clears the bar")
    yield f"{100 * minus['value']:.1f} points {within(minus, '.1f', 100)}"


def percents_of_folds(row, digits=1):
    value, error = (f"{100 * row[end]:.{digits}f} %" for end in ("value", "error"))
    return f"{value} ± {error}"


def recipe_quotes():
    """What README and the recipe's diary say, built from its record."""
    run = record(GPU / "10_best_recipe")
    rows = {(r["method"], r["seed"], r["split"], r["metric"]): r for r in run["results"]}
    for method in ("the recipe", "the recipe, aligned"):
        row = rows[method, None, "View 2 test", "accuracy"]
        yield percents_of_folds(row)
        yield mean(rows[method, None, "View 2 test", "auc"])
        seeds = [rows[method, seed, "View 1 test", "accuracy"]["value"] for seed in (0, 1)]
        yield f"{100 * seeds[0]:.1f} and {100 * seeds[1]:.1f} %"
    searched = [t for t in run["trainings"] if t["trial"] and t["epochs"] in (40, 120)]
    yield f"{len(searched)} trials of 40 epochs"
    yield f"{len(run['trainings'])} trainings"
    assert run["test_looks"] == 6


def percents(row, digits=1):
    value, low, high = (f"{100 * row[end]:.{digits}f}" for end in ("value", "low", "high"))
    return f"{value} % ({low} to {high})"


def card_rows():
    """Rows of the model card's tables, built from the record and the network's own file."""
    run = record(GPU / "10_best_recipe")
    rows = {(r["method"], r["seed"], r["split"], r["metric"]): r for r in run["results"]}
    methods = ("the recipe, aligned", "the recipe")
    names = {"accuracy": "accuracy", "far": "FAR", "frr": "FRR", "eer": "EER"}
    names["tar_at_far_1%"] = "TAR at FAR 1 %"
    for metric, name in names.items():
        cells = [percents(rows[method, 0, "View 1 test", metric]) for method in methods]
        yield " | ".join([f"| {name}", *cells])
    aucs = [rows[method, 0, "View 1 test", "auc"] for method in methods]
    yield " | ".join(["| AUC", *(f"{r['value']:.3f} {within(r, '.3f')}" for r in aucs)])
    for metric in ("accuracy", "eer", "tar_at_far_1%"):
        cells = [rows[method, None, "View 2 test", metric] for method in methods]
        cells = map(percents_of_folds, cells)
        yield " | ".join([f"| {names[metric]}", *cells])
    yield " | ".join(["| AUC", *(mean(rows[m, None, "View 2 test", "auc"]) for m in methods)])
    of_shares = {t["people"]: t for t in run["trainings"] if t["epochs"] in (720, 360, 180)}
    of_shares[1027] = {"method": "the recipe", "people": 1027}
    for people, training in of_shares.items():
        auc = rows[training["method"], 0, "dev", "auc"]["value"]
        yield f"| {people:,} | {auc:.3f} |"
    settings = load_network(NETWORK)[1]
    calibration = Calibration.of_plain(settings["calibration"])
    forms = {0.8: ".0f", 1.0: ".1f", settings["threshold"]: ".2f", 1.25: ".2f", 1.4: ".3f"}
    sure = calibration.how_sure(list(forms)).to_dict("records")
    for form, row in zip(forms.values(), sure, strict=True):
        if row["lr_high"] == np.inf:
            yield f"| {row['lr']:{form}} or more | {100 * row['p_same']:.1f} % or more |"
            continue
        ratio = f"{row['lr']:{form}} ({row['lr_low']:{form}} to {row['lr_high']:{form}})"
        p = {"value": row["p_same"], "low": row["p_low"], "high": row["p_high"]}
        yield f"| {ratio} | {percents(p)} |"


def card_words():
    """What the model card says in words, built from the same."""
    run = record(GPU / "10_best_recipe")
    training = next(t for t in run["trainings"] if t["method"] == "the recipe, aligned")
    for part in ("weights", "people", "people_images", "images"):
        yield f"{training[part]:,} {'weights' if part == 'weights' else part.split('_')[-1]}"
    yield f"{training['epochs']} epochs"
    yield f"{training['seconds']} seconds"
    report = next(r for r in run["reports"] if r["method"] == "the recipe, aligned")
    yield f"**{report['category']}**: {report['outside_data']}"
    rows = {(r["method"], r["seed"], r["split"], r["metric"]): r for r in run["results"]}
    wrong = rows["the recipe, aligned", None, "View 2 test", "wrong_pairs"]["value"]
    yield f"View 2's {wrong:.0f} wrong pairs"
    settings = load_network(NETWORK)[1]
    calibration = Calibration.of_plain(settings["calibration"])
    yield f"below {settings['threshold']:.3f}"
    yield f"the {settings['calibration']['people']} dev people: {calibration.method} regression"
    yield f"Cllr, is {calibration.cllr['logistic']:.3f} bits"
    yield f"cost {calibration.cllr['before']:.3f}"
    (rare,) = calibration.how_sure([1.0], prior=0.01)["p_same"]
    yield f"a distance of 1 means {100 * rare:.1f} %"
    page = fl.official_results().set_index("method").loc["dlib's network"]
    yield f"{page['accuracy']:.2f} % ± {page['error']:.2f} % for dlib's"


@pytest.mark.parametrize("said", [card_rows, card_words])
def test_the_model_card_quotes_the_record_and_the_networks_file(said):
    text = (ROOT / "notebooks" / "model_card.md").read_text(encoding="utf-8")
    assert [quote for quote in said() if quote not in text] == []


def test_the_data_card_counts_as_the_protocol_and_the_record_do():
    text = (ROOT / "notebooks" / "data_card.md").read_text(encoding="utf-8")
    lfw = official()
    images = np.array(list(lfw.counts.values()))
    said = [f"{images.sum():,} photographs of {len(images):,} people"]
    said += [f"{(images == 1).sum():,} people have one photo; one has {images.max()}"]
    for people, pairs in ((lfw.dev_train, lfw.pairs_dev_train), (lfw.dev_test, lfw.pairs_dev_test)):
        n_same, n = pairs.same.sum(), len(pairs)
        said.append(f"| {len(people):,} | {n_same:,} same, {n - n_same:,} different |")
    said.append(f"{lfw.pairs.same.sum():,} same, {(~lfw.pairs.same).sum():,} different")
    errors = fl.known_errors()
    same = errors[errors["error"].str.startswith("labelled same")]
    wrong = {frozenset(pair) for pair in same[["left", "right"]].to_numpy().tolist()}
    ids = [{f"{a}_{i:04}", f"{b}_{j:04}"} for a, i, b, j, _ in lfw.pairs]
    assert (len(wrong), len(errors) - len(wrong), sum(pair in wrong for pair in ids)) == (9, 3, 7)
    said.append("nine are labelled *same* wrongly, seven of them among View 2's pairs, and three")
    assert [quote for quote in said if quote not in text] == []


def test_the_network_of_the_model_card_is_that_of_the_record():
    shipped = load_network(NETWORK)[0].state_dict()
    recorded = load_network(GPU / "10_best_recipe" / "the-recipe-aligned.safetensors")[0]
    assert all(torch.equal(shipped[name], part) for name, part in recorded.state_dict().items())


def test_the_model_cards_code_gives_its_table_by_number_of_photos(monkeypatch):
    text = (ROOT / "notebooks" / "model_card.md").read_text(encoding="utf-8")
    monkeypatch.chdir(ROOT)
    space = {}
    exec(re.search("```python\n(.*?)```", text, re.DOTALL)[1], space)
    assert len(space["rows"]) == 7
    for n_pairs, *ends in space["rows"].values():
        row = dict(zip(("value", "low", "high"), ends, strict=True))
        assert f"| {n_pairs:,} | {percents(row)} |" in text


def test_readme_and_the_recipe_quote_its_record():
    text = (GPU / "README.md").read_text(encoding="utf-8")
    assert [quote for quote in recipe_quotes() if quote not in text] == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    text = readme[: readme.index(BEGIN)] + readme[readme.index(END) :]
    accuracies = [quote for quote in recipe_quotes() if "% ±" in quote]
    assert [quote for quote in accuracies if quote not in text] == []


def test_readme_and_diary_quote_the_records():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    # the tables have a test of their own, and hold so many numbers that a slip would be among them
    text = text[: text.index(BEGIN)] + text[text.index(END) :]
    text += (OUT / "README.md").read_text(encoding="utf-8")
    assert [quote for quote in quotes() if quote not in text] == []


def test_the_diary_counts_the_looks_at_test_pairs():
    text = (OUT / "README.md").read_text(encoding="utf-8")
    for name, run in RUNS.items():
        assert f"{run['test_looks']} in chapter {name[:2]}" in text


def linked():
    written = {*ROOT.glob("*.md"), *ROOT.glob("[nt]*/**/*.md"), *ROOT.glob("notebooks/**/*.ipynb")}
    for study in STUDIES:  # other folders in outputs are whoever's
        written |= {*study.glob("**/*.md"), *study.glob("**/*.ipynb")}
    for path in sorted(written):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "markdown"]
            text = "\n".join("".join(cell["source"]) for cell in cells)
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if not link.startswith("http"):
                yield path, link


def leads_to(path, link):
    """Return the file that a link means; that of a badge is the workflow it tells of.

    GitHub, which alone has pages of workflows, shows the README two folders below them, whoever's
    copy it is.
    """
    badge = re.fullmatch(r"\.\./\.\./actions/workflows/([\w.]+)(/badge\.svg)?", link)
    if badge and path == ROOT / "README.md":
        return ROOT / ".github" / "workflows" / badge[1]
    return path.parent / link


def test_every_link_leads_somewhere():
    links = [*linked()]
    assert len(links) > 100
    dead = [
        f"{path.relative_to(ROOT)}: {link}"
        for path, link in links
        if not leads_to(path, link).exists()
    ]
    assert dead == []


def test_pictures_open():
    for path in OUT.glob("*/*.jpg"):
        Image.open(BytesIO(path.read_bytes())).verify()
