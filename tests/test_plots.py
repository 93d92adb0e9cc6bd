import io
import unicodedata
import warnings
from dataclasses import replace
from functools import cache

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from facelab import plots
from facelab.faces import Faces, Pairs
from facelab.plots.palette import COLOURS, DIFFERENT, GREY, INK, SAME
from facelab.verification import Report, calibrate, verify

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _style():
    with matplotlib.rc_context():
        plots.set_style()
        yield
    plt.close("all")


def make_report(n=400, seed=0, gap=0.25, **more):
    rng = np.random.default_rng(seed)
    same = np.arange(n) % 2 == 0
    d = np.clip(rng.normal(1.2 - gap * same, 0.15), 0, 2)
    people = [f"P_{p}" for p in range(n)]
    people += [f"P_{p}" if s else f"Q_{p}" for p, s in enumerate(same)]
    ids = [f"{person}_000{1 + (k >= n)}" for k, person in enumerate(people)]
    rows = np.arange(n)
    known = dict(name="View 1 test", source="drawn faces", synthetic=True, threshold=1.08)
    known |= dict(threshold_from="best accuracy and best F1 on dev", f1_threshold=1.12)
    return Report(d, same, np.zeros(n), rows, n + rows, ids, people, **(known | more))


def make_faces(seed=0):
    """40 images of eight people with 12 to 1 images; the pixels of image i are all i."""
    labels = np.repeat(np.arange(8), [12, 9, 7, 5, 3, 2, 1, 1])
    n = len(labels)
    names = ("George_W_Bush", "Ana_Guevara", "Jean-Pierre_Raffarin", "A_B", "X", "C_P", "Ann", "Bo")
    left, right = np.random.default_rng(seed).integers(n, size=(2, 300))
    pairs = Pairs(left, right, labels[left] == labels[right], name="View 1 test")[left != right]
    packed = np.ones((n, 3, 4, 4), np.uint8) * np.arange(n, dtype=np.uint8)[:, None, None, None]
    numbers = np.arange(n) - np.flatnonzero(np.append(True, np.diff(labels)))[labels] + 1
    rows = np.arange(n)
    return Faces(packed, rows, labels, names, numbers, "drawn faces", synthetic=True, pairs=pairs)


def make_history(epochs=40):
    epoch = np.arange(1, epochs + 1)
    auc = np.where(epoch % 5 == 0, 0.6 + epoch / 200, np.nan)
    table = pd.DataFrame({"epoch": epoch, "loss": 0.5 + np.exp(-epoch / 5), "dev_auc": auc})
    return table.assign(source="drawn faces", synthetic=True)


def face_report(faces):
    return verify(np.random.default_rng(1).normal(size=(len(faces), 5)), faces, 1.3)


def three_reports():
    gaps = {"contrastive, random pairs": 0.1, "contrastive + semi-hard": 0.25, "ArcFace": 0.02}
    return {name: make_report(gap=gap) for name, gap in gaps.items()}


def make_histories(epochs=3):
    """Two methods of two seeds, whose mean at epoch e is e / 10 and half a unit more."""
    keys = [(m, s, e) for m in "ab" for s in (0, 1) for e in range(1, epochs + 1)]
    table = pd.DataFrame(keys, columns=["method", "seed", "epoch"])
    table["dev_auc"] = table.epoch / 10 + table.seed + 0.5 * (table.method == "b")
    return table.assign(source="drawn faces", synthetic=True)


def make_intervals():
    rows = [("up", 0.05, 0.02, 0.08), ("down", -0.05, -0.08, -0.02), ("none", 0.01, -0.02, 0.04)]
    rows += [("untried", np.nan, np.nan, np.nan), ("one", 0.02, np.nan, np.nan)]
    table = pd.DataFrame(rows, columns=["label", "value", "low", "high"])
    return table.assign(source="drawn faces", synthetic=True, metric="AUC gained")


def make_results(n=9):
    auc = 0.9 - 0.04 * np.arange(n)
    table = pd.DataFrame({"value": auc, "low": auc - 0.05, "high": auc + 0.03})
    table = table.assign(label=[f"method {k}" for k in range(n)], group=["02", "04", "06"] * 3)
    return table.assign(source="drawn faces", synthetic=True, pairs="View 1 test")


@cache
def make_calibration():
    """Learned from 40 people who are in no other report here."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 2)
    names = tuple(f"Dev_{k}" for k in range(40))
    rows = np.arange(80)
    faces = Faces(np.zeros((1, 3, 1, 1), np.uint8), 0 * rows, labels, names, rows)
    x = rng.normal(size=(40, 8))[labels] + 1.2 * rng.normal(size=(80, 8))
    return calibrate(x, faces, n=20)


ON_AXES = {
    "calibration": lambda **k: plots.plot_calibration(make_calibration(), make_report(), **k),
    "loss": lambda **k: plots.plot_epochs(make_history(), reference={"m²/2": 0.5}, **k),
    "methods": lambda **k: plots.plot_epochs(make_histories(), "dev_auc", "method", **k),
    "logarithmic epochs": lambda **k: plots.plot_epochs(make_history(), log=True, **k),
    "distances": lambda **k: plots.plot_distances(make_report(), **k),
    "roc": lambda **k: plots.plot_roc(make_report(), **k),
    "roc, logarithmic, of three": lambda **k: plots.plot_roc(three_reports(), log=True, **k),
    "det of three": lambda **k: plots.plot_det(three_reports(), **k),
    "thresholds": lambda **k: plots.plot_thresholds(make_report(), **k),
    "faces": lambda **k: plots.plot_faces(make_faces(), **k),
    "rows of faces": lambda **k: plots.plot_faces(make_faces(), rows=range(20), **k),
    "mistakes": lambda **k: plots.plot_mistakes(face_report(make_faces()), make_faces(), **k),
    "images per person": lambda **k: plots.plot_images_per_person(make_faces(), **k),
}
FIGURES = ON_AXES | {
    "intervals": lambda: plots.plot_intervals(make_intervals(), strong=["up"]),
    "results": lambda: plots.plot_intervals(make_results(), make_results().label[3]),
}


def words_of(ax):
    """All words of a figure that are seen."""
    return [text for text in ax.findobj(Text) if text.get_text() and text.get_visible()]


def said(ax):
    ax.figure.canvas.draw()
    return "\n".join(text.get_text() for text in words_of(ax))


def caption(ax):
    return ax.get_title("right")


def title(ax):
    return ax.get_title("left").strip()


def is_marked(ax):
    (found,) = [text for text in words_of(ax) if text.get_text() == caption(ax)]
    return found.get_bbox_patch() is not None


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())
def test_every_figure_says_that_its_data_are_synthetic_and_keeps_its_words_inside(draw):
    ax = draw()
    assert caption(ax).startswith("drawn faces")
    assert is_marked(ax)
    ax.figure.canvas.draw()
    width, height = ax.figure.canvas.get_width_height()
    ticks = [*ax.get_xticklabels(), *ax.get_yticklabels()]
    for text in words_of(ax):
        assert text.get_fontsize() >= 11, text.get_text()
        if text not in ticks:
            (x0, y0), (x1, y1) = text.get_window_extent().get_points()
            assert 0 <= x0 < x1 <= width, text.get_text()
            assert 0 <= y0 < y1 <= height, text.get_text()


@pytest.mark.parametrize("draw", ON_AXES.values(), ids=ON_AXES.keys())
def test_figures_draw_on_the_axes_they_are_given_and_change_no_settings(draw):
    before = dict(matplotlib.rcParams)
    _, ax = plt.subplots()
    assert draw(ax=ax) is ax
    assert len(plt.get_fignums()) == 1
    assert dict(matplotlib.rcParams) == before


def test_caption_says_source_pairs_and_who_is_no_stranger_and_only_drawn_faces_get_the_box():
    texts = dict(source="not synthetic at all", synthetic=False, seen="people it was trained on")
    ax = plots.plot_roc(make_report(**texts))
    assert caption(ax) == "not synthetic at all · View 1 test · people it was trained on"
    assert not is_marked(ax)
    two = {"a": make_report(), "b": make_report(source="LFW", synthetic=False)}
    assert caption(plots.plot_roc(two)) == "drawn faces · View 1 test and LFW · View 1 test"
    assert is_marked(plots.plot_roc(two))
    assert caption(plots.plot_faces(make_faces())) == "drawn faces · View 1 test"
    ax = plots.plot_distances(make_report())  # described again: other words
    assert plots.describe(ax, "another title", None, "x", "y", "a formula, no faces") is ax
    assert (caption(ax), title(ax)) == ("a formula, no faces", "another title")
    assert not is_marked(ax)


@pytest.mark.parametrize(("low", "high"), [(55, 90), (210, 320), (3, 40), (0.2, 5e4), (1e-5, 2)])
def test_logarithmic_axes_show_plain_numbers_however_little_they_span(low, high):
    ax = plt.subplots()[1]
    ax.plot([1, 2], [low, high])
    ax.set_yscale("log")
    plots.describe(ax, "title")
    ax.figure.canvas.draw()
    shown = [(t.get_position()[1], t.get_text()) for t in ax.get_yticklabels()]
    inside = [(y, text) for y, text in shown if low <= y <= high]
    assert len(inside) >= 3
    assert all(float(text.replace(",", "")) == pytest.approx(y) for y, text in inside)


def test_epochs_show_every_value_and_say_where_it_ends():
    history = make_history()
    ax = plots.plot_epochs(history, ["loss", "dev_auc"], reference={"collapse": 1.0})
    loss, auc, collapse = ax.lines
    np.testing.assert_array_equal(loss.get_xydata(), history[["epoch", "loss"]])
    np.testing.assert_array_equal(auc.get_xdata(), np.arange(5, 41, 5))
    assert (np.asarray(collapse.get_ydata()) == 1.0).all()
    assert legend_of(ax) == ["loss 0.500", "dev AUC 0.800", "collapse 1.00"]
    assert title(ax) == "Loss and dev AUC at the end: 0.500 to 0.800"
    alone = plots.plot_epochs(history.head(1))
    assert alone.lines[0].get_marker() == "o"
    assert title(alone) == "Loss at the end: 1.32"
    plots.plot_epochs(history.assign(dev_auc=np.nan), "dev_auc").figure.canvas.draw()


def test_epochs_of_methods_are_means_over_seeds_in_a_band_of_one_standard_error():
    ax = plots.plot_epochs(make_histories(), "dev_auc", by="method")
    assert legend_of(ax) == ["a 0.800", "b 1.30"]
    a, b = ax.lines
    np.testing.assert_allclose(a.get_ydata(), [0.6, 0.7, 0.8])
    np.testing.assert_allclose(b.get_ydata(), [1.1, 1.2, 1.3])
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == pytest.approx((0.1, 1.3))  # two seeds lie 1 apart
    assert "one standard error" in caption(ax)


def test_epochs_of_one_training_have_no_band_and_take_a_title_of_their_own():
    alone = make_histories().drop_duplicates(["method", "epoch"])
    ax = plots.plot_epochs(alone, "dev_auc", by="method", title="What it shows")
    assert title(ax) == "What it shows"
    assert "standard error" not in caption(ax)


def test_watched_panels_show_the_mean_distance_of_each_kind():
    rng = np.random.default_rng(0)
    rows = [(e, s, same) for e in (1, 2) for s in ("dev", "test") for same in (False, True) * 3]
    watched = pd.DataFrame(rows, columns=["epoch", "split", "same"])
    watched["distance"] = rng.random(len(watched))
    watched = watched.assign(role=watched.split, source="drawn faces", synthetic=True)
    axes = plots.plot_watched(watched, reference={"margin": 1})
    for ax, split in zip(axes, ("dev", "test"), strict=True):
        of_split = watched[watched.split == split]
        kinds = ((True, SAME), (False, DIFFERENT))
        for line, (same, colour) in zip(ax.lines, kinds, strict=False):
            expected = of_split[of_split.same == same].groupby("epoch").distance.mean()
            np.testing.assert_allclose(line.get_ydata(), expected)
            assert line.get_color() == colour
        assert title(ax).startswith(f"{split.title()} distance at the end: 0.")
        assert [text.split()[0] for text in legend_of(ax)] == ["same", "different", "margin"]
    assert axes[0].get_ylim() == axes[1].get_ylim()


def test_distances_shade_exactly_the_errors_of_the_report():
    report = make_report(1000)
    ax = plots.plot_distances(report)
    counts = report.metrics()
    outlines = [p for p in ax.patches if isinstance(p, matplotlib.patches.Polygon)]
    kinds = ((True, SAME, counts["frr"]), (False, DIFFERENT, counts["far"]))
    for outline, bars, (same, colour, rate) in zip(outlines, ax.containers, kinds, strict=True):
        x, y = outline.get_xy().T
        assert abs(np.trapezoid(y, x)) == pytest.approx(1)
        assert sum(bar.get_height() * bar.get_width() for bar in bars) == pytest.approx(rate)
        assert {to_hex(bar.get_facecolor()).upper() for bar in bars} == {colour}
        wrong = [bar for bar in bars if bar.get_height()]
        edges = [bar.get_x() if same else bar.get_x() + bar.get_width() for bar in wrong]
        assert (min(edges) if same else max(edges)) == pytest.approx(report.threshold)
    fp, fn = counts["fp"], counts["fn"]
    assert f"different: {fp} of 500 accepted, FAR {fp / 500:.1%}" in legend_of(ax)
    assert f"same: {fn} of 500 rejected, FRR {fn / 500:.1%}" in legend_of(ax)
    assert "threshold 1.08" in legend_of(ax)
    assert f"{fp + fn} of 1,000 pairs fall on the wrong side" in title(ax)
    assert caption(ax).endswith("threshold: best accuracy and best F1 on dev")


EXTREMES = {
    "constant": {"distances": np.full(400, 0.7)},
    "collapsed": {"distances": np.linspace(1e-9, 3e-9, 400)},
    "all accepted": {"threshold": 3.0},
    "none accepted": {"threshold": -1.0},
    "only same": {"same": np.ones(400, bool), "right": np.arange(400)},
    "only different": {"same": np.zeros(400, bool), "right": np.roll(np.arange(400), 1)},
}


@pytest.mark.parametrize("change", EXTREMES.values(), ids=EXTREMES.keys())
def test_distances_draw_the_extremes(change):
    report = replace(make_report(), **change)
    ax = plots.plot_distances(report)
    ax.figure.canvas.draw()
    assert ax.get_xlim()[0] < report.threshold < ax.get_xlim()[1]


def test_roc_and_det_are_the_table_and_name_their_figures():
    reports = three_reports()
    on_roc, on_det = plots.plot_roc(reports), plots.plot_det(reports)
    dots = on_det.lines[-1].get_xydata()
    for k, (name, report) in enumerate(reports.items()):
        roc, m = report.roc(), report.metrics()
        np.testing.assert_array_equal(on_roc.lines[k].get_xydata(), roc[["far", "tar"]])
        np.testing.assert_allclose(on_det.lines[k].get_ydata(), 1 - roc["tar"])
        assert f"{name}: AUC {m['auc']:.3f}" == " ".join(legend_of(on_roc)[k].split())
        assert f"{name}: EER {m['eer']:.1%}" == " ".join(legend_of(on_det)[k].split())
        np.testing.assert_allclose(dots[k], m["eer"])
    assert "50%" not in said(on_roc)
    assert "0.1%" in said(on_det)


def test_logarithmic_roc_marks_the_tar_at_one_percent():
    report = make_report()
    ax = plots.plot_roc(report, log=True)
    tar = report.tar_at_far(0.01)
    assert any(np.array_equal(line.get_xydata(), [[0.01, tar]]) for line in ax.lines)
    assert title(ax) == f"{tar:.1%} of same pairs accepted at 1% false accepts"


def test_logarithmic_roc_of_few_pairs_says_that_they_are_too_few():
    few, many = make_report(60), make_report()
    ax = plots.plot_roc(few, log=True)
    assert title(ax) == "FAR 1 % needs 100 different pairs or more, got 30"
    ax = plots.plot_roc({"few": few, "many": many}, log=True)
    assert "few: TAR\xa0unknown\xa0at\xa0FAR\xa01%" in legend_of(ax)
    assert title(ax) == f"{many.tar_at_far(0.01):.1%} of same pairs accepted at 1% false accepts"
    plots.plot_roc(make_report(2), log=True)  # of a single different pair


@pytest.mark.parametrize("order", [1, -1], ids=["perfect", "inverted"])
def test_operating_curves_draw_the_extremes(order):
    report = replace(make_report(), distances=1 - 0.5 * order * (2 * make_report().same - 1))
    plots.plot_roc(report, log=True).figure.canvas.draw()
    assert f"{0 if order > 0 else 100}.0% (EER)" in said(plots.plot_det(report))


def test_thresholds_step_where_a_distance_lies_and_mark_both_chosen_ones():
    report = make_report(60)
    ax = plots.plot_thresholds(report)
    steps = {patch.get_label().split()[0]: patch.get_data() for patch in ax.patches}
    dots = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "o"]
    for threshold in (0.9, report.threshold, report.f1_threshold, 1.2):
        expected = replace(report, threshold=threshold, f1_threshold=threshold).metrics()
        for metric in ("precision", "recall", "F1", "accuracy"):
            values, edges, _ = steps[metric]
            value = expected[metric.lower()]
            assert values[np.searchsorted(edges, threshold) - 1] == pytest.approx(value)
            chosen = report.threshold if metric == "accuracy" else report.f1_threshold
            if threshold == chosen:
                assert f"{metric} {value:.3f}" in legend_of(ax)
                assert any(np.allclose(dot, (chosen, value)) for dot in dots)
    assert {"for accuracy 1.080", "for F1 1.120"} <= set(legend_of(ax))
    accuracy, best = report.metrics()["accuracy"], report.roc()["accuracy"].max()
    assert title(ax) == f"Accuracy {accuracy:.3f}; at best, on these pairs, {best:.3f}"


def test_calibration_is_drawn_bin_by_bin_with_its_intervals_and_cllr():
    calibration, report = make_calibration(), make_report()
    ax = plots.plot_calibration(calibration, report)
    table = calibration.reliability(report)
    np.testing.assert_allclose(ax.lines[1].get_xydata(), table[["predicted", "observed"]])
    ends = [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()]
    assert ends == table[["low", "high"]].to_numpy().tolist()
    before, after = calibration.cllr_on(report)
    words = f"Cllr {before:.3f} before, {after:.3f} after {calibration.method} regression"
    assert caption(ax).replace("\n", " ").endswith(words)
    inside = table["predicted"].between(table["low"], table["high"]).sum()
    assert f"in {inside} of {len(table)} bins" in title(ax).replace("\n", " ")
    only_same = replace(report, same=np.ones(400, bool), right=report.left)
    with pytest.raises(ValueError, match="expected same and different pairs"):
        plots.plot_calibration(calibration, only_same)


@pytest.mark.parametrize("draw", [plots.plot_roc, plots.plot_det, plots.plot_thresholds])
def test_operating_curves_refuse_one_kind_of_pairs(draw):
    only_same = replace(make_report(10), same=np.ones(10, bool), right=np.arange(10))
    with pytest.raises(ValueError, match="same and different pairs, got 10 .* View 1 test"):
        draw(only_same)
    assert not plt.get_fignums()


@pytest.mark.parametrize("draw", [plots.plot_roc, plots.plot_det])
def test_operating_curves_are_of_one_report_or_more(draw):
    with pytest.raises(ValueError, match="expected reports to draw, got none"):
        draw({})
    assert not plt.get_fignums()


def test_faces_show_the_images_of_people_or_of_rows():
    faces = make_faces()
    most = plots.plot_faces(faces, people=2, images=3)
    assert [image.get_array()[0, 0, 0] for image in most.images] == [0, 1, 2, 12, 13, 14]
    assert title(most) == "2 of 8 people"
    rows = plots.plot_faces(faces, rows=[39, 0, 21], images=2)
    assert [image.get_array()[0, 0, 0] for image in rows.images] == [39, 0, 21]
    assert [t.get_text() for t in rows.texts] == ["Bo", "George W\nBush", "Jean-Pierre\nRaffarin"]


def test_mistakes_show_both_images_distance_and_kind():
    faces = make_faces()
    report = face_report(faces)
    ax, mistakes = plots.plot_mistakes(report, faces, n=3), report.mistakes(3)
    row_of = {image: row for row, image in enumerate(faces.image_ids)}
    ids = mistakes[["left_id", "right_id"]].to_numpy().ravel()
    assert [image.get_array()[0, 0, 0] for image in ax.images] == [row_of[i] for i in ids]
    below = [text.get_text().replace("\n", " ") for text in ax.texts[: len(ids)]]
    assert below == [image.replace("_", " ") for image in ids]
    for distance in mistakes["distance"]:
        assert f"{distance:.2f}" in said(ax)
    counts = report.metrics()
    assert f"{counts['fp']} taken for\nthe same person" in said(ax)
    assert f"{counts['fn']} taken for\ndifferent people" in said(ax)
    none = plots.plot_mistakes(replace(report, threshold=3.0), faces, n=3)
    assert "0 taken for\ndifferent people" in said(none)
    with pytest.raises(ValueError, match="expected the faces of the report, got none of"):
        plots.plot_mistakes(report, faces.select(["Ann"]), n=3)
    perfect = replace(report, distances=1.0 + ~report.same, threshold=1.5)
    with pytest.raises(ValueError, match="expected mistakes to show, got none in Report"):
        plots.plot_mistakes(perfect, faces)


def test_mistakes_whose_label_is_known_to_be_wrong_are_marked_and_counted():
    faces = make_faces()
    report = face_report(faces)
    wrong = np.flatnonzero(report.accepted != report.same)
    shown = report.mistakes(3)["pair"].iloc[0]
    known = np.isin(np.arange(len(report)), [shown, wrong[-1], *np.flatnonzero(report.accepted)])
    known &= report.accepted != report.same
    marked = replace(report, known_errors=known)
    words = said(plots.plot_mistakes(marked, faces, n=3))
    assert f"{report.distances[shown]:.2f} *" in words
    assert f"label known to be wrong: {known.sum()} of the mistakes" in words
    assert marked.mistakes(3)["known_error"].tolist() == known[report.mistakes(3)["pair"]].tolist()
    assert "known to be wrong" not in said(plots.plot_mistakes(report, faces, n=3))


def test_images_per_person_counts_people():
    ax = plots.plot_images_per_person(make_faces())
    expected = [[1, 2], [2, 1], [3, 1], [5, 1], [7, 1], [9, 1], [12, 1]]
    assert any(np.array_equal(line.get_xydata(), expected) for line in ax.lines)
    assert title(ax) == "2 of 8 people have a single image, one 12"


class Drawn:
    source, synthetic = "drawn faces", True


def test_what_a_miner_picks_is_counted_over_all_negatives():
    everything = np.linspace(0.5, 1.5, 100)
    picked = {"near": everything[:10], "nothing": np.array([])}
    axes = plots.plot_mined(picked, everything, Drawn)
    assert [title(ax) for ax in axes] == [
        "near: 10.0% picked, median 0.545",
        "nothing: 0.0% picked",
    ]
    assert caption(axes[0]) == "drawn faces · 10 picked of 100"
    assert caption(axes[1]) == "drawn faces · 0 picked of 100"
    assert sum(bar.get_height() for bar in axes[1].containers[0]) == 100
    plots.plot_mined({"all": np.full(9, 0.5)}, np.full(99, 0.5), Drawn)[0].figure.canvas.draw()


def test_results_are_drawn_in_order_with_their_intervals_groups_and_the_bar():
    results = make_results()
    bar = results.iloc[3]
    ax = plots.plot_intervals(results, bar=bar.label)
    assert [label.get_text() for label in ax.get_yticklabels()] == results.label.tolist()
    assert ax.yaxis_inverted()  # the first row on top
    intervals, diamonds = ax.collections
    ends = [segment[:, 0].tolist() for segment in intervals.get_segments()]
    assert ends == results[["low", "high"]].to_numpy().tolist()
    np.testing.assert_allclose(diamonds.get_offsets()[:, 0], results.value)
    assert {to_hex(c).upper() for c in diamonds.get_facecolors()} == set(COLOURS[:3])
    (band,) = ax.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((bar.low, 0.08))
    assert legend_of(ax) == ["02", "04", "06"]
    assert title(ax).startswith("3 of 8 lie above method 3")
    assert title(plots.plot_intervals(results)).endswith("is highest: 0.900")


def test_intervals_are_blue_above_zero_vermilion_below_grey_across_and_open_for_one_seed():
    table = pd.concat([make_intervals().assign(panel=panel) for panel in ("A", "B")])
    seeds = pd.DataFrame({"label": ["down", "up"], "panel": "A", "value": [-0.06, 0.07]})
    left, right = plots.plot_intervals(table, seeds=seeds, strong=["up"])
    for ax in (left, right):
        intervals, diamonds = ax.collections
        assert intervals.get_segments()[0].tolist() == [[0.02, 0], [0.08, 0]]
        colours = [to_hex(c).upper() for c in diamonds.get_edgecolors()]
        assert [colours[k] for k in (0, 1, 2, 4)] == [SAME, DIFFERENT, GREY, INK]
        inside = [to_hex(c).upper() for c in diamonds.get_facecolors()]
        assert [inside[k] for k in (0, 1, 2, 4)] == [SAME, DIFFERENT, GREY, "#FFFFFF"]
        assert [t.get_text() for t in ax.texts] == ["not measured"]
        assert caption(ax).endswith("open: one seed")
    assert title(left) == "A: 1 above zero, 1 below"
    (rings,) = [line for line in left.lines if line.get_marker() == "o"]
    assert rings.get_xydata().tolist() == [[-0.06, 1], [0.07, 0]]
    (empty,) = [line for line in right.lines if line.get_marker() == "o"]
    assert not len(empty.get_xdata())
    weights = {t.get_text(): t.get_weight() for t in left.get_yticklabels()}
    assert [label for label, weight in weights.items() if weight == "bold"] == ["up"]
    said = plots.plot_intervals(make_intervals().assign(instead="chapter 08"))
    assert [t.get_text() for t in said.texts] == ["chapter 08"]


def test_a_map_shows_every_photo_and_names_everybody_once():
    rng = np.random.default_rng(0)
    people = np.repeat([f"Person_Number_{k}" for k in range(12)], 9)
    maps = {"one": rng.normal(size=(len(people), 2))}
    maps["two"] = np.arange(12).repeat(9)[:, None] + 0.1 * rng.random((len(people), 2))
    axes = plots.plot_map(maps, people, Drawn)
    for ax, places in zip(axes, maps.values(), strict=True):
        (points,) = ax.collections
        np.testing.assert_allclose(points.get_offsets(), places)
    assert axes[0].get_legend() is None
    assert legend_of(axes[1]) == [f"Person Number {k}" for k in range(12)]
    assert title(axes[1]) == "two: 100% lie beside the same person"


def test_photos_in_one_place_of_a_map_lie_beside_each_other_and_not_beside_themselves():
    at = np.array([[0, 0], [0, 0], [3, 3], [3, 3.0]])
    (ax,) = plots.plot_map({"one": at}, np.array(["a", "b", "c", "d"]), Drawn)
    assert title(ax) == "one: 0% lie beside the same person"
    with pytest.raises(ValueError, match="expected two images or more in one, got 1"):
        plots.plot_map({"one": at[:1]}, np.array(["a"]), Drawn)


def test_epochs_by_method_are_of_one_column():
    history = make_history().assign(method="a")
    with pytest.raises(ValueError, match=r"expected one column of values by method, got \['loss'"):
        plots.plot_epochs(history, ["loss", "dev_auc"], by="method")


@pytest.mark.parametrize(("rows", "columns"), [(0, ["loss"]), (9, [])])
def test_epochs_without_values_are_refused(rows, columns):
    with pytest.raises(ValueError, match="expected values to draw, got none"):
        plots.plot_epochs(make_history()[:rows], columns)
    assert not plt.get_fignums()


def test_a_panel_of_intervals_in_which_nothing_was_measured_says_so():
    table = make_results().assign(panel="A")
    empty = table.assign(panel="B", value=np.nan, low=np.nan, high=np.nan)
    full, open_one = plots.plot_intervals(pd.concat([table, empty]))
    assert title(full).startswith("A: ") and "is highest" in title(full)
    assert title(open_one) == "B: nothing measured"
    assert {t.get_text() for t in open_one.texts} == {"not measured"}


def test_intervals_of_groups_may_have_a_bar_each():
    table = make_results()
    table = pd.concat([table.assign(group="g"), table.assign(group="h")])
    ax = plots.plot_intervals(table, bar=table["label"].iloc[0])
    assert "is highest" in title(ax)
    with pytest.raises(ValueError, match="expected values to draw, got none"):
        plots.plot_intervals(table[:0])


def test_encoding_keeps_the_colours_of_lines_bands_and_words():
    ax = plt.subplots(figsize=(9, 5.2))[1]
    x = np.linspace(0, 10, 200)
    for k, colour in enumerate(COLOURS):
        ax.plot(x, np.sin(x) + k, color=colour, lw=3, label=f"method {k}")
        ax.fill_between(x, np.sin(x) + k - 0.8, np.sin(x) + k + 0.8, color=colour, alpha=0.2, lw=0)
    ax.legend(bbox_to_anchor=(1, 1))
    plots.describe(ax, "Seven methods", Drawn, "x", "y")
    drawn = io.BytesIO()
    ax.figure.savefig(drawn, dpi=100, bbox_inches="tight")
    picture = plots.encode(ax)
    assert picture.suffix == ".png"
    assert not plt.get_fignums()
    before = np.asarray(PIL.Image.open(drawn).convert("RGB")).astype(int)
    after = np.asarray(PIL.Image.open(io.BytesIO(picture.data)).convert("RGB")).astype(int)
    moved = np.abs(after - before).max(axis=2)
    pixels = before.reshape(-1, 3)
    colours, place, counts = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    assert len(colours) > 1000  # of edges, mostly
    flat = counts[place.ravel()] > 0.0005 * moved.size
    assert moved.ravel()[flat].max() <= 1
    assert (moved > 12).mean() < 0.001
    for colour in COLOURS:
        here = (before == [int(colour[k : k + 2], 16) for k in (1, 3, 5)]).all(axis=2)
        assert here.sum() > 500
        assert moved[here].max() == 0


def test_photos_become_jpeg_and_any_axes_of_a_figure_will_do():
    photos = plots.encode(plots.plot_faces(make_faces()))
    assert photos.suffix == ".jpg"
    assert PIL.Image.open(io.BytesIO(photos.data)).format == "JPEG"
    axes = plt.subplots(1, 2)[1]
    assert plots.encode(axes).suffix == ".png"
    assert plots.encode(plt.figure()).suffix == ".png"


def test_two_dollar_signs_in_a_name_are_no_formula():
    odd = r"Tom $\frac$ x"
    faces = make_faces()
    faces = replace(faces, names=(odd, *faces.names[1:]), source=odd)
    report = replace(face_report(faces), source=odd)
    table = make_results().assign(label=lambda t: f"{odd} " + t["label"], group=f"{odd} group")
    table = table.assign(source=odd, metric=odd)
    people = np.array(faces.names)[faces.labels]
    places = np.random.default_rng(0).normal(size=(len(people), 2))
    drawn = [
        plots.plot_faces(faces),
        plots.plot_mistakes(report, faces),
        plots.plot_distances(report),
        plots.plot_roc({odd: report, f"{odd} 2": report}),
        plots.plot_intervals(table, bar=table["label"].iloc[0]),
        plots.plot_map({odd: places}, people, faces),
        plots.plot_epochs(make_history().rename(columns={"loss": odd}), odd, title=odd),
    ]
    for axes in drawn:
        assert plots.encode(axes).data


def test_letters_that_no_font_can_write_are_named_in_one_line(monkeypatch):
    monkeypatch.setattr("facelab.plots.style.FONTS", ())
    plots.set_style()
    faces = make_faces()
    accents = [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")]
    for names, letters in ((["Жанна", "Αλέξης", "محمد", *accents], ""), (["王小", "小王"], "王小")):
        named = replace(faces, names=(*names, *faces.names[len(names) :]))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert plots.encode(plots.plot_faces(named, people=len(names), images=1)).data
        said = [str(one.message).partition(";")[0] for one in told]
        assert said == ([f"expected a font that can write {letters}, got none"] if letters else [])


def test_names_in_other_scripts_get_the_fonts_that_are_there_and_no_complaint(monkeypatch, caplog):
    monkeypatch.setattr("facelab.plots.style.FONTS", ("No Such Font", "DejaVu Serif"))
    plots.set_style()
    assert matplotlib.rcParams["font.family"] == ["sans-serif", "DejaVu Serif"]
    assert plots.encode(plots.plot_distances(make_report())).data
    assert not caplog.records
