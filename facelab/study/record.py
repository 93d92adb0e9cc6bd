"""`Run`: what a chapter did and found, written to ``run.json`` and the files beside it."""

import os
import re
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import IPython.display
import pandas as pd
import torch

from facelab.baselines import raw_pixels
from facelab.checks import expect, kinds, of_kind, real, whole
from facelab.explorer.shown import Film
from facelab.faces import Faces
from facelab.files import sha256_of
from facelab.models import save_network
from facelab.plots import encode
from facelab.progress import IN_BATCH
from facelab.study.provenance import commit, device, parameters, versions
from facelab.study.reading import LISTS, SCHEMA, check_part, inside
from facelab.study.rows import Rows, estimated
from facelab.study.writing import COLUMNS, claim_row, portable, slug, write_json
from facelab.verification import Estimate, Report, auc, distances, fit_threshold, verify

CATEGORIES = ("no outside data", "label-free outside data", "labelled outside data")
NAME = r"[^/\\:\x00-\x1f]{1,200}"
OF_FACES = ("root", "source", "synthetic", "crop", "fingerprint")


class Claims(pd.DataFrame):
    """The claims of a run as a table, the ones that do not hold in red."""

    def __repr__(self) -> str:
        return self.to_string(index=False, justify="left")

    def _repr_html_(self) -> str:
        red = "color: #c62828; font-weight: bold"
        style = self.style.map(lambda holds: red if holds == "no" else "", subset=["holds"])
        style = style.hide(axis="index")
        return style.set_uuid("claims").set_properties(**{"text-align": "left"}).to_html()


class Trained(NamedTuple):
    """Network and loss after the last epoch, the tables of `Training`, the network at its best."""

    model: torch.nn.Module
    loss: torch.nn.Module
    history: pd.DataFrame
    distances: pd.DataFrame
    best: torch.nn.Module | None


@kinds
class Run(Rows):
    """Collects what a notebook does and finds; writes it if the notebook's ``OUT`` names a folder.

    `name` is that of the notebook without its suffix; `namespace`, its ``globals()``, has the
    parameters of the run, the UPPER_CASE values.

    >>> run = Run("01_siamese_baseline", {"SEED": 0, "OUT": ""})
    >>> run.claim("Strangers are told apart (AUC)", Estimate(0.9, 0.88, 0.92), holds=True)
    >>> run.claims()["95 % interval"].item()
    '0.880 to 0.920'
    """

    def __init__(self, name: str, namespace: Mapping):
        super().__init__()
        expect(re.fullmatch(NAME, name), "a notebook's name, without its folder", repr(name))
        values = parameters(namespace)
        out = values.pop("OUT", "")
        values = portable(values)
        profile = str(values.get("PROFILE", ""))
        options = f" --profile {profile}" if profile else ""
        self.name = name
        self.out = Path(out) if out else None
        if self.out:
            self.out.mkdir(parents=True, exist_ok=True)
        self.started = datetime.now(UTC)
        self.reports: dict[tuple[str, str], Report] = {}  # first seed's, by method and split
        self.slugs: dict[str, str] = {}  # methods, by what their files are called
        self.entries = {
            "schema": SCHEMA,
            "notebook": name,
            "status": "done",
            "profile": profile,
            "command": f"facelab run {name}{options}",
            "parameters": values,
            "seed": values.get("SEED"),
            "data": {},
            **commit(),
            "versions": versions(),
            "started": self.started.isoformat(timespec="seconds"),
            "test_looks": 0,
            **{of: [] for of in LISTS},
        }

    def uses(self, faces: Faces, protocol: str = "") -> None:
        """Record the data, and the protocol that is followed, for example ``"View 1"``.

        To be called before anything is watched or verified: a report says on what data it is.
        """
        data = {name: portable(getattr(faces, name)) for name in OF_FACES}
        data |= {"protocol": protocol, "image_size": faces.packed.shape[2:]}
        self.entries["data"] = data | {"people": len(faces.names), "images": len(faces)}

    def _check_data(self) -> None:
        expect(self.entries["data"], "run.uses(faces) before anything is measured", "none")

    def path(self, file: str) -> Path | None:
        """Return where a file of this run belongs, or None without a folder."""
        return inside(self.out, file) if self.out else None

    def checkpoint(self, method: str, seed: int) -> Path | None:
        """Return where the checkpoint of a training belongs, or None without a folder."""
        return self.path(f"{self._slug(method)}_{seed}.pt")

    def _slug(self, method: str) -> str:
        """Return what the files of a method are called, those of no other method."""
        name = slug(method)
        other = self.slugs.setdefault(name, method)
        got = f"{other!r} and {method!r}, both {name}"
        expect(other == method, "methods whose files have names of their own", got)
        return name

    def train(
        self, method, seed, network, people, objective, *, keep_best="", trial=False, **settings
    ) -> Trained:
        """Train a network from fresh weights and record its settings, its budget and its AUCs.

        `method` is the name that every table shows; `seed` is of first weights, batches and all
        else. `network` and `objective` build the network, and the loss, or loss and miner, anew
        for every training. `keep_best` names watched faces whose best epoch is kept too. `trial`
        marks a trial of a search; of others the first seed is kept as a film. `people` and all
        else are of `facelab.fit`.
        """
        from facelab.train import fit  # and with it PyTorch's compiler, which takes two seconds

        if settings.get("watch"):
            self._check_data()
        torch.manual_seed(seed)
        model = network()
        made = objective()
        loss, miner = made if isinstance(made, tuple) else (made, None)
        best = deepcopy(model) if keep_best else None
        settings = {"title": f"{method}, seed {seed}"} | settings
        settings |= {"keep_best": {keep_best: best}} if keep_best else {}
        checkpoint = self.checkpoint(method, seed)
        training = fit(model, people, loss, miner, seed=seed, checkpoint=checkpoint, **settings)
        history = training.history
        about = {"method": method, "seed": seed}
        trainings = self.entries["trainings"]
        before = {part["seed"]: part for part in trainings if part["method"] == method}
        film = None
        if not before and not trial and len(training.distances):
            film = f"{self._slug(method)}_film.npz"
            if self.out:
                Film.of(training).save(self.path(film))
        budget = {
            "trial": trial,
            "epochs": len(history),
            "images": int(history["images"].sum()),
            "seconds": round(float(history["seconds"].sum()), 1),
            "images_per_second": round(float(history["images_per_second"].median()), 1),
            "film": film,
        }
        entry = about | budget | training.settings
        if seed in before:  # a cell is executed again, in a time of its own
            known = before[seed]
            entry |= {name: known[name] for name in ("seconds", "images_per_second", "film")}
            told = f"another of {method}, seed {seed}; run the notebook from its start"
            expect(entry == known, "one training for each method and seed", told)
        self._add("trainings", entry)
        watched = training.distances.drop_duplicates("split")[["split", "role"]]
        for on in watched.to_dict("records"):
            self.result("watched_auc", history[f"{on['split']}_auc"].iloc[-1], **about, **on)
        return Trained(model, loss, history, training.distances, best)

    def verify(
        self, method, seed, embed, dev, test, *, seen="", by="accuracy", far=None, **about
    ) -> Report:
        """Choose thresholds on dev people, verify the pairs of `test`, and record rates and AUCs.

        `embed` maps `Faces` to embeddings, as `facelab.raw_pixels` and ``partial(facelab.embed,
        model)`` do; what it says as its ``about``, as `facelab.onnx_model` does, is recorded as
        ``model``, and then its `category` has to be given. `by` and `far` are of `fit_threshold`,
        `seen` is of `facelab.verify`, all else of `report`.
        """
        self._check_data()
        model = getattr(embed, "about", None)
        is_told = model is None or "category" in about
        expect(is_told, f"category={'|'.join(CATEGORIES)} of a model from elsewhere", "none")
        on_dev = embed(dev)
        if dev.pairs is not None:
            value = auc(distances(on_dev, dev.pairs), dev.pairs.same)
            on = {"split": dev.pairs.name, "role": dev.pairs.role}
            self.result("auc", value, method=method, seed=seed, **on)
        threshold = fit_threshold(on_dev, dev, by=by, far=far)
        report = verify(embed(test), test, threshold, seen=seen)
        about |= {"image_size": test.packed.shape[-1], "crop": test.crop}
        about["embedding"] = "raw_pixels" if embed is raw_pixels else None
        about["model"] = model
        self.report(method, seed, report, **about)
        return report

    def report(
        self, method, seed, report, category=CATEGORIES[0], outside_data="", training=None, **photos
    ) -> None:
        """Record every rate of a report with its interval; `verify` does so itself.

        Test pairs count as looked at. The distances of a method's first seed are kept as a file.
        `category` is LFW's, one of `CATEGORIES`; `outside_data` says what else was learned from;
        `training` names the method whose training it is (default: `method`; empty: none alone);
        `photos` are the ``image_size`` and ``crop`` of what was embedded, and, if it is to be kept,
        ``calibration=fl.calibrate(embeddings, dev).as_plain()``, by which the explorer says P(same)
        where no network is kept with one.
        """
        expect(category in CATEGORIES, f"a category of {', '.join(CATEGORIES)}", repr(category))
        self._check_data()
        about = {"method": method, "seed": seed, "split": report.name, "role": report.role}
        for rate in report.table().itertuples():
            self.result(rate.metric, Estimate(rate.value, rate.low, rate.high), **about)
        self.result("threshold", report.threshold, **about)
        self.result("f1_threshold", report.f1_threshold, **about)
        if report.role == "test":
            self.looked_at_test()
        if (method, report.name) in self.reports:
            return
        self.reports[method, report.name] = report
        file = f"{self._slug(method)}_{slug(report.name)}.npz"
        if self.out:
            report.save(self.path(file))
        about |= {"rule": report.rule, "seen": report.seen, "file": file, "network": None}
        about |= {"category": category, "outside_data": outside_data}
        about["training"] = method if training is None else training
        self._add("reports", about | photos)

    def keep_network(self, method: str, split: str, model, architecture: dict, **settings) -> None:
        """Keep the network behind the recorded report of `method` on `split`, with its SHA-256.

        `model`, `architecture` and `settings` are those of `facelab.save_network`. P(same) of two
        photos needs ``calibration=fl.calibrate(embeddings, dev).as_plain()``, here or of the
        report; without it the explorer calibrates on the tested pairs themselves, and says so.
        """
        recorded = {(entry["method"], entry["split"]): entry for entry in self.entries["reports"]}
        expect((method, split) in recorded, f"a recorded report of {method} on {split}", "none")
        if self.out:
            path = self.path(f"{self._slug(method)}.safetensors")
            save_network(path, model, architecture, **settings)
            sha256 = sha256_of(path)
            recorded[method, split]["network"] = {"file": path.name, "sha256": sha256}

    def figure(self, drawn, name: str, caption: str) -> None:
        """Show axes, an array of axes, a figure or a seaborn grid, and save the same picture."""
        picture = encode(drawn)
        IPython.display.display(IPython.display.Image(picture.data))
        file = f"{name}{picture.suffix}"
        if self.out:
            captions = {part["file"]: part["caption"] for part in self.entries["figures"]}
            is_same = captions.get(file, caption) == caption
            expect(is_same, "figures of names of their own", f"another {file}")
            self.path(file).write_bytes(picture.data)
        self._add("figures", {"file": file, "caption": caption})

    def claim(self, sentence: str, measured: float | Estimate, *, holds, form=".3f") -> None:
        """Record what is said, what was measured, and whether it holds.

        An `Estimate` without an interval, as of one seed, that does not hold is shown as one that
        cannot be told; a plain number needs none. A number that is not finite, or that `form`
        cannot write, and `holds` that is neither True nor False are a ValueError.
        """
        value, low, high, *_ = estimated(measured)
        value = real(repr(sentence), value)
        claim = {"sentence": sentence, "value": value, "low": low, "high": high}
        claim["n"] = measured.n if isinstance(measured, Estimate) else None
        claim |= {"holds": bool(of_kind(f"holds of {sentence!r}", holds, bool)), "format": form}
        claim_row(claim)  # refuses a form that cannot write it
        self._add("claims", claim)

    def claims(self) -> Claims:
        """Return the claims as a table: claim, measured, 95 % interval, holds, see `claim_row`."""
        return Claims(map(claim_row, self.entries["claims"]), columns=COLUMNS)

    def looked_at_test(self, times: int = 1) -> None:
        """Count further looks at results on test pairs; `verify` and `report` do so themselves."""
        self.entries["test_looks"] += whole("times", times, 0)

    def note(self, text: str) -> None:
        """Add a remark in words."""
        self._add("notes", text)

    def _add(self, of: str, part) -> None:
        """Record a part of the list `of`, once; what no reader would take is refused at once."""
        check_part(of, part)
        if part not in self.entries[of]:  # a cell may be executed again
            self.entries[of].append(part)

    def finish(self) -> None:
        """Write ``run.json``, whole or not at all; its status says that the run is done.

        In a batch that is not for the notebook to say: the batch does, when all is written.
        """
        if self.out:
            status = "started" if os.environ.get(IN_BATCH) else "done"
            write_json(self.path("run.json"), self.record() | {"status": status})

    def record(self) -> dict[str, object]:
        """Return all that was recorded so far, as ``run.json`` holds it."""
        finished = datetime.now(UTC)
        precisions = sorted({training["precision"] for training in self.entries["trainings"]})
        return self.entries | {
            "device": device() | {"precision": ", ".join(precisions)},
            "finished": finished.isoformat(timespec="seconds"),
            "seconds": round((finished - self.started).total_seconds(), 1),
            "results": self.recorded(),
        }
