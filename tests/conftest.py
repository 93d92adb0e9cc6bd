import os
import random
import shutil
import signal
import tempfile
from pathlib import Path

# One thread each, here and in every process that a test starts: the networks of the tests are so
# small that threads only wait for each other, above all where several tests run at once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What a shell starts in the background ignores Ctrl-C, and so would all that tests start and stop.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image

import facelab as fl
from facelab.data.lfw import load_lfw
from facelab.data.protocol import NamedPairs, Protocol
from facelab.data.protocol_text import write
from facelab.faces import Faces
from facelab.study.execute import MALLOC

# What `facelab run` gives its kernels; those of nbval have it from here.
os.environ.update(MALLOC)

# `make test` tries the same examples every time and so never flakes; `make fuzz` looks for others.
settings.register_profile(
    "test",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile(
    "fuzz", settings.get_profile("test"), derandomize=False, max_examples=3000
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "test"))


def pytest_configure(config):
    """Keep tests and notebooks out of the user's cache; all processes of a session share one."""
    if not hasattr(config, "workerinput"):  # else it is a process of pytest-xdist's
        os.environ["FACELAB_CACHE"] = tempfile.mkdtemp(prefix="facelab-tests-")
        config.add_cleanup(lambda: shutil.rmtree(os.environ["FACELAB_CACHE"]))


def pytest_addoption(parser):
    parser.addoption("--shuffle", type=int, metavar="SEED", help="files, and tests within them")


def pytest_report_header(config):
    seed = config.getoption("shuffle")
    return None if seed is None else f"shuffled: --shuffle {seed} repeats this order"


def pytest_collection_modifyitems(config, items):
    """Shuffle files, and tests within each; the cells of a notebook stay in their order."""
    if config.getoption("shuffle") is None:
        return
    files = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    order = random.Random(config.getoption("shuffle"))
    shuffled = order.sample([*files.values()], len(files))
    tests = [of if of[0].path.suffix == ".ipynb" else order.sample(of, len(of)) for of in shuffled]
    items[:] = [item for of_file in tests for item in of_file]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Let no test's luck depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_look():
    """Undo what a test sets of Matplotlib's look."""
    with matplotlib.rc_context():
        yield


@pytest.fixture
def searched(monkeypatch):
    """The photos' sizes in the order in which they were searched, by a detector that finds all."""
    sizes = []

    class Detector:
        def detect(self, image, landmarks):
            sizes.append(image.size)
            return [[0, 0, *image.size]], None, [fl.template()]

    monkeypatch.setattr("facelab.data.alignment._detector", Detector)
    return sizes


@pytest.fixture(scope="session")
def lfw_root():
    """The real LFW, if the machine has it."""
    if not os.environ.get("FACELAB_LFW"):
        pytest.skip("FACELAB_LFW does not name a folder with LFW")
    return Path(os.environ["FACELAB_LFW"])


@pytest.fixture(scope="session")
def real_faces(lfw_root):
    """All of LFW, small, packed once for all tests."""
    return load_lfw("lfw", image_size=64, progress=False)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, instead of the one that all tests share."""
    monkeypatch.setenv("FACELAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def small_protocol():
    """Forty people of one to four images in LFW's arrangement, with two folds."""
    people = [f"Person_{chr(65 + k // 26)}{chr(97 + k % 26)}" for k in range(40)]
    counts = {name: 1 + k % 4 for k, name in enumerate(people)}
    parts = (people[:24], people[24:])

    def pairs(part, fold=0):
        many = [name for name in part if counts[name] > 1][:6]
        same = [(name, 1, name, counts[name], fold) for name in many]
        others = [*many[1:], many[0]]
        return [*same, *((a, 1, b, counts[b], fold) for a, b in zip(many, others, strict=True))]

    both = [pairs(part, fold) for fold, part in enumerate((people[:20], people[20:]))]
    return Protocol(
        counts,
        *map(tuple, parts),
        (tuple(people[:20]), tuple(people[20:])),
        *(NamedPairs.of(p) for p in (pairs(parts[0]), pairs(parts[1]), both[0] + both[1])),
    )


@pytest.fixture(scope="session")
def small_faces(small_protocol):
    """Faces of `small_protocol` whose every pixel is the image's row."""
    counts = list(small_protocol.counts.values())
    n = sum(counts)
    return Faces(
        packed=np.repeat(np.arange(n, dtype=np.uint8), 3 * 4 * 4).reshape(n, 3, 4, 4),
        rows=np.arange(n),
        labels=np.repeat(np.arange(len(counts)), counts),
        names=tuple(small_protocol.counts),
        numbers=np.concatenate([np.arange(1, k + 1) for k in counts]),
        protocol=small_protocol,
    )


@pytest.fixture(scope="session")
def write_copy(small_protocol):
    """Write `small_protocol` with JPEGs of its own into ``root/variant``, lists beside it."""

    def write_to(root, variant="lfw-synthetic", size=40):
        rng = np.random.default_rng(0)
        for name, n in small_protocol.counts.items():
            folder = Path(root) / variant / name
            folder.mkdir(parents=True)
            for i in range(1, n + 1):
                coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
                image = coarse.resize((size, size), Image.Resampling.BICUBIC)
                image.save(folder / f"{name}_{i:04d}.jpg", quality=95)
        write(small_protocol, root)
        return Path(root)

    return write_to
