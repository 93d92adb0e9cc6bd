"""`Run`: what a chapter did and found, written to ``run.json`` and the files beside it.

A record holds rows, one for each number: which method, which seed, on which pairs, how much.
"""

import hashlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import IPython.display
import numpy as np
import pandas as pd
import torch

from facelab.baselines import raw_pixels
from facelab.explorer.shown import Film
from facelab.faces import Faces
from facelab.models import save_network
from facelab.plots import encode
from facelab.study.claims import Claims, make_claim
from facelab.study.files import slug, write_json
from facelab.study.provenance import commit, device, parameters, versions
from facelab.study.rows import Key, Rows, numbers
from facelab.train import Training, fit
from facelab.verification import Estimate, Report, auc, distances, fit_threshold, verify

SCHEMA = 2
CATEGORIES = ("no outside data", "label-free outside data", "labelled outside data")


class Trained(NamedTuple):
    """What `Run.train` returns.

    Parameters
    ----------
    model : torch.nn.Module
        With the weights of the last epoch.
    loss : torch.nn.Module
        With its own parameters, if it has any.
    history, distances : DataFrame
        See `facelab.Training`.
    best : torch.nn.Module or None
        With the weights of the best epoch, if that was asked for.
    """

    model: torch.nn.Module
    loss: torch.nn.Module
    history: pd.DataFrame
    distances: pd.DataFrame
    best: torch.nn.Module | None


class Run:
    """Collects what a notebook does and finds; writes it if the notebook's ``OUT`` names a folder.

    Parameters
    ----------
    name : str
        The notebook without its suffix, for example ``"01_siamese_baseline"``.
    namespace : mapping of str to object
        ``globals()`` of the notebook: its UPPER_CASE values are the parameters of the run.
        ``OUT`` is the folder to write to (empty: everything works, nothing is written);
        ``PROFILE`` and ``SEED`` are recorded by themselves too.

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
        self.name = name
        self.parameters = {}
        for key, value in parameters(namespace).items():
            is_path = isinstance(value, str) and Path(value).is_absolute()
            self.parameters[key] = Path(value).name if is_path else value
        self.parameters.pop("OUT", None)
        out = namespace.get("OUT", "")
        self.out = Path(out) if out else None
        if self.out:
            self.out.mkdir(parents=True, exist_ok=True)
        self.started = datetime.now(UTC)
        self.commit = commit()
        self.faces: Faces | None = None
        self.protocol = ""
        self.test_looks = 0
        self.rows = Rows()
        self.reports: dict[tuple[str, str], Report] = {}  # first seed's, by method and split
        self._trainings: list[dict] = []
        self._reports: list[dict] = []
        self._figures: list[dict] = []
        self._claims: list[dict] = []
        self._notes: list[str] = []

    def uses(self, faces: Faces, protocol: str = "") -> None:
        """Record the data, and the protocol that is followed, for example ``"View 1"``."""
        self.faces = faces
        self.protocol = protocol

    def path(self, file: str) -> Path | None:
        """Return where a file of this run belongs, or None without a folder."""
        return self.out / file if self.out else None

    def checkpoint(self, method: str, seed: int) -> Path | None:
        """Return where the checkpoint of a training belongs, or None without a folder."""
        return self.path(f"{slug(method)}_{seed}.pt")

    def train(
        self,
        method: str,
        seed: int,
        network: Callable[[], torch.nn.Module],
        people: Faces,
        objective: Callable,
        *,
        keep_best: str = "",
        trial: bool = False,
        **settings,
    ) -> Trained:
        """Train a network from fresh weights and record its settings, its budget and its AUCs.

        Parameters
        ----------
        method : str
            The name that every table and legend shows.
        seed : int
            Of the first weights, the batches and all else.
        network, objective : callable
            Build the network, and the loss, or loss and miner; called anew for every training.
        people : Faces
            Whom to train on.
        keep_best : str
            Watched faces whose best epoch is kept too, in `Trained.best`.
        trial : bool
            Whether this is one trial of a search, and no method of its own.
        **settings
            Of `facelab.fit`. The watched distances of a method's first seed are kept as a film.
        """
        torch.manual_seed(seed)
        model = network()
        made = objective()
        loss, miner = made if isinstance(made, tuple) else (made, None)
        best = deepcopy(model) if keep_best else None
        training = fit(
            model,
            people,
            loss,
            miner,
            seed=seed,
            keep_best={keep_best: best} if keep_best else None,
            checkpoint=self.checkpoint(method, seed),
            **settings,
        )
        history = training.history
        known = any(row["method"] == method for row in self._trainings)
        film = None if known or trial else self._keep_film(method, training)
        budget = {
            "epochs": len(history),
            "images": int(history["images"].sum()),
            "seconds": round(float(history["seconds"].sum()), 1),
            "images_per_second": round(float(history["images_per_second"].median()), 1),
        }
        about = {"method": method, "seed": seed, "trial": trial}
        self._trainings.append(about | budget | training.settings | {"film": film})
        watched = training.distances.drop_duplicates("split")[["split", "role"]]
        for split, role in watched.itertuples(index=False):
            last = history[f"{split}_auc"].iloc[-1]
            self.result("watched_auc", last, method=method, seed=seed, split=split, role=role)
        return Trained(model, loss, history, training.distances, best)

    def _keep_film(self, method: str, training: Training) -> str | None:
        """Write the distances of the watched pairs, epoch by epoch, and return the file's name."""
        if not len(training.distances):
            return None
        file = f"{slug(method)}_film.npz"
        if self.out:
            Film.of(training).save(self.path(file))
        return file

    def verify(
        self,
        method: str,
        seed: int,
        embed: Callable[[Faces], np.ndarray],
        dev: Faces,
        test: Faces,
        *,
        seen: str = "",
        category: str = CATEGORIES[0],
        outside_data: str = "",
    ) -> Report:
        """Choose thresholds on dev people, verify the pairs of `test`, and record rates and AUCs.

        Parameters
        ----------
        method, seed : str, int
            As in `train`.
        embed : callable
            From `Faces` to embeddings: `facelab.raw_pixels`, ``partial(facelab.embed, model)``.
        dev, test : Faces
            Who chooses the thresholds, and who is verified.
        seen, category, outside_data : str
            See `facelab.verify`; LFW's category, one of `CATEGORIES`; what the method learned
            from beside LFW's images and labels.
        """
        on_dev = embed(dev)
        if dev.pairs is not None:
            apart = distances(on_dev, dev.pairs)
            pairs = {"split": dev.pairs.name, "role": dev.pairs.role}
            self.result("auc", auc(apart, dev.pairs.same), method=method, seed=seed, **pairs)
        threshold = fit_threshold(on_dev, dev)
        report = verify(embed(test), test, threshold, seen=seen)
        photos = {"image_size": test.packed.shape[-1], "crop": test.crop}
        photos["embedding"] = "raw_pixels" if embed is raw_pixels else None
        self.report(method, seed, report, category, outside_data, **photos)
        return report

    def report(
        self,
        method: str,
        seed: int,
        report: Report,
        category: str = CATEGORIES[0],
        outside_data: str = "",
        **more,
    ) -> None:
        """Record every rate of a report with its interval; `verify` does so itself.

        Test pairs count as looked at. The distances of a method's first seed are kept as a file.
        """
        if category not in CATEGORIES:
            raise ValueError(f"expected a category of {', '.join(CATEGORIES)}, got {category!r}")
        about = {"method": method, "seed": seed, "split": report.name, "role": report.role}
        for rate in report.table().itertuples():
            self.result(rate.metric, Estimate(rate.value, rate.low, rate.high), **about)
        self.result("threshold", report.threshold, **about)
        self.result("f1_threshold", report.f1_threshold, **about)
        self.test_looks += report.role == "test"
        if (method, report.name) in self.reports:
            return
        self.reports[method, report.name] = report
        file = f"{slug(method)}_{slug(report.name)}.npz"
        if self.out:
            report.save(self.path(file))
        about |= {"rule": report.rule, "seen": report.seen, "file": file, "network": None}
        about |= {"category": category, "outside_data": outside_data}
        self._reports.append(about | more)

    def keep_network(self, method: str, split: str, model, architecture: dict, **settings) -> None:
        """Keep the network behind the recorded report of `method` on `split`, with its SHA-256.

        `model`, `architecture` and `settings` are those of `facelab.save_network`.
        """
        if (method, split) not in self.reports:
            raise ValueError(f"expected a recorded report of {method} on {split}, got none")
        if not self.out:
            return
        file = f"{slug(method)}.safetensors"
        save_network(self.path(file), model, architecture, **settings)
        digest = hashlib.sha256(self.path(file).read_bytes()).hexdigest()
        for entry in self._reports:
            if (entry["method"], entry["split"]) == (method, split):
                entry["network"] = {"file": file, "sha256": digest}

    def result(
        self,
        metric: str,
        value: float | Estimate,
        *,
        method: str = "",
        seed: int | None = None,
        split: str = "",
        role: str = "",
    ) -> None:
        """Record a number, or an `Estimate` with its interval, as one row."""
        self.rows.add(Key(method, seed, split, role, metric), value)

    def over_seeds(self, metric: str, split: str = "View 1 test") -> pd.DataFrame:
        """Average over the seeds of each method; see `Rows.over_seeds`."""
        return self.rows.over_seeds(metric, split)

    def difference(
        self, better: str, worse: str, metric: str = "auc", split: str = "View 1 test"
    ) -> Estimate:
        """Return by how much one method exceeds another; see `Rows.difference`."""
        return self.rows.difference(better, worse, metric, split)

    def figure(self, drawn, name: str, caption: str) -> None:
        """Show axes, an array of axes, a figure or a seaborn grid, and save the same picture."""
        picture = encode(drawn)
        IPython.display.display(IPython.display.Image(picture.data))
        file = f"{name}{picture.suffix}"
        self._figures.append({"file": file, "caption": caption})
        if self.out:
            self.path(file).write_bytes(picture.data)

    def claim(
        self, sentence: str, measured: float | Estimate, *, holds, form: str = ".3f", unit: str = ""
    ) -> None:
        """Record a claim: what is said, what was measured, and whether it holds.

        Parameters
        ----------
        sentence : str
            The claim in words.
        measured : float or Estimate
            What was measured, if possible with its 95 % interval.
        holds : bool
            Whether the measurement bears the sentence out.
        form, unit : str
            How to write the numbers: a format specification, and what follows it.

        Raises
        ------
        ValueError
            If what was measured is not a finite number.
        """
        claim = make_claim(sentence, numbers(measured), bool(holds), form, unit)
        self._claims.append(claim)

    def claims(self) -> Claims:
        """Return the claims as a table: claim, measured, 95 % interval, holds (yes or no)."""
        return Claims.of(self._claims)

    def looked_at_test(self, times: int = 1) -> None:
        """Count further looks at results on test pairs; `verify` and `report` do so themselves."""
        self.test_looks += times

    def note(self, text: str) -> None:
        """Add a remark in words."""
        self._notes.append(text)

    def finish(self) -> None:
        """Write ``run.json``, whole or not at all; that it is there says that the run is done."""
        if self.out:
            write_json(self.path("run.json"), self.record())

    def record(self) -> dict[str, object]:
        """Return all that was recorded so far, as ``run.json`` holds it."""
        profile = str(self.parameters.get("PROFILE", ""))
        finished = datetime.now(UTC)
        precisions = sorted({training["precision"] for training in self._trainings})
        return {
            "schema": SCHEMA,
            "notebook": self.name,
            "status": "done",
            "profile": profile,
            "command": f"facelab run {self.name}" + (f" --profile {profile}" if profile else ""),
            "parameters": self.parameters,
            "seed": self.parameters.get("SEED"),
            "data": self._data(),
            **self.commit,
            "versions": versions(),
            "device": device() | {"precision": ", ".join(precisions)},
            "started": self.started.isoformat(timespec="seconds"),
            "finished": finished.isoformat(timespec="seconds"),
            "seconds": round((finished - self.started).total_seconds(), 1),
            "results": self.rows.recorded(),
            "trainings": self._trainings,
            "reports": self._reports,
            "figures": self._figures,
            "claims": self._claims,
            "test_looks": self.test_looks,
            "notes": self._notes,
        }

    def _data(self) -> dict[str, object]:
        if self.faces is None:
            return {}
        return {
            "root": self.faces.root,
            "source": self.faces.source,
            "synthetic": self.faces.synthetic,
            "protocol": self.protocol,
            "people": len(self.faces.names),
            "images": len(self.faces),
            "image_size": list(self.faces.packed.shape[2:]),
            "crop": self.faces.crop,
            "fingerprint": self.faces.fingerprint,
        }
