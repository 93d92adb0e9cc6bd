"""`Run`: what a chapter did and found, written to ``run.json`` and the files beside it."""

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import IPython.display
import pandas as pd
import torch

from facelab.baselines import raw_pixels
from facelab.explorer.shown import Film
from facelab.faces import Faces
from facelab.models import save_network
from facelab.plots import encode
from facelab.study.claims import Claims, written
from facelab.study.files import slug, write_json
from facelab.study.provenance import commit, device, parameters, versions
from facelab.study.rows import Rows, numbers
from facelab.train import fit
from facelab.verification import Estimate, Report, auc, distances, fit_threshold, verify

SCHEMA = 2
CATEGORIES = ("no outside data", "label-free outside data", "labelled outside data")


class Trained(NamedTuple):
    """Network and loss after the last epoch, the tables of `Training`, the network at its best."""

    model: torch.nn.Module
    loss: torch.nn.Module
    history: pd.DataFrame
    distances: pd.DataFrame
    best: torch.nn.Module | None


class Run(Rows):
    """Collects what a notebook does and finds; writes it if the notebook's ``OUT`` names a folder.

    Parameters
    ----------
    name : str
        The notebook without its suffix, for example ``"01_siamese_baseline"``.
    namespace : mapping of str to object
        ``globals()`` of the notebook: its UPPER_CASE values are the parameters of the run.

    Examples
    --------
    >>> run = Run("01_siamese_baseline", {"SEED": 0, "OUT": ""})
    >>> run.result("auc", Estimate(0.9, 0.88, 0.92), method="mine", split="View 1 test")
    >>> run.claim("Strangers are told apart (AUC)", Estimate(0.9, 0.88, 0.92), holds=True)
    >>> run.claims()["95 % interval"].item()
    '0.880 to 0.920'
    >>> run.finish()
    """

    def __init__(self, name: str, namespace: Mapping[str, object]):
        super().__init__()
        values = parameters(namespace)
        out = values.pop("OUT", "")
        for key, value in values.items():
            if isinstance(value, str) and Path(value).is_absolute():
                values[key] = Path(value).name
        self.out = Path(out) if out else None
        if self.out:
            self.out.mkdir(parents=True, exist_ok=True)
        profile = str(values.get("PROFILE", ""))
        self.name = name
        self.started = datetime.now(UTC)
        self.reports: dict[tuple[str, str], Report] = {}  # first seed's, by method and split
        self.entries = {
            "schema": SCHEMA,
            "notebook": name,
            "status": "done",
            "profile": profile,
            "command": f"facelab run {name}" + (f" --profile {profile}" if profile else ""),
            "parameters": values,
            "seed": values.get("SEED"),
            "data": {},
            **commit(),
            "versions": versions(),
            "started": self.started.isoformat(timespec="seconds"),
            "test_looks": 0,
        }
        lists = ("results", "trainings", "reports", "figures", "claims", "notes")
        self.entries |= {name: [] for name in lists}

    def uses(self, faces: Faces, protocol: str = "") -> None:
        """Record the data, and the protocol that is followed, for example ``"View 1"``."""
        of_faces = ("root", "source", "synthetic", "crop", "fingerprint")
        data = {name: getattr(faces, name) for name in of_faces} | {"protocol": protocol}
        data |= {"people": len(faces.names), "images": len(faces)}
        self.entries["data"] = data | {"image_size": list(faces.packed.shape[2:])}

    def path(self, file: str) -> Path | None:
        """Return where a file of this run belongs, or None without a folder."""
        return self.out / file if self.out else None

    def checkpoint(self, method: str, seed: int) -> Path | None:
        """Return where the checkpoint of a training belongs, or None without a folder."""
        return self.path(f"{slug(method)}_{seed}.pt")

    def train(
        self, method, seed, network, people, objective, *, keep_best="", trial=False, **settings
    ) -> Trained:
        """Train a network from fresh weights and record its settings, its budget and its AUCs.

        Parameters
        ----------
        method, seed : str, int
            The name that every table shows; the seed of first weights, batches and all else.
        network, objective : callable
            Build the network, and the loss, or loss and miner; called anew for every training.
        keep_best : str
            Watched faces whose best epoch is kept too, in `Trained.best`.
        trial : bool
            Whether this is one trial of a search; of others, the first seed is kept as a film.
        people, **settings
            Of `facelab.fit`.
        """
        torch.manual_seed(seed)
        model = network()
        made = objective()
        loss, miner = made if isinstance(made, tuple) else (made, None)
        best = deepcopy(model) if keep_best else None
        settings["keep_best"] = {keep_best: best} if keep_best else None
        checkpoint = self.checkpoint(method, seed)
        training = fit(model, people, loss, miner, seed=seed, checkpoint=checkpoint, **settings)
        history = training.history
        known = any(entry["method"] == method for entry in self.entries["trainings"])
        filmed = len(training.distances) and not known and not trial
        film = f"{slug(method)}_film.npz" if filmed else None
        if film and self.out:
            Film.of(training).save(self.path(film))
        about = {"method": method, "seed": seed}
        budget = {
            "trial": trial,
            "epochs": len(history),
            "images": int(history["images"].sum()),
            "seconds": round(float(history["seconds"].sum()), 1),
            "images_per_second": round(float(history["images_per_second"].median()), 1),
            "film": film,
        }
        self.entries["trainings"].append(about | budget | training.settings)
        watched = training.distances.drop_duplicates("split")[["split", "role"]]
        for on in watched.to_dict("records"):
            self.result("watched_auc", history[f"{on['split']}_auc"].iloc[-1], **about, **on)
        return Trained(model, loss, history, training.distances, best)

    def verify(
        self,
        method,
        seed,
        embed,
        dev,
        test,
        *,
        seen="",
        category=CATEGORIES[0],
        outside_data="",
        training=None,
    ) -> Report:
        """Choose thresholds on dev people, verify the pairs of `test`, and record rates and AUCs.

        Parameters
        ----------
        embed : callable
            From `Faces` to embeddings: `facelab.raw_pixels`, ``partial(facelab.embed, model)``.
        seen, category, outside_data : str
            See `facelab.verify`; LFW's category, one of `CATEGORIES`; what the method learned
            from beside LFW's images and labels.
        training : str, optional
            The method whose training it is; default: `method` itself.
        """
        on_dev = embed(dev)
        if dev.pairs is not None:
            on = {"split": dev.pairs.name, "role": dev.pairs.role}
            value = auc(distances(on_dev, dev.pairs), dev.pairs.same)
            self.result("auc", value, method=method, seed=seed, **on)
        report = verify(embed(test), test, fit_threshold(on_dev, dev), seen=seen)
        photos = {"image_size": test.packed.shape[-1], "crop": test.crop}
        photos["embedding"] = "raw_pixels" if embed is raw_pixels else None
        about = {"category": category, "outside_data": outside_data, "training": training}
        self.report(method, seed, report, **about, **photos)
        return report

    def report(
        self,
        method,
        seed,
        report,
        category=CATEGORIES[0],
        outside_data="",
        training=None,
        **photos,
    ) -> None:
        """Record every rate of a report with its interval; `verify` does so itself.

        Test pairs count as looked at. The distances of a method's first seed are kept as a file.
        `training` names the method whose training it is (default: `method`; empty: none alone).
        """
        if category not in CATEGORIES:
            raise ValueError(f"expected a category of {', '.join(CATEGORIES)}, got {category!r}")
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
        file = f"{slug(method)}_{slug(report.name)}.npz"
        if self.out:
            report.save(self.path(file))
        about |= {"rule": report.rule, "seen": report.seen, "file": file, "network": None}
        about |= {"category": category, "outside_data": outside_data}
        about["training"] = method if training is None else training
        self.entries["reports"].append(about | photos)

    def keep_network(self, method: str, split: str, model, architecture: dict, **settings) -> None:
        """Keep the network behind the recorded report of `method` on `split`, with its SHA-256.

        `model`, `architecture` and `settings` are those of `facelab.save_network`.
        """
        if (method, split) not in self.reports:
            raise ValueError(f"expected a recorded report of {method} on {split}, got none")
        if not self.out:
            return
        path = self.path(f"{slug(method)}.safetensors")
        save_network(path, model, architecture, **settings)
        network = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for entry in self.entries["reports"]:
            if (entry["method"], entry["split"]) == (method, split):
                entry["network"] = network

    def figure(self, drawn, name: str, caption: str) -> None:
        """Show axes, an array of axes, a figure or a seaborn grid, and save the same picture."""
        picture = encode(drawn)
        IPython.display.display(IPython.display.Image(picture.data))
        file = f"{name}{picture.suffix}"
        self.entries["figures"].append({"file": file, "caption": caption})
        if self.out:
            self.path(file).write_bytes(picture.data)

    def claim(
        self, sentence: str, measured: float | Estimate, *, holds, form: str = ".3f", unit: str = ""
    ) -> None:
        """Record what is said, what was measured (a finite number), and whether it holds.

        `form` and `unit` write the numbers: a format specification, and what follows it.
        """
        found = numbers(measured)
        if found["value"] is None:
            raise ValueError(f"{sentence}: expected a finite number, got {measured}")
        written(found["value"], form)  # a bad format is an error here, not in the report
        claim = {"sentence": sentence} | {key: found[key] for key in ("value", "low", "high")}
        self.entries["claims"].append(claim | {"holds": bool(holds), "format": form, "unit": unit})

    def claims(self) -> Claims:
        """Return the claims as a table: claim, measured, 95 % interval, holds (yes or no)."""
        return Claims.of(self.entries["claims"])

    def looked_at_test(self, times: int = 1) -> None:
        """Count further looks at results on test pairs; `verify` and `report` do so themselves."""
        self.entries["test_looks"] += times

    def note(self, text: str) -> None:
        """Add a remark in words."""
        self.entries["notes"].append(text)

    def finish(self) -> None:
        """Write ``run.json``, whole or not at all; its status says that the run is done."""
        if self.out:
            write_json(self.path("run.json"), self.record())

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
