"""What was run, on what, with what result: ``run.json`` and the figures beside it."""

import io
import json
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import IPython.display
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image

from facelab.verification import are_test_pairs

SCHEMA = 1
PACKAGES = ("facelab", "torch", "torchvision", "pytorch-metric-learning", "numpy", "pillow")


def parameters(namespace: Mapping[str, object]) -> dict[str, object]:
    """Collect the UPPER_CASE str, int, float, bool, None and lists of these.

    Parameters
    ----------
    namespace : mapping of str to object
        Usually ``globals()`` of a notebook.

    Examples
    --------
    >>> parameters({"EPOCHS": 20, "MARGIN": 0.5, "faces": "no parameter", "_X": 1, "TABLE": {}})
    {'EPOCHS': 20, 'MARGIN': 0.5}
    """

    def plain(value) -> bool:
        if isinstance(value, list):
            return all(map(plain, value))
        return value is None or type(value) in (str, int, float, bool)

    return {k: v for k, v in namespace.items() if k.isupper() and k[0] != "_" and plain(v)}


def written(value: float | None, form: str = ".3f", unit: str = "") -> str:
    """Write a number as tables show it; None and non-finite values as a dash.

    Examples
    --------
    >>> written(0.8734, ".1%"), written(12.5, ".0f", " s"), written(None)
    ('87.3%', '12 s', '–')
    """
    finite = value is not None and math.isfinite(value)
    return f"{value:{form}}{unit}" if finite else "–"


class Claims(pd.DataFrame):
    """The claims of a run as a table, the ones that do not hold in red."""

    def __repr__(self) -> str:
        return self.to_string(index=False, justify="left")

    def _repr_html_(self) -> str:
        red = {"no": "color: #c62828; font-weight: bold", "yes": ""}
        style = pd.DataFrame(self).style.map(red.get, subset=["holds"])
        style = style.hide(axis="index").set_uuid("claims")
        return style.set_properties(**{"text-align": "left"}).to_html()


class Run:
    """Collects what a notebook found, and writes it to ``run.json`` if `out` names a folder.

    Parameters
    ----------
    name : str
        The notebook without its suffix, for example ``"01_siamese_baseline"``.
    out : str or path
        Folder for ``run.json`` and figures. Empty: everything works, nothing is written.
    parameters : mapping of str to object, optional
        What the notebook was run with; see `parameters`. ``PROFILE`` and ``SEED`` are looked up
        in it; ``OUT`` is left out, and of an absolute path only the last part is kept.
    faces : Faces, optional
        The data. May be set later as an attribute.
    protocol : str
        The protocol that was followed, for example ``"View 1"``.
    precision : str
        Precision that the networks were trained with, for example ``"bf16-mixed"``.

    Examples
    --------
    >>> run = Run("01_siamese_baseline", parameters={"SEED": 0})
    >>> run.metrics(test_auc=(0.912, 0.88, 0.94))
    >>> run.claim("Unseen people are told apart", 0.912, (0.88, 0.94), holds=True)
    >>> run.claims()["95 % interval"].item()
    '0.880 to 0.940'
    >>> run.finish()
    """

    def __init__(self, name, out="", parameters=None, faces=None, protocol="", precision=""):
        self.name, self.faces = name, faces
        self.protocol, self.precision, self.test_looks = protocol, precision, 0
        self.parameters = {
            k: Path(v).name if isinstance(v, str) and Path(v).is_absolute() else v
            for k, v in (parameters or {}).items()
            if k != "OUT"
        }
        self.out = Path(out) if out else None
        if self.out:
            self.out.mkdir(parents=True, exist_ok=True)
        self.started, self.commit = datetime.now(UTC), commit()
        self._metrics, self._claims, self._figures, self._notes = {}, [], {}, []
        self._reports, self._films, self._embeddings, self._trainings = {}, {}, {}, []

    def path(self, name: str) -> Path | None:
        """Return where a file of this run belongs, or None without `out`; for checkpoints."""
        return self.out and self.out / name

    def figure(self, drawn, name: str, caption: str = "") -> None:
        """Show axes, an array of axes, a figure or a seaborn grid, and save it.

        Photos become ``NAME.jpg``; lines and text become ``NAME.png`` in 48 colours. Either way
        the notebook and the file hold the same few kilobytes.
        """
        drawn = np.ravel(drawn)[0] if isinstance(drawn, (np.ndarray, list)) else drawn
        photos = any(ax.images for ax in drawn.figure.axes)
        pixels, encoded = io.BytesIO(), io.BytesIO()
        drawn.figure.savefig(pixels, dpi=100, bbox_inches="tight")
        plt.close(drawn.figure)
        image = PIL.Image.open(pixels).convert("RGB")
        if photos:
            image.save(encoded, "jpeg", quality=72)
        else:
            image.quantize(48, dither=PIL.Image.Dither.NONE).save(encoded, "png", optimize=True)
        IPython.display.display(IPython.display.Image(encoded.getvalue()))
        if self.out:
            file = f"{name}.{'jpg' if photos else 'png'}"
            self._figures[file] = caption or name.replace("_", " ")
            self.path(file).write_bytes(encoded.getvalue())

    def metrics(self, **values) -> None:
        """Record numbers, or ``(value, low, high)`` with the ends of a 95 % interval."""
        for name, value in values.items():
            value, *interval = value if isinstance(value, (tuple, list)) else (value,)
            if len(interval) not in (0, 2):
                got = 1 + len(interval)
                raise ValueError(f"{name}: expected a number or (value, low, high), got {got}")
            self._metrics[name] = float(value)
            for end, bound in zip(("low", "high"), interval, strict=False):
                self._metrics[f"{name}_{end}"] = float(bound)

    def verified(self, prefix: str, report, title: str = "", outside_data: str = "") -> None:
        """Record every rate of a verification report with its interval, and keep its distances.

        The report becomes ``PREFIX.npz``, to be drawn and compared again. Pairs that are neither
        dev nor train count as looked at; see `looked_at_test`.

        Parameters
        ----------
        prefix : str
            Begins the names of the metrics.
        report : Report
            What was verified.
        title, outside_data : str
            Name for tables and legends; data beside LFW that it learned from, empty for none.
        """
        for rate in report.table().itertuples():
            self.metrics(**{f"{prefix}_{rate.metric}": (rate.value, rate.low, rate.high)})
        self.metrics(**{f"{prefix}_threshold": report.threshold})
        self.test_looks += are_test_pairs(report.name)
        about = {"title": title or prefix.replace("_", " "), "pairs": report.name}
        self._reports[f"{prefix}.npz"] = {"prefix": prefix, **about, "outside_data": outside_data}
        if self.out:
            report.save(self.path(f"{prefix}.npz"))

    def trained(self, prefix: str, training, title: str = "", film: bool = True) -> None:
        """Record settings, epochs, time and speed of a training, and keep its watched distances.

        ``PREFIX_film.npz`` holds, for each watched split, ``SPLIT_distance`` of shape (n_epochs,
        n_pairs), float16, and ``SPLIT_same`` of shape (n_pairs,), beside ``epoch``.

        Parameters
        ----------
        prefix : str
            Begins the names of the metrics; the same as in `verified`, so that a result can be
            held against its budget.
        training : Training
            From `facelab.fit`.
        title : str
            Name for tables and legends.
        film : bool
            Whether to keep the watched distances.
        """
        history, distances = training
        title = title or prefix.replace("_", " ")
        settings = dict(history.attrs["settings"])
        self._trainings.append(
            {"prefix": prefix, "title": title, "epochs": len(history)}
            | {"images": int(history.images.sum()), "seconds": round(history.seconds.sum(), 1)}
            | {"images_per_second": round(history.images_per_second.median(), 1)}
            | {"trained_on": settings.pop("images", "")}  # "images" are those it has seen
            | settings
        )
        self.metrics(
            **{
                f"{prefix}_epochs": len(history),
                f"{prefix}_training_seconds": history.seconds.sum(),
                f"{prefix}_images_per_second": history.images_per_second.median(),
            }
        )
        if not film:
            return
        film = {"epoch": history.epoch.to_numpy(np.int16)}
        for split, table in distances.groupby("split", sort=False):
            by_epoch = table.distance.to_numpy(np.float16).reshape(len(history), -1)
            film[f"{split}_distance"] = by_epoch
            film[f"{split}_same"] = table.same.to_numpy(bool)[: by_epoch.shape[1]]
        if len(film) > 1:
            self._films[f"{prefix}_film.npz"] = {"prefix": prefix, "title": title}
            if self.out:
                np.savez_compressed(self.path(f"{prefix}_film.npz"), **film)

    def embedded(self, prefix: str, embeddings, faces, title: str = "") -> None:
        """Keep embeddings of `faces`, to be mapped and compared again.

        ``PREFIX_embeddings.npz`` holds ``embeddings`` of shape (n_images, embedding_size),
        float16, and ``image_ids`` of shape (n_images,).
        """
        about = {"prefix": prefix, "title": title or prefix.replace("_", " ")}
        self._embeddings[f"{prefix}_embeddings.npz"] = about
        if self.out:
            kept = {"embeddings": embeddings.astype(np.float16), "image_ids": faces.image_ids}
            np.savez_compressed(self.path(f"{prefix}_embeddings.npz"), **kept)

    def claim(self, sentence: str, value, interval=None, *, holds, form=".3f", unit="") -> None:
        """Record a claim: what is said, what was measured, and whether it holds.

        Parameters
        ----------
        sentence, value : str, float
            The claim in words, and what was measured.
        interval : tuple of two float, optional
            The 95 % interval of `value`.
        holds : bool
            Whether the measurement bears the sentence out.
        form, unit : str
            How to write the numbers: a format specification, and what follows it.
        """
        low, high = interval or (None, None)
        written(float(value), form)  # a bad format is an error here, not in the report
        self._claims.append(
            {"sentence": sentence, "value": value, "low": low, "high": high}
            | {"holds": bool(holds), "format": form, "unit": unit}
        )

    def claims(self) -> Claims:
        """Return the claims as a table: claim, measured, 95 % interval, holds (yes or no)."""
        columns = ["claim", "measured", "95 % interval", "holds"]
        return Claims(map(claim_row, self._claims), columns=columns)

    def looked_at_test(self) -> None:
        """Count one more look at results on test pairs; `verified` does so itself."""
        self.test_looks += 1

    def note(self, text: str) -> None:
        """Add a remark in words."""
        self._notes.append(text)

    def finish(self) -> None:
        """Write ``run.json``, whole or not at all; that it is there says that the run is done."""
        if not self.out:
            return
        finished, profile = datetime.now(UTC), str(self.parameters.get("PROFILE", ""))
        record = {
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
            "device": device() | {"precision": self.precision},
            "started": self.started.isoformat(timespec="seconds"),
            "finished": finished.isoformat(timespec="seconds"),
            "seconds": round((finished - self.started).total_seconds(), 1),
            "metrics": self._metrics,
            "claims": self._claims,
            "reports": [{"file": k} | v for k, v in self._reports.items()],
            "trainings": self._trainings,
            "films": [{"file": k} | v for k, v in self._films.items()],
            "embeddings": [{"file": k} | v for k, v in self._embeddings.items()],
            "figures": [{"file": k, "caption": v} for k, v in self._figures.items()],
            "test_looks": self.test_looks,
            "notes": self._notes,
        }
        write_json(self.path("run.json"), record)

    def _data(self) -> dict[str, object]:
        if self.faces is None:
            return {}
        return {
            "source": self.faces.source,
            "protocol": self.protocol,
            "people": len(self.faces.names),
            "images": len(self.faces),
            "image_size": list(self.faces.packed.shape[2:]),
            "fingerprint": self.faces.fingerprint,
        }


def claim_row(claim: Mapping) -> tuple[str, str, str, str]:
    """Return a recorded claim in words: claim, measured, 95 % interval, yes or no."""
    value, low, high = (
        written(claim[key], claim["format"], claim["unit"]) for key in ("value", "low", "high")
    )
    interval = f"{low} to {high}" if claim["low"] is not None else "–"
    return claim["sentence"], value, interval, "yes" if claim["holds"] else "no"


def commit() -> dict[str, object]:
    """Return the commit of the checkout that holds the package, or else the working folder."""
    root = Path(__file__).resolve().parents[2]
    root = root if (root / ".git").exists() else Path.cwd()

    def git(*arguments) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()

    try:
        root = git("rev-parse", "--show-toplevel")
        changed = git("status", "--porcelain", "--", "facelab", "notebooks")
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "changed": None}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version()} | {p: metadata.version(p) for p in PACKAGES}


def device() -> dict[str, object]:
    """Return processor, cores, torch's threads, the GPU if one was used, and glibc's settings."""
    info = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    torch = sys.modules.get("torch")  # not imported: not used
    used_gpu = torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated()
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads() if torch is not None else None,
        "gpu": torch.cuda.get_device_name() if used_gpu else None,
        "malloc": {
            k: v for k, v in sorted(os.environ.items()) if k.startswith(("MALLOC_", "GLIBC_"))
        },
    }


def write_json(path: Path, value) -> None:
    """Write strict JSON (non-finite numbers as null), whole or not at all."""

    def strict(value):
        if isinstance(value, Mapping):
            return {key: strict(v) for key, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [strict(v) for v in value]
        value = value.item() if isinstance(value, np.generic) else value
        return None if isinstance(value, float) and not math.isfinite(value) else value

    text = json.dumps(strict(value), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def read_runs(folder: str | Path) -> dict[Path, dict]:
    """Read every ``run.json`` below `folder`: the record of each run by its folder, in order."""
    paths = sorted(Path(folder).rglob("run.json"))
    return {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def load_runs(folder: str | Path) -> pd.DataFrame:
    """Read every ``run.json`` below `folder`, one row each.

    Returns
    -------
    DataFrame
        Nested entries are columns with a dot: ``metrics.test_auc``, ``parameters.SEED``,
        ``data.source``. Failed runs are in it too: see ``status``.
    """
    return pd.json_normalize(list(read_runs(folder).values()))
