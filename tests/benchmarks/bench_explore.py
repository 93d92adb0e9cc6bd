"""Time a move of the explorer's threshold in headless Chromium; see README.md beside this file.

``python tests/benchmarks/bench_explore.py`` prints a table and writes
``outputs/bench/explore.json``. A move is a real one of the mouse; its time runs from the browser's
time stamp of the event to the first task after the frame that it changed was painted.
"""

import json
import platform
import statistics
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_explore_browser import FLAGS, find_chromium, run_all, server, write_notebook

OUT = Path("outputs/bench/explore.json")
MOVES = 60
SOURCE = """import numpy as np
import facelab as fl
n, rng = {n}, np.random.default_rng(0)
left = rng.integers(5000, size=n)
same = rng.random(n) < 0.5
right = np.where(same, left, (left + rng.integers(1, 5000, size=n)) % 5000) + 5000
names = [f"Person_{{k}}" for k in range(5000)]
ids = [f"{{name}}_{{i:04d}}" for i in (1, 2) for name in names]
d = rng.normal(np.where(same, 0.9, 1.2), 0.2).clip(0, 2)
said = dict(threshold_from="best F1 on dev", rule="f1", name="test", source="random numbers")
fl.explore(fl.Report(d, same, np.zeros(n), left, right, ids, names * 2, 1.0, **said))
"""
WATCH = """() => {
  window.times = [];
  window.addEventListener("pointermove", (event) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => window.times.push(performance.now() - event.timeStamp);
    channel.port2.postMessage(0);
  }), true);
}"""


def measure(page):
    """Drag the threshold to and fro; return the milliseconds of each move."""
    page.wait_for_selector(".fl-main .fl-grip")
    page.locator("[data-metric=f1] ~ .fl-interval:not([data-low=''])").wait_for()
    page.wait_for_timeout(1500)
    grip = page.locator(".fl-main .fl-grip")
    grip.scroll_into_view_if_needed()
    box = grip.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(WATCH)
    seen = set()
    for k in range(MOVES):
        page.mouse.move(x + 100 - 4 * abs(k - MOVES / 2), y)
        page.wait_for_timeout(40)
        seen.add(page.locator(".fl-explorer").get_attribute("data-threshold"))
    page.mouse.up()
    assert len(seen) > MOVES / 3, "the threshold did not move"
    return page.evaluate("window.times")


def in_jupyterlab(page, folder):
    options = [f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=token", "--allow-root"]
    with server(["jupyterlab", *options], "/api", folder) as address:
        run_all(page, f"{address}/lab/tree/bench.ipynb?token=token")
        return measure(page)


def in_voila(page, folder):
    with server(["voila", str(folder / "bench.ipynb")], "/voila/static/none", folder) as address:
        page.goto(address, wait_until="commit")
        return measure(page)


def main():
    """Measure every host with both numbers of pairs."""
    results = {}
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        version = browser.version
        for host, run in {"JupyterLab": in_jupyterlab, "Voila": in_voila}.items():
            for n in (1_000, 1_000_000):
                with tempfile.TemporaryDirectory() as folder:
                    write_notebook(Path(folder) / "bench.ipynb", SOURCE.format(n=n))
                    page = browser.new_page(viewport={"width": 1300, "height": 1000})
                    page.set_default_timeout(120_000)
                    times = run(page, Path(folder))
                    page.close()
                results[f"{host}, {n:,} pairs"] = times
                quantiles = statistics.quantiles(times, n=20)
                print(
                    f"{host:10} {n:>9,} pairs: median {statistics.median(times):5.1f} ms, "
                    f"95 % below {quantiles[-1]:5.1f} ms, {len(times)} moves",
                    flush=True,
                )
        browser.close()
    versions = {name: metadata.version(name) for name in ("anywidget", "jupyterlab", "voila")}
    record = {"milliseconds": results, "chromium": version, "versions": versions}
    record |= {"processor": platform.processor(), "python": platform.python_version()}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
