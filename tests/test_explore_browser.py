"""The explorer in a real browser: JupyterLab, `make explore`, and a page without a kernel."""

import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

import nbformat
import numpy as np
import PIL.Image
import pytest
from records import make_report

from facelab.explorer import payload
from facelab.explorer.shown import Film, Shown
from facelab.verification import Calibration, Report, calibrate_report, compare

ROOT = Path(__file__).parents[1]
PATIENCE = 120_000  # ms; on an idle machine everything is there in a few seconds
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]


def find_chromium():
    named = os.environ.get("FACELAB_CHROMIUM")
    names = ("chromium", "chromium-browser", "google-chrome")
    return named or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="module")
def browser():
    path = find_chromium()
    if not path:
        pytest.skip("no chromium here: install one, or name it in FACELAB_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page of its own, that remembers what went wrong on it and what it asked for."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.wrong, page.asked = [], []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda m: page.wrong.append(m.text) if is_ours(m) else None)
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    context.close()


def is_ours(message):
    """Whether a message is an error other than that of a resource of the host's own page."""
    return message.type == "error" and not message.text.startswith("Failed to load resource")


@contextmanager
def server(arguments, check, tmp_path):
    """Run a server of Jupyter on a free port; yield its address."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    own = {f"JUPYTER_{k}_DIR": str(tmp_path / k) for k in ("CONFIG", "DATA", "RUNTIME")}
    env = os.environ | own | {"PYTHONPATH": str(ROOT), "FACELAB_LFW": ""}
    command = [sys.executable, "-m", *arguments, f"--port={port}", "--no-browser"]
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=tmp_path)
        try:
            deadline = time.monotonic() + PATIENCE / 1000
            while not answers(address + check):
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except HTTPError as error:
        error.close()
    except OSError:  # nobody is there, or is too busy
        return False
    return True


def run_all(page, url):
    """Open a notebook in JupyterLab and run all of its cells."""
    page.goto(url, wait_until="commit")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.get_by_text("| Idle").wait_for()  # what is run earlier is lost
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()


PEOPLE, SIDE = 60, 250
COLOURS = ":root { color-scheme: light dark; --ink: light-dark(#1c1c1c, #eeeeee) }"
SOURCE = """from pathlib import Path
import facelab as fl
from facelab.explorer.shown import Film, Shown
from facelab.verification import Calibration, Report

def embed(faces):
    return faces.images.reshape(2, -1).astype(float)

place = Path({folder!r})
photos = {{"data": str(place / "lfw"), "crop": 128, "embed": embed, "image_size": 32}}
first, second = (Report.load(place / file) for file in ("first.npz", "second.npz"))
film = Film.load(place / "film.npz", "drawn", True)
known = Calibration.of_plain({plain!r})
others = Shown("another", second, calibration=known, **photos)
fl.explore([Shown("the first", first, film, **photos), others])
"""
# Of which the ends are open here and there, as where too few people say more.
LOG_LR = np.linspace(6, -6, 801).round(4).tolist()
OPEN = [None] * 801
PLAIN = {"log_lr": LOG_LR, "low": [x - 1 for x in LOG_LR[:400]] + OPEN[:401], "high": OPEN}
PLAIN |= {"method": "logistic", "threshold": 1.0, "name": "dev", "people": 12}
PLAIN |= {"cllr": {"before": 0.9, "logistic": 0.5, "isotonic": 0.6}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two results on the same pairs, the film of the first, and the photos."""
    folder, rng = tmp_path_factory.mktemp("results"), np.random.default_rng(0)
    names = [f"Per_Son_{k}" for k in range(PEOPLE)]
    ids = [f"{name}_{i:04d}" for i in (1, 2) for name in names]
    for image, name in zip(ids, names * 2, strict=True):
        place = folder / "lfw" / name
        place.mkdir(parents=True, exist_ok=True)
        coarse = PIL.Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8))
        coarse.resize((SIDE, SIDE)).save(place / f"{image}.jpg", quality=90)
    n = 600
    left = rng.integers(PEOPLE, size=n)
    same = rng.random(n) < 0.5
    other = (left + rng.integers(1, PEOPLE, size=n)) % PEOPLE
    right = np.where(same, left, other) + PEOPLE
    fields = {"threshold_from": "best accuracy and best F1 on dev", "rule": "accuracy and f1"}
    fields |= {"name": "View 1 test", "role": "test", "source": "drawn", "synthetic": True}
    fields["known_errors"] = np.arange(n) % 3 == 0
    for k, file in enumerate(("first", "second")):
        d = rng.normal(np.where(same, 0.8, 1.1 + 0.1 * k), 0.2).clip(0, 2)
        pairs = (d, same, np.zeros(n), left, right, ids, names * 2)
        Report(*pairs, 0.9, f1_threshold=0.97, **fields).save(folder / f"{file}.npz")
    moving = rng.normal(np.where(same, 0.8, 1.1), 0.2, (9, n)).clip(0, 2)
    Film(np.arange(9), "drawn", True, {"train": (moving, same), "dev": (moving, same)}).save(
        folder / "film.npz"
    )
    return folder


@pytest.fixture(scope="module")
def shown(folder):
    """What the notebook of `SOURCE` shows."""
    film = Film.load(folder / "film.npz", "drawn", True)
    first, second = (Report.load(folder / f"{file}.npz") for file in ("first", "second"))
    known = Calibration.of_plain(PLAIN)
    return [Shown("the first", first, film), Shown("another", second, calibration=known)]


def write_notebook(path, source):
    cells = [nbformat.v4.new_markdown_cell("# Explore"), nbformat.v4.new_code_cell(source)]
    cells.append(nbformat.v4.new_markdown_cell("The end"))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def write_page(path, shown):
    """Write what the report holds: a page without a kernel."""
    script, style = payload.front_end()
    data = payload.inline(*payload.payload(shown))
    path.write_text(
        f'<!doctype html><meta charset="utf-8"><style>{COLOURS}{style}</style>'
        '<div id="explorer"></div>'
        f'<script type="application/json" id="data">{data}</script>'
        f'<script type="module">{script}\nmountPage(document.getElementById("explorer"), '
        'JSON.parse(document.getElementById("data").textContent));</script>',
        encoding="utf-8",
    )
    return path


def measured(one):
    """Return what is shown with a network at hand."""
    return replace(one, embed=np.asarray)


def write_live(path, shown):
    """Write the page with a kernel that has nothing but the results."""
    text = write_page(path, list(shown)).read_text(encoding="utf-8")
    kernel = """const { meta, buffers } = JSON.parse(document.getElementById("data").textContent);
    const bytes = buffers.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
    const model = { off() {}, on: (_, answer) => { model.answer = answer; } };
    model.send = ({ ask, kind }) => setTimeout(() => (kind === "ready" ?
      model.answer({ ask, meta }, bytes) : model.answer({ ask, error: "no kernel" }, [])));
    render({ model, el: document.getElementById("explorer") });</script>"""
    path.write_text(text[: text.rindex("mountPage(")] + kernel, encoding="utf-8")
    return path


def numpy_says(report, threshold):
    accepted, same = report.distances < np.float64(threshold), report.same
    tp, fp = int((accepted & same).sum()), int((accepted & ~same).sum())
    fn, tn = int(same.sum()) - tp, int((~same).sum()) - fp
    rates = {"precision": tp / (tp + fp) if tp + fp else np.nan, "recall": tp / (tp + fn)}
    rates |= {"f1": 2 * tp / (2 * tp + fp + fn), "accuracy": (tp + tn) / len(same)}
    rates |= {"far": fp / (fp + tn), "frr": fn / (tp + fn)}
    return {"tp": tp, "fp": fp, "fn": fn, "tn": tn}, rates


def settle(page):
    """Wait for three frames, a new size takes two, and for what follows when the threshold rests.

    That is a timer of the page, started in one of these frames: it comes before a longer one that
    is started after, however busy the machine is.
    """
    page.evaluate("""async () => {
        for (let k = 0; k < 3; k++) await new Promise(requestAnimationFrame);
        await new Promise((done) => setTimeout(done, 200));
    }""")


def resize(page, width, height):
    """Give the page another size, and wait until it has it."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function("width => innerWidth === width", arg=width)
    settle(page)


def hold_against_numpy(page, report):
    """Compare the numbers on the page with NumPy's at the page's threshold; return that."""
    settle(page)
    root = page.locator(".fl-explorer")
    threshold = float(root.get_attribute("data-threshold"))
    counts, rates = numpy_says(report, threshold)
    assert {k: int(root.get_attribute(f"data-{k}")) for k in counts} == counts
    for metric, value in rates.items():
        cell = page.locator(f"[data-metric={metric}]")
        assert float(cell.get_attribute("data-value")) == pytest.approx(value, nan_ok=True)
        assert cell.inner_text() == ("–" if np.isnan(value) else f"{100 * value:.1f} %")
    told = [text.text_content() for text in page.locator(".fl-main .fl-distances > text").all()]
    found = [
        int(re.match("[\\d,]+", text)[0].replace(",", "")) for text in told if text[0].isdigit()
    ]
    assert found == [counts[k] for k in ("tp", "fp", "fn", "tn")]
    return threshold


def drag(page, to):
    """Drag the threshold to a share of the figure's width."""
    grip = page.locator(".fl-main .fl-grip")
    grip.scroll_into_view_if_needed()
    box, plot = grip.bounding_box(), page.locator(".fl-main .fl-catch").first.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    for part in (0.5, 1):
        page.mouse.move(box["x"] + part * (plot["x"] + to * plot["width"] - box["x"]), y + 5)
    page.mouse.up()


def try_everything(page, shown):
    """Drag, click, type and choose as a reader would, and compare each time."""
    report, second = (one.report for one in shown)
    page.wait_for_selector(".fl-main .fl-grip")
    options = page.locator("select.fl-which option")
    assert [n.get_attribute("data-name") for n in options.all()] == [s.name for s in shown]
    texts = [f"AUC {one.report.metrics()['auc']:.3f} · {one.name}" for one in shown]
    assert options.all_inner_texts() == texts
    assert page.locator("[aria-label=Faces]").count() == 0  # all are drawn
    assert page.locator(".fl-source .fl-synthetic").inner_text() == report.source

    # The first state: the thresholds of dev people, with the report's own intervals.
    page.locator("[data-metric=f1] ~ .fl-interval:not([data-low=''])").wait_for()
    assert hold_against_numpy(page, report) == report.threshold
    expected = report.intervals()
    for preset, value, metrics in (
        ("set", report.threshold, ("accuracy", "far", "frr")),
        ("set_f1", report.f1_threshold, ("f1", "precision", "recall")),
    ):
        page.locator(f"[data-preset={preset}]").click()
        assert hold_against_numpy(page, report) == value
        badge = page.locator(".fl-badge").inner_text()
        assert f"Chosen beforehand: {report.threshold_from}" in badge
        assert f"{report.threshold_from}. The people of these pairs had no say in it" in badge
        for metric in metrics:
            ends = page.locator(f"[data-metric={metric}] ~ .fl-interval")
            told = [float(ends.get_attribute(f"data-{end}")) for end in ("low", "high")]
            assert told == pytest.approx(expected[metric], abs=1e-6)

    # Drag it.
    for to in (0.3, 0.62):
        drag(page, to)
        threshold = hold_against_numpy(page, report)
        assert threshold != report.threshold
        assert "Exploration, not a result" in page.locator(".fl-badge").inner_text()

    # With the keyboard, and to its ends.
    page.locator(".fl-main .fl-grip").focus()
    page.keyboard.press("ArrowRight")
    assert hold_against_numpy(page, report) > threshold
    page.keyboard.press("Home")
    hold_against_numpy(page, report)
    page.keyboard.press("End")
    hold_against_numpy(page, report)

    # The buttons are verification's own.
    for key, (value, _) in payload.buttons(report).items():
        page.locator(f"[data-preset={key}]").click()
        assert hold_against_numpy(page, report) == value
    page.locator("[data-preset=set]").click()
    assert hold_against_numpy(page, report) == report.threshold

    # Click a bin.
    catch = page.locator(".fl-main .fl-catch").first
    box = catch.bounding_box()
    catch.click(position={"x": 0.15 * box["width"], "y": 0.5 * box["height"]})
    panel = page.locator(".fl-pairs")
    low, high = (float(panel.get_attribute(f"data-{end}")) for end in ("low", "high"))
    inside = (report.distances >= np.float64(low)) & (report.distances < np.float64(high))
    assert inside.any()
    for kind, of_kind in (("same", report.same), ("different", ~report.same)):
        assert int(panel.get_attribute(f"data-{kind}")) == (inside & of_kind).sum()
    cards = page.locator(".fl-pairs .fl-card")
    assert cards.count() == min(8, inside.sum())
    for k in range(cards.count()):
        pair = int(cards.nth(k).get_attribute("data-pair"))
        assert inside[pair]
        assert float(cards.nth(k).get_attribute("data-distance")) == report.distances[pair]
        images = [report.left_ids[pair], report.right_ids[pair]]
        is_marked = "known to be wrong" in cards.nth(k).inner_text()
        assert is_marked == report.known_errors[pair]
        shown = cards.nth(k).locator("[data-image]")
        assert [n.get_attribute("data-image") for n in shown.all()] == images
        assert cards.nth(k).locator(".fl-files span").all_text_contents() == images

    # The worst mistakes are the report's.
    for key, kind in (("accepts", "false accept"), ("rejects", "false reject")):
        page.locator(f".fl-pairs [data-key={key}]").click()
        settle(page)
        mistakes = report.mistakes(8)
        expected = mistakes["pair"][mistakes["kind"] == kind].tolist()
        assert [int(c.get_attribute("data-pair")) for c in cards.all()] == expected

    # Two runs.
    page.locator("[data-tab=compare]").click()
    settle(page)
    node = page.locator(".fl-compare")
    right, right_second = (one.accepted == one.same for one in (report, second))
    assert int(node.get_attribute("data-only-a")) == (right & ~right_second).sum()
    assert int(node.get_attribute("data-only-b")) == (~right & right_second).sum()

    page.locator("[data-tab=film]").click()
    settle(page)
    assert page.locator(".fl-film svg").count() == 2
    assert page.locator(".fl-film .fl-synthetic").inner_text() == "drawn"
    assert page.wrong == []


def try_two_photos(page, shown):
    """Hold photos of the run against each other, where its network is at hand."""
    report, second = (one.report for one in shown)
    page.locator("[data-tab=two]").click()
    settle(page)
    for k, image in enumerate((report.left_ids[5], report.right_ids[5])):
        page.locator(".fl-picker input[type=text]").nth(k).fill(image)
    told = float(report.distances[5])
    shows = "told => Number(document.querySelector('.fl-two').dataset.distance) === told"
    page.wait_for_function(shows, arg=told)
    accepted = "Same person" if told < report.threshold else "Different people"
    assert page.locator(".fl-outcome strong").first.inner_text() == accepted
    truth = "They are one person" if report.same[5] else "They are two people"
    verdict = "right ✓" if report.accepted[5] == report.same[5] else "wrong ✗"
    assert page.locator(".fl-truth").inner_text() == f"{truth}: {verdict}"
    whole = [text.replace("_", " ") for text in (report.left_ids[5], report.right_ids[5])]
    assert page.locator(".fl-whole").all_inner_texts() == whole

    # How sure: what Python says by the network's calibration, else by that of the run's own pairs.
    page.locator(".fl-two select").select_option("0.1")
    own, kept = calibrate_report(report, n=100), Calibration.of_plain(PLAIN)
    runs = (("0", report, own, "the tested pairs themselves"), ("1", second, kept, "dev people"))
    for number, run, known, on in runs:
        page.locator("select.fl-which").select_option(number)
        told = run.distances[5]
        page.wait_for_function(shows, arg=float(told))
        page.locator(".fl-sure", has_text="P(same) is").wait_for()
        sure = known.how_sure(told, prior=0.1).iloc[0]
        ends = [f"{100 * sure[end]:.1f} %" for end in ("p_same", "p_low", "p_high")]
        said = page.locator(".fl-sure").inner_text()
        assert said.startswith("P(same) is {} (95 % interval {} to {})".format(*ends))
        assert f"calibrated on {on}" in said
    page.locator("select.fl-which").select_option("0")
    settle(page)

    assert report.known_errors[6]  # whose label says nothing of who is right
    for k, image in enumerate((report.left_ids[6], report.right_ids[6])):
        page.locator(".fl-picker input[type=text]").nth(k).fill(image)
    page.wait_for_function(shows, arg=float(report.distances[6]))
    assert "a label that is known to be wrong" in page.locator(".fl-truth").inner_text()

    # Other photos, and how often same pairs are met.
    two = page.locator(".fl-picker input[type=text]")
    before = two.nth(0).input_value()
    random = page.get_by_role("button", name="Random").nth(0)
    for use in (random.click, lambda: random.press("Enter")):
        for _ in range(20):  # one in many is drawn again
            use()
            if two.nth(0).input_value() != before:
                break
        assert two.nth(0).input_value() != before
        before = two.nth(0).input_value()
    page.locator(".fl-two:not([data-distance=''])").wait_for()  # measured
    page.locator(".fl-outcome select").focus()
    page.keyboard.press("End")
    assert page.locator(".fl-outcome select").input_value() == "0.001"
    assert page.wrong == []


def try_photos(page, folder, report):
    """Look at photos, and upload some: the very file of a photo, moved, zoomed, and enlarged."""
    page.locator("[data-tab=pairs]").click()
    page.locator(".fl-pairs .fl-card img").first.wait_for()
    page.locator("[data-tab=two]").click()
    pickers = page.locator(".fl-picker")
    image, person = str(report.left_ids[3]), str(report.people[report.left[3]])
    pickers.nth(0).locator("input[type=text]").fill(image)
    path = folder / "lfw" / person / f"{image}.jpg"
    pickers.nth(1).locator("input[type=file]").set_input_files(path)
    distance = "Number(document.querySelector('.fl-two').dataset.distance || NaN)"
    page.wait_for_function(f"{distance} === 0")
    assert pickers.nth(1).locator(".fl-hint").is_visible()
    pickers.nth(1).locator("canvas").focus()
    page.keyboard.press("ArrowLeft")  # all of the photo is in the square: it stays, sent anew
    page.wait_for_timeout(1000)
    page.wait_for_function(f"{distance} < 0.05")
    pickers.nth(1).locator("input[type=range]").fill("2")
    page.wait_for_function(f"{distance} > 0.1")
    large = folder / "large.png"
    PIL.Image.open(path).resize((1000, 1000)).save(large)
    pickers.nth(1).locator("input[type=file]").set_input_files(large)
    page.wait_for_function(f"{distance} > 0 && {distance} < 0.1")
    assert page.wrong == []


def try_uploads(page, folder, report):
    """Choose the same file again, files that are no photos, and another run."""
    page.locator("[data-tab=two]").click()
    pickers, message = page.locator(".fl-picker"), page.locator(".fl-outcome .fl-lead")
    chosen = pickers.nth(1).locator("input[type=file]")
    image, person = str(report.left_ids[3]), str(report.people[report.left[3]])
    path = folder / "lfw" / person / f"{image}.jpg"
    pickers.nth(0).locator("input[type=text]").fill(image)
    frames = [PIL.Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "moves.png", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "moves.gif", save_all=True, append_images=frames[1:])
    (folder / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "broken.jpg").write_bytes(path.read_bytes()[:200])
    header = (folder / "moves.png").read_bytes()
    (folder / "bomb.png").write_bytes(header[:16] + b"\0\0\xff\xff" * 2 + header[24:])
    for file, why in (
        ("moves.png", "is an animation; a photo stands still."),
        ("moves.gif", "is no JPEG or PNG photo."),
        ("drawing.svg", "is no JPEG or PNG photo."),
        ("broken.jpg", "is not a photo that the browser can read."),
        ("bomb.png", "has 65535 x 65535 pixels; a photo has 100,000,000 or fewer."),
    ):
        chosen.set_input_files(path)
        page.wait_for_function("document.querySelector('.fl-two').dataset.distance === '0'")
        assert pickers.nth(1).locator(".fl-whole").inner_text() == path.name
        chosen.set_input_files(folder / file)
        page.wait_for_function("document.querySelector('.fl-two').dataset.distance === ''")
        assert message.inner_text() == f"{file} {why}"
        assert page.locator(".fl-truth").inner_text() == ""

    # What was uploaded stays when the run changes.
    chosen.set_input_files(path)
    page.wait_for_function("document.querySelector('.fl-two').dataset.distance === '0'")
    for run in ("1", "0"):
        page.locator("select.fl-which").select_option(run)
        settle(page)
        page.wait_for_function("document.querySelector('.fl-two').dataset.distance === '0'")
        assert pickers.nth(1).locator(".fl-whole").inner_text() == path.name
        assert pickers.nth(0).locator("input[type=text]").input_value() == image
    assert page.wrong == []


def try_controls(page):
    """Use every kind of control by mouse and by keyboard."""
    # Tabs by their arrows, the curve by a space.
    page.locator("[data-tab=pairs]").click()
    keys = [tab.get_attribute("data-tab") for tab in page.locator("[data-tab]:visible").all()]
    for key in (*keys[1:], keys[0]):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.dataset.tab") == key
        assert page.locator(f"[data-tab={key}]").get_attribute("aria-selected") == "true"
    curve = page.locator(".fl-roc")
    page.locator(".fl-side-figure [data-key=det]").focus()
    page.keyboard.press("Space")
    assert curve.get_attribute("aria-label").startswith("DET")
    page.locator(".fl-side-figure [data-key=roc]").click()
    assert curve.get_attribute("aria-label").startswith("ROC")

    # A number, typed.
    root = page.locator(".fl-explorer")
    page.locator(".fl-number").fill("0.75")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.fl-explorer').dataset.threshold === '0.75'")
    settle(page)
    assert root.get_attribute("data-threshold") == "0.75"

    # Hovering counts; a click brings the pairs into view; the arrows step.
    pairs = page.locator(".fl-pairs")
    resize(page, 800, 500)
    catch = page.locator(".fl-main .fl-catch").first
    catch.scroll_into_view_if_needed()
    box = catch.bounding_box()
    place = {"x": 0.6 * box["width"], "y": 0.5 * box["height"]}
    catch.hover(position=place)
    told = page.locator(".fl-main .fl-told").text_content()
    catch.click(position=place)
    settle(page)
    assert told == pairs.locator(".fl-lead").inner_text().removeprefix("Distance ")
    card = pairs.locator(".fl-card").first
    within = (
        "n => n.getBoundingClientRect().top >= 0"
        " && n.getBoundingClientRect().top < innerHeight - 40"
    )
    assert card.evaluate(within)
    low = float(pairs.get_attribute("data-low"))
    page.locator(".fl-step").nth(1).focus()
    page.keyboard.press("Enter")
    settle(page)
    assert float(pairs.get_attribute("data-low")) > low
    page.locator(".fl-step").nth(0).click()
    settle(page)
    assert float(pairs.get_attribute("data-low")) == low
    resize(page, 1300, 1000)

    # More pairs.
    pairs.locator("[data-key=nearest]").click()
    settle(page)
    for n, use in ((16, "click"), (24, "press")):
        more = pairs.locator(".fl-quiet")
        more.click() if use == "click" else more.press("Space")
        settle(page)
        assert pairs.locator(".fl-card").count() == n

    # The second threshold, and which of the two is right.
    page.locator("[data-tab=compare]").click()
    settle(page)
    grips = page.locator(".fl-compare .fl-grip")
    before = float(grips.nth(1).get_attribute("aria-valuenow"))
    grips.nth(1).focus()
    page.keyboard.press("ArrowLeft")
    settle(page)
    assert float(grips.nth(1).get_attribute("aria-valuenow")) < before
    page.locator(".fl-compare [data-key=b]").press("Enter")
    assert page.locator(".fl-compare [data-key=b]").get_attribute("aria-pressed") == "true"

    # Epochs, by the slider's arrows and played.
    page.locator("[data-tab=film]").click()
    settle(page)
    film, slider = page.locator(".fl-film"), page.locator(".fl-film .fl-range")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert film.get_attribute("data-epoch") == "1"
    play = page.get_by_role("button", name="Play")
    play.press("Space")
    page.wait_for_function("document.querySelector('.fl-film').dataset.epoch === '8'")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert film.get_attribute("data-epoch") == "4"

    # Another run.
    which = page.locator("select.fl-which")
    which.focus()
    page.keyboard.press("ArrowDown")
    settle(page)
    assert which.input_value() == "1"
    page.keyboard.press("ArrowUp")
    settle(page)
    assert which.input_value() == "0"
    assert page.wrong == []


def try_keys(page):
    """Press keys that JupyterLab has shortcuts for, on everything that can have the focus."""
    cells = page.locator(".jp-Notebook .jp-Cell")
    n = cells.count()
    assert n == 3
    for tab in ("pairs", "compare", "film", "two"):
        page.locator(f"[data-tab={tab}]").click()
        settle(page)
        found = page.locator(
            ".fl-explorer :is(button, input, select, summary, [tabindex]):not(:disabled):visible"
        )
        assert found.count() > 15
        for k in range(found.count()):
            if k < found.count():  # a key may choose another run, with fewer controls
                found.nth(k).focus()
            for key in ("b", "ArrowLeft", "x", "ArrowRight"):
                page.keyboard.press(key)
        settle(page)
        assert cells.count() == n, tab
        assert page.locator(".fl-main .fl-grip").is_visible(), tab
    last = page.locator("[data-tab=two]")  # without its attribute, JupyterLab takes the key
    last.evaluate("n => n.removeAttribute('data-lm-suppress-shortcuts')")
    last.focus()
    page.keyboard.press("b")
    page.wait_for_function("document.querySelectorAll('.jp-Notebook .jp-Cell').length === 4")


def test_the_explorer_works_in_jupyterlab(page, folder, shown, tmp_path):
    place = tmp_path / "notebooks"
    place.mkdir()
    write_notebook(place / "explore.ipynb", SOURCE.format(folder=str(folder), plain=PLAIN))
    arguments = ["jupyterlab", f"--ServerApp.root_dir={place}", "--IdentityProvider.token=token"]
    arguments += ["--allow-root"]
    with server(arguments, "/api", tmp_path) as address:
        run_all(page, f"{address}/lab/tree/explore.ipynb?token=token")
        page.wait_for_selector(".fl-explorer")
        plain = page.locator(".jp-OutputArea-output > img")
        assert plain.count() and not any(one.is_visible() for one in plain.all())
        try_everything(page, shown)
        try_two_photos(page, shown)
        try_photos(page, folder, shown[0].report)
        try_uploads(page, folder, shown[0].report)
        try_controls(page)
        try_keys(page)


def status(url, **headers):
    """Ask without a browser, where redirected too; return the answer's code."""
    try:
        asked = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(asked, timeout=60) as got:
            return got.status
    except HTTPError as error:
        error.close()
        return error.code


def upgraded(url, **headers):
    """Ask for a WebSocket, which urllib cannot: it closes every connection."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_make_explore_serves_a_page_to_who_has_its_token(page, folder, shown, tmp_path):
    assert "/facelab explore $(ARGS)\n" in (ROOT / "Makefile").read_text()
    place = tmp_path / "notebooks"
    place.mkdir()
    write_notebook(place / "explore.ipynb", SOURCE.format(folder=str(folder), plain=PLAIN))
    PIL.Image.new("RGB", (9, 9)).save(place / "secret.png")
    page_of = ["facelab", "explore", str(tmp_path)]
    with server(page_of, "/voila/static/none", tmp_path) as address:
        token = re.search("token=[0-9a-f]{32,}", (tmp_path / "log").read_text())[0]
        assert address.startswith("http://127.0.0.1:")
        for path in ("/", "/?token=guessed"):
            page.goto(address + path)
            assert page.url.startswith(f"{address}/login")
        page.wrong.clear()  # of the login page

        # It serves nothing but its page, and that to this machine's own names alone.
        for path in ("/voila/files/secret.png", "/voila/files/explore.ipynb", "/secret.png"):
            assert status(f"{address}{path}?{token}") == 403
        assert status(f"{address}/?{token}", Host="elsewhere.example") == 403

        page.goto(f"{address}/?{token}", wait_until="commit")
        assert "Reading the results" in page.locator("#loading").inner_text()
        try_everything(page, shown)
        try_two_photos(page, shown)
        try_photos(page, folder, shown[0].report)
        try_uploads(page, folder, shown[0].report)
        try_controls(page)
        assert page.locator("img[src^='data:image/png']").count() == 0  # no figure twice
        own = (address, address.replace("http", "ws"), "data:", "blob:")
        assert [url for url in page.asked if not url.startswith(own)] == []

        # A page of another server cannot speak to the kernel with the reader's cookie.
        config = json.loads(page.locator("#jupyter-config-data").text_content())
        cookies = "; ".join(f"{c['name']}={c['value']}" for c in page.context.cookies())
        channels = f"{address}/api/kernels/{config['kernelId']}/channels"
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Cookie": cookies}
        upgrade |= {"Sec-WebSocket-Key": "x" * 22 + "==", "Sec-WebSocket-Version": "13"}
        assert upgraded(channels, **upgrade, Origin="http://elsewhere.example") == 403
        assert upgraded(channels, **upgrade, Origin=address) == 101


def test_a_page_without_results_says_what_to_do_and_what_is_damaged(page, tmp_path):
    nothing = [Shown("old/01", problem="expected a record of schema 2, got 1")]
    page.goto(write_page(tmp_path / "page.html", nothing).as_uri())
    text = page.locator(".fl-explorer")
    assert "Nothing to explore yet" in text.inner_text()
    assert "facelab run 01" in text.inner_text()
    page.locator("summary").click()
    assert "old/01 expected a record of schema 2, got 1" in text.inner_text()
    assert page.wrong == []


def test_one_run_without_film_and_network_says_what_is_missing(page, shown, tmp_path):
    one = [shown[1], Shown("02/film.npz", problem="expected a film")]
    page.goto(write_page(tmp_path / "page.html", one).as_uri())
    page.locator("[data-tab=compare]").click()
    assert "only one run" in page.locator(".fl-compare").inner_text()
    page.locator("[data-tab=film]").click()
    assert "No training was recorded" in page.locator("[role=tabpanel]:visible").inner_text()
    assert page.locator(".fl-remarks summary").inner_text() == "One run or file could not be read"
    assert page.wrong == []


def test_two_photos_are_offered_only_where_a_network_is_kept(page, shown, tmp_path):
    why = page.locator(".fl-without")
    with_and_without = [measured(shown[0]), shown[1]]
    page.goto(write_page(tmp_path / "page.html", with_and_without).as_uri())
    page.wait_for_selector(".fl-main .fl-grip")
    for run in ("1", "0"):  # nothing in this page runs a network
        page.locator("select.fl-which").select_option(run)
        assert not page.locator("[data-tab=two]").is_visible()
        assert "would make the page several times as large" in why.inner_text()
    page.goto(write_live(tmp_path / "live.html", with_and_without).as_uri())
    page.locator("[data-tab=two]").click()
    assert not why.is_visible()
    page.locator("select.fl-which").select_option("1")
    assert not page.locator("[data-tab=two]").is_visible()
    assert not page.locator(".fl-two").is_visible() and page.locator(".fl-pairs").is_visible()
    assert "no network was kept for this run" in why.inner_text()
    page.locator("[data-tab=pairs]").press("End")  # the last that is offered
    assert page.locator("[data-tab=film]").get_attribute("aria-selected") == "true"
    page.locator("select.fl-which").select_option("0")
    assert page.locator("[data-tab=two]").is_visible() and not why.is_visible()
    assert page.wrong == []


def test_comparing_tells_the_intervals_of_the_differences(page, shown, tmp_path):
    page.goto(write_page(tmp_path / "page.html", shown).as_uri())
    page.locator("[data-tab=compare]").click()
    settle(page)
    a, b = (replace(one.report, f1_threshold=one.report.threshold) for one in shown)
    expected = compare(a, b).table.set_index("metric")
    cells = page.locator("[data-difference][data-low]")
    assert cells.count() == 8
    for cell in cells.all():
        row = expected.loc[cell.get_attribute("data-difference")]
        told = [float(cell.get_attribute(f"data-{end}")) for end in ("low", "high")]
        assert told == pytest.approx([row["low"], row["high"]], abs=0.4 * row["error"])
        row = cell.locator("xpath=..").inner_text()  # no sign of what is rounded to 0
        assert re.search(r"[-+−]0\.0+( |$)", row) is None
    page.locator(".fl-main .fl-grip").focus()
    page.keyboard.press("Home")  # where no precision is defined
    settle(page)
    assert "(" in page.locator("[data-difference=recall]").inner_text()
    assert page.locator("[data-difference=precision]").inner_text().strip() == ""
    assert page.wrong == []


def test_a_partner_on_the_same_pairs_is_chosen_unless_one_was_by_hand(page, tmp_path):
    reports = [make_report(n=100), *(make_report(seed=seed) for seed in range(3))]
    names = ["elsewhere", "one", "two", "three"]
    shown = [Shown(name, report) for name, report in zip(names, reports, strict=True)]
    shown[1] = replace(shown[1], is_best=True)
    page.goto(write_page(tmp_path / "page.html", shown).as_uri())
    page.locator("[data-tab=compare]").click()
    which, partner = page.locator("select.fl-which"), page.get_by_label("Compare with")
    chosen = partner.locator("option:checked")
    assert chosen.get_attribute("data-name") == "two"
    settle(page)
    assert page.locator("[data-difference][data-low]").count() == 8
    marked = partner.locator("option", has_text=re.compile(" · other pairs$"))
    assert [one.get_attribute("data-name") for one in marked.all()] == ["elsewhere"]
    for run, other in (("two", "one"), ("elsewhere", "one"), ("one", "two")):
        which.select_option(str(names.index(run)))
        assert chosen.get_attribute("data-name") == other, run
    partner.select_option("0")  # by hand
    for run, other in (("two", "elsewhere"), ("three", "elsewhere"), ("elsewhere", "one")):
        which.select_option(str(names.index(run)))
        assert chosen.get_attribute("data-name") == other, run
    assert page.wrong == []


def test_real_and_drawn_faces_stand_in_lists_of_their_own(page, tmp_path):
    drawn = {"source": "drawn", "synthetic": True}
    shown = [Shown("drawn", make_report(n=50, **drawn)), Shown("real", make_report())]
    shown += [Shown("best", make_report(0.4), is_best=True), Shown("second", make_report(**drawn))]
    page.goto(write_page(tmp_path / "page.html", shown).as_uri())
    which, faces = page.locator("select.fl-which"), page.get_by_label("Faces", exact=True)
    pressed = faces.locator("[aria-pressed=true]")

    def stands():
        options = [one.get_attribute("data-name") for one in which.locator("option").all()]
        return pressed.inner_text(), options, which.input_value()

    assert stands() == ("Real faces", ["real", "best"], "2")
    faces.get_by_text("Real faces").click()  # as it is already
    assert stands() == ("Real faces", ["real", "best"], "2")
    faces.get_by_text("Drawn faces").click()
    assert stands() == ("Drawn faces", ["drawn", "second"], "0")
    assert page.locator(".fl-source .fl-synthetic").inner_text() == "drawn"
    partner = page.get_by_label("Compare with", exact=True).locator("option:checked")
    assert partner.get_attribute("data-name") == "second"  # drawn as well
    which.select_option("3")
    assert stands() == ("Drawn faces", ["drawn", "second"], "3")
    faces.get_by_text("Real faces").click()
    assert stands() == ("Real faces", ["real", "best"], "2")
    assert page.wrong == []


def test_a_training_without_dev_people_says_so(page, tmp_path):
    moving, same = np.linspace(0.5, 1.5, 12).reshape(2, 6), np.arange(6) < 3
    films = [{"train": (moving, same)}, {"train": (moving, same), "dev": (moving, same)}]
    shown = [
        Shown(str(k), make_report(seed=k), Film(np.arange(2), "drawn", True, film))
        for k, film in enumerate(films)
    ]
    page.goto(write_page(tmp_path / "page.html", shown).as_uri())
    page.locator("[data-tab=film]").click()
    caption = page.locator(".fl-film .fl-hint")
    assert "No dev people were watched" in caption.inner_text()
    page.locator("select.fl-which").select_option("1")
    assert "dev people" not in caption.inner_text()
    assert page.wrong == []


def test_what_was_said_of_two_photos_goes_when_others_are_measured(page, shown, tmp_path):
    """A kernel finds every pair 0.5 apart; what stands before it answers is looked at."""
    live = write_live(tmp_path / "live.html", map(measured, shown)).read_text(encoding="utf-8")
    live = live.replace('error: "no kernel"', "distance: 0.5")
    (tmp_path / "measures.html").write_text(live, encoding="utf-8")
    page.set_viewport_size({"width": 585, "height": 900})
    page.goto((tmp_path / "measures.html").as_uri())
    page.locator("[data-tab=two]").click()
    told = """(outcome = document.querySelector(".fl-outcome")) =>
        [".fl-lead", ".fl-truth", ".fl-facts", ".fl-sure", ".fl-figure"].map((part) =>
        outcome.querySelector(part).textContent)
        .concat(document.querySelector(".fl-two").dataset.distance, outcome.offsetHeight)"""
    type_in = f"""(n, value) => {{
        n.value = value;
        n.dispatchEvent(new Event(n.tagName === "SELECT" ? "change" : "input"));
        return ({told})();
    }}"""
    report, second = (one.report for one in shown)
    names, which = page.locator("input.fl-text"), page.locator("select.fl-which")
    names.nth(0).fill(report.left_ids[3])
    recorded = names.nth(1).evaluate(type_in, report.right_ids[3]), which.evaluate(type_in, "1")
    assert [float(says[-2]) for says in recorded] == [report.distances[3], second.distances[3]]
    measuring = ["Measuring …", "", "", "", "", "", recorded[0][-1]]  # nothing jumps
    strangers = {*report.image_ids} - {*report.left_ids} - {report.right_ids[3]}  # are no pair
    assert names.nth(0).evaluate(type_in, min(strangers)) == measuring
    at_half = "document.querySelector('.fl-two').dataset.distance === '0.5'"
    page.wait_for_function(at_half)
    assert which.evaluate(type_in, "0") == measuring
    PIL.Image.new("RGB", (20, 20)).save(tmp_path / "own.png")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "own.png")
    page.locator(".fl-whole", has_text="own.png").wait_for()
    page.wait_for_function(at_half)
    assert page.get_by_label("Zoom of photo 1").evaluate(type_in, "2") == measuring
    assert page.wrong == []


def test_what_stands_in_a_field_is_whole(page, shown, tmp_path):
    page.goto(write_live(tmp_path / "page.html", map(measured, shown)).as_uri())
    page.locator(".fl-number").fill("0.8765432")
    page.locator("[data-tab=two]").click()
    page.locator("input.fl-text").first.fill("Sarah_Jessica_Parker_0001")
    room = """n => {
      const context = document.createElement("canvas").getContext("2d");
      const style = getComputedStyle(n);
      context.font = `${style.fontSize} ${style.fontFamily}`;
      const padding = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
      return n.clientWidth - padding - context.measureText(n.value).width;
    }"""
    assert page.locator("input.fl-text").first.evaluate(room) > 0
    assert page.locator(".fl-number").evaluate(room) > 20  # of its arrows


def test_a_wrong_name_and_a_slow_upload_leave_nothing_behind(page, shown, tmp_path):
    report = shown[0].report
    page.goto(write_live(tmp_path / "page.html", map(measured, shown)).as_uri())
    page.locator("[data-tab=two]").click()
    names, whole = page.locator("input.fl-text"), page.locator(".fl-whole").first
    left, right, other = str(report.left_ids[3]), str(report.right_ids[3]), str(report.left_ids[4])
    names.nth(0).fill(left)
    names.nth(1).fill(right)
    page.wait_for_function("document.querySelector('.fl-two').dataset.distance !== ''")
    before = page.locator(".fl-two").get_attribute("data-distance")
    names.nth(0).fill("nobody")
    names.nth(0).press("Enter")
    assert "No image of this run is called “nobody”." in page.locator(".fl-outcome").inner_text()
    assert whole.inner_text() == "" and names.nth(0).input_value() == "nobody"
    names.nth(0).fill(left)  # which was there before
    settle(page)
    assert page.locator(".fl-two").get_attribute("data-distance") == before
    page.evaluate("""() => {
      const { decode } = HTMLImageElement.prototype;
      HTMLImageElement.prototype.decode = function () {
        return new Promise((go) => { window.go = go; }).then(() => decode.call(this));
      };
    }""")
    PIL.Image.new("RGB", (20, 20)).save(tmp_path / "slow.png")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "slow.png")
    page.wait_for_function("Boolean(window.go)")  # a function would be called
    names.nth(0).fill(other)
    page.evaluate("window.go()")
    settle(page)
    assert whole.inner_text() == other.replace("_", " ")
    assert page.wrong == []


def test_why_a_photo_is_not_there_is_said_below_that_photo_alone(page, shown, tmp_path):
    text = write_live(tmp_path / "page.html", shown).read_text(encoding="utf-8")
    photo = io.BytesIO()
    PIL.Image.new("RGB", (9, 9)).save(photo, "jpeg")
    photo = base64.b64encode(photo.getvalue()).decode()
    kernel = f"""const photo = Uint8Array.from(atob("{photo}"), (c) => c.charCodeAt(0));
    const answered = model.send;
    model.send = (asked) => {{
      if (asked.kind !== "photos") return answered(asked);
      window.gone ??= asked.images[0];
      const images = asked.images.filter((image) => image !== window.gone);
      const why = images.length < asked.images.length ? "it is gone" : "";
      setTimeout(() => model.answer({{ ask: asked.ask, images, why }}, images.map(() => photo)));
    }};
    """
    before, after = text.rsplit("render({ model", 1)
    (tmp_path / "photos.html").write_text(f"{before}{kernel}render({{ model{after}", "utf-8")
    page.goto((tmp_path / "photos.html").as_uri())
    hint = page.locator(".fl-pairs .fl-hint")
    hint.filter(has_text="it is gone").wait_for()
    page.locator("[data-key=rejects]").click()
    settle(page)
    there = page.locator(".fl-pairs [data-image]")
    names = [one.get_attribute("data-image") for one in there.all()]
    assert names and page.evaluate("gone") not in names
    assert there.locator("img").count() == len(names)
    assert hint.inner_text() == ""
    page.locator("[data-key=nearest]").click()
    settle(page)
    assert hint.inner_text() == "it is gone"
    assert page.wrong == []


def test_what_is_being_typed_is_not_written_over(page, shown, tmp_path):
    page.goto(write_page(tmp_path / "page.html", shown).as_uri())
    number, root = page.locator(".fl-number"), page.locator(".fl-explorer")
    number.fill("0.7")
    page.locator(".fl-side-figure [data-key=det]").evaluate("n => n.click()")  # draws all anew
    settle(page)
    assert number.input_value() == "0.7"
    page.locator("[data-preset=set]").evaluate("n => n.click()")  # the threshold is there already
    settle(page)
    assert number.input_value() == "0.7"
    page.locator("[data-preset=set_f1]").evaluate("n => n.click()")
    settle(page)
    assert float(number.input_value()) == pytest.approx(shown[0].report.f1_threshold)
    number.fill("0.750")
    page.keyboard.press("Enter")
    settle(page)
    assert root.get_attribute("data-threshold") == "0.75" and number.input_value() == "0.750"


def test_the_plain_figure_goes_when_the_explorer_has_come(page, shown, tmp_path):
    """Beside one another as JupyterLab nests outputs, with a kernel that answers late."""
    text = write_page(tmp_path / "page.html", shown).read_text(encoding="utf-8")
    place = '<div class="jp-OutputArea-child">'
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "figure.png")
    text = text.replace(
        '<div id="explorer"></div>',
        f'{place}<img src="figure.png"></div>{place}<div id="explorer"></div></div>',
    )
    late = """const model = { off() {}, on: (_, answer) => { window.answer = answer; } };
    model.send = ({ ask }) => { window.ask = ask; };
    render({ model, el: document.getElementById("explorer") });
    const { meta, buffers } = JSON.parse(document.getElementById("data").textContent);
    const bytes = buffers.map((text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
    window.come = () => answer({ ask, meta }, bytes);</script>"""
    (tmp_path / "late.html").write_text(text[: text.rindex("mountPage(")] + late, encoding="utf-8")
    page.goto((tmp_path / "late.html").as_uri())
    page.get_by_text("Waiting for the kernel").wait_for()
    assert page.locator("img").first.is_visible()
    page.evaluate("come()")
    page.wait_for_selector(".fl-main .fl-grip")
    assert not page.locator("img").first.is_visible()
    assert page.wrong == []


def test_nothing_jumps_when_the_threshold_moves(page, shown, tmp_path):
    page.goto(write_page(tmp_path / "page.html", shown).as_uri())
    page.wait_for_selector(".fl-main .fl-grip")
    where = """() => Array.from(document.querySelectorAll(".fl-explorer, .fl-badge, .fl-top, "
        + ".fl-main, .fl-controls, .fl-tiles, .fl-tile, .fl-tabs, .fl-pairs .fl-holder"),
        (n) => n.getBoundingClientRect()).map((b, _, [root]) =>
        [b.x, b.y - root.y, b.width].map(Math.round))"""
    for width in (1300, 800, 420):
        resize(page, width, 1000)
        first = page.evaluate(where)
        for preset in ("set", "set_f1", "f1", "eer"):
            page.locator(f"[data-preset={preset}]").click()
            settle(page)
            assert page.evaluate(where) == first, (width, preset)
        page.locator(".fl-main .fl-grip").focus()
        for key in ("Home", "End"):
            page.keyboard.press(key)
            settle(page)
            assert page.evaluate(where) == first, (width, key)


def test_the_notebook_opens_on_committed_results(page, tmp_path):
    name = "lfw-cpu/01_siamese_baseline"
    shutil.copytree(ROOT / "outputs" / name, tmp_path / "outputs" / name)
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks/explore.ipynb", tmp_path / "notebooks")
    page_of = ["facelab", "explore", str(tmp_path), "--Voila.token=token"]
    with server(page_of, "/voila/static/none", tmp_path) as address:
        page.goto(f"{address}/?token=token", wait_until="commit")
        page.wait_for_selector(".fl-main .fl-grip")
        assert page.title() == "Explore faces and distances"
        assert page.locator("select.fl-which option").count() > 1
        best = page.locator("select.fl-which option:checked")
        assert best.get_attribute("data-name") == "01 · Siamese CNN, margin 1.00, 5 epochs"
        group = page.locator("select.fl-which optgroup").get_attribute("label")
        assert group == "01 · The Siamese baseline"
        assert page.locator(".fl-badge").get_attribute("data-kind") == "chosen"
        assert page.locator(".fl-source .fl-synthetic").count() == 0
        assert page.wrong == []


def test_a_page_explores_without_kernel_and_network(page, shown, tmp_path):
    page.context.set_offline(True)
    page.goto(write_page(tmp_path / "page.html", shown).as_uri())
    try_everything(page, shown)
    try_controls(page)
    elsewhere = [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))]
    assert elsewhere == []


def test_a_narrow_dark_page_holds_everything(page, shown, tmp_path):
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(write_live(tmp_path / "page.html", map(measured, shown)).as_uri())
    page.wait_for_selector(".fl-explorer.fl-dark")
    for tab in ("pairs", "compare", "film", "two"):
        page.locator(f"[data-tab={tab}]").click()
        settle(page)
        wide = "n => n.scrollWidth - n.clientWidth"
        assert page.locator(".fl-explorer").evaluate(wide) <= 1, tab
    page.locator("[data-tab=pairs]").click()
    page.add_style_tag(content=".fl-files { letter-spacing: 2px }")  # too wide in every font
    resize(page, 490, 800)
    broken = page.locator(".fl-files span").evaluate_all("""spans => {
        const range = document.createRange(), parts = spans.flatMap((span) => [...span.childNodes]);
        return parts.filter((n) => n.nodeType === Node.TEXT_NODE).filter((n) => {
            range.selectNode(n);
            return range.getClientRects().length > 1;
        }).map((n) => n.data);
    }""")
    assert broken == []  # only between the parts of a file's name
    assert page.wrong == []
