"""Place a method of one's own among those of chapter 03: its budget, its data, its seeds."""

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from runpy import run_path

import pandas as pd

from facelab.augmentation import augment
from facelab.checks import expect, expect_in, of_kind
from facelab.data.lfw import load_lfw
from facelab.embedding import embed, expecting
from facelab.files import alone_in
from facelab.models import resnet50, siamese_cnn
from facelab.samplers import people_by_images
from facelab.study.reading import read_record, read_runs
from facelab.study.record import Run
from facelab.study.results import comparable, results_in, results_of
from facelab.study.tables import VIEW1
from facelab.study.writing import numbered, outside, portable_path, remove_checkpoints
from facelab.verification import compare_all, difference_of
from facelab.verification.report import same_pairs
from facelab.views import view1

CHAPTER = "03_mining_comparison"
FIXED = ("DATA", "IMAGE_SIZE", "CROP", "DEV_PEOPLE", "SEED", "N_SEEDS", "COMPARE_EPOCHS")
FIXED += ("BATCH_SIZE", "IMAGES_PER_PERSON", "LEARNING_RATE", "NETWORK", "EMBEDDING_SIZE")
FREE = ("sampler", "lr", "loss_lr", "weight_decay", "optimizer", "scheduler", "augment")
KINDS = {"objective": Callable, "network": Callable, "settings": dict, "METHOD": str}

SHOWN = ["label", "outside data", "auc", "auc_low", "auc_high", "auc_mean", "auc_error", "auc_n"]
SHOWN += ["gain", "gain_low", "gain_high", "p_holm"]


def compare_method(file: str | Path, folder: str | Path) -> tuple[pd.DataFrame, Run]:
    """Train, verify and record the method of a Python file, and compare it with all in `folder`.

    The file defines ``objective(people)``, which returns a loss, or a loss and a miner; it may
    define ``network(image_size)``, ``settings`` of `facelab.fit` that `FREE` names, and ``METHOD``,
    a name. The new run goes beside that of chapter 03 in `folder`, named as the file.

    Returns a row a method on the same pairs, columns `SHOWN`, best AUC first, where ``gain`` is
    the new method's AUC less that row's, first seeds, people resampled; and the new run, whose
    claim is the gain over seeds on the chapter's best by AUC on dev people.
    """
    file, folder = Path(file), Path(folder)
    chapter = read_record(folder / CHAPTER / "run.json")
    missing = sorted(set(FIXED) - set(chapter["parameters"]))
    is_whole = chapter["status"] == "done" and chapter["reports"] and not missing
    got = f"one that is {chapter['status']}, without {', '.join(missing) or 'reports'}"
    expect_in(folder / CHAPTER, is_whole, "a finished run with reports", got)
    own = _own(file, chapter["parameters"])
    out = folder / file.stem
    is_free = not (out / "run.json").exists() or (out / file.name).exists()
    expect(is_free, f"a name that no other run in {folder} has", file.stem)
    with alone_in(folder):
        return _compared(file, own, folder, chapter)


def _own(file: Path, p: dict) -> dict[str, object]:
    """Return what a Python file defines; a ValueError if that is no method."""
    own = {"METHOD": file.stem.replace("_", " "), "settings": {}, "network": partial(_network, p)}
    with expecting(f"a Python file with objective(people) in {file}"):
        own |= run_path(str(file))
    for name, kind in KINDS.items():
        of_kind(f"{name} in {file}", own.get(name), kind)
    fixed = sorted(map(str, own["settings"].keys() - set(FREE)))
    expect_in(file, not fixed, f"settings of {', '.join(FREE)}", ", ".join(fixed))
    return own


def _compared(file: Path, own: dict, folder: Path, chapter: dict) -> tuple[pd.DataFrame, Run]:
    method = own["METHOD"]
    out = folder / file.stem
    p = chapter["parameters"]
    content = file.read_bytes()  # what runs, whatever becomes of the file meanwhile
    faces = load_lfw(p["DATA"], image_size=p["IMAGE_SIZE"], crop=p["CROP"])
    split = view1(faces, dev_people=p["DEV_PEOPLE"], seed=p["SEED"])
    train, dev, test = split
    people = train.at_least(2)
    run = Run(file.stem, p | {"OUT": str(out)})
    places = (portable_path(file), portable_path(folder))
    run.entries["command"] = shlex.join(["facelab", "compare", *places])
    run.uses(faces, split.name)
    if faces.fingerprint != chapter["data"]["fingerprint"]:
        run.note(f"The pixels are not those of {CHAPTER}: another copy, or another decoder.")
    sampler = partial(people_by_images, images_per_person=p["IMAGES_PER_PERSON"])
    budget = {"epochs": p["COMPARE_EPOCHS"], "batch_size": p["BATCH_SIZE"]}
    budget["watch"] = {"train": train, "dev": dev}
    settings = {"sampler": sampler, "lr": p["LEARNING_RATE"], "augment": augment}
    settings |= own["settings"]
    network = partial(own["network"], p["IMAGE_SIZE"])
    objective = partial(own["objective"], people)
    for seed in range(p["SEED"], p["SEED"] + p["N_SEEDS"]):
        with expecting(f"a method that trains in {file}"):
            trained = run.train(method, seed, network, people, objective, **budget, **settings)
        run.verify(method, seed, partial(embed, trained.model), dev, test)
    (out / file.name).write_bytes(content)
    recorded = results_in(read_runs(folder))
    rivals = recorded[recorded["chapter"] == CHAPTER].set_index("method")
    best = rivals["dev_auc"].idxmax()
    gain = difference_of(_aucs(run.record(), method), _aucs(chapter, best))
    run.claim(f"{method} beats {best} on strangers (AUC)", gain, holds=gain.low > 0)
    run.finish()
    remove_checkpoints(out)
    return _beside(results_of(run), recorded), run


def as_text(table: pd.DataFrame) -> str:
    """Write the table of `compare_method` in lines that a terminal holds."""
    rows = []
    for _, row in table.iterrows():
        told = partial(_told, row)
        of_seeds = told("{:.3f} ± {:.3f}", "auc_mean", "auc_error")
        gain = told("{:+.3f}", "gain")
        if pd.notna(row["gain_low"]):  # of a few pairs it has no ends
            gain += told(" ({:+.3f} to {:+.3f})", "gain_low", "gain_high")
        auc, p = told("{:.3f}", "auc"), told("{:.3f}", "p_holm")
        rows.append([row["label"], row["outside data"], auc, of_seeds, gain, p])
    columns = ["method", "outside data", "AUC", "over seeds", "gain (95 %)", "p (Holm)"]
    return pd.DataFrame(rows, columns=columns).to_string(index=False)


def _told(row: pd.Series, form: str, *columns: str) -> str:
    values = [row[column] for column in columns]
    return "–" if pd.isna(values).any() else form.format(*values)


def _network(p: dict, image_size: int):
    if p["NETWORK"] == "resnet50":
        return resnet50(p["EMBEDDING_SIZE"])
    return siamese_cnn(p["EMBEDDING_SIZE"], image_size)


def _aucs(record: dict, method: str) -> pd.Series:
    """Return the AUC on strangers by seed."""
    rows = pd.DataFrame(record["results"]).set_index(["method", "split", "metric"])
    return rows.loc[(method, VIEW1, "auc")].dropna(subset="seed").set_index("seed")["value"]


def _beside(own: pd.DataFrame, recorded: pd.DataFrame) -> pd.DataFrame:
    """Put one result among those on the same pairs, with its AUC's differences."""
    others = recorded[recorded["chapter"] != own["chapter"].item()]
    (report,) = own["report"]
    others = others[[one is not None and same_pairs(report, one) for one in others["report"]]]
    of_images = others[[one.source == report.source for one in others["report"]]]
    others = others if of_images.empty else of_images  # else from another copy, as a note says
    table = comparable(pd.concat([own, others], ignore_index=True), any_images=True)
    numbers = [numbered(chapter)[0] or chapter for chapter in table["chapter"]]
    table["label"] = [f"{a} · {b}" for a, b in zip(numbers, table["method"], strict=True)]
    _, *labels = table["label"]
    reports = dict(zip(labels, table["report"][1:], strict=True))
    table["outside data"] = table["category"].map(outside)
    found = compare_all(table["report"][0], reports)
    found[["difference", "low", "high"]] = -found[["difference", "high", "low"]]
    found.columns = ["label", "gain", "gain_low", "gain_high", "p", "p_holm"]
    return table.merge(found, "left", "label").sort_values("auc", ascending=False)[SHOWN]
