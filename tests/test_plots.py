import io
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from matplotlib.colors import to_hex

from facelab import plots
from facelab.faces import Faces, Pairs
from facelab.verification import Report, verify

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
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
    columns = dict(epoch=epoch, loss=0.5 + np.exp(-epoch / 5), same_distance=0.7 + 0 * epoch)
    columns |= dict(different_distance=0.7 + 0.01 * epoch)
    columns |= dict(source="drawn faces", synthetic=True)
    return pd.DataFrame(columns | {"dev_auc": np.where(epoch % 5 == 0, 0.6 + epoch / 200, np.nan)})


def face_report(faces, threshold=1.3, seed=1):
    embeddings = np.random.default_rng(seed).normal(size=(len(faces), 5))
    return verify(embeddings, faces, threshold)


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
    table = pd.DataFrame({"label": [f"method {k}, with a name of some length" for k in range(n)]})
    table = table.assign(value=auc, low=auc - 0.05, high=auc + 0.03, group=["02", "04", "06"] * 3)
    return table.assign(source="drawn faces", synthetic=True, pairs="View 1 test")


FIGURES = {
    "loss": lambda **k: plots.plot_epochs(make_history(), reference={"m²/2": 0.5}, **k),
    "epochs of three": lambda **k: plots.plot_epochs(
        make_history(), ["same_distance", "different_distance", "dev_auc"], **k
    ),
    "epochs of methods": lambda **k: plots.plot_epochs(make_histories(), "dev_auc", "method", **k),
    "logarithmic epochs": lambda **k: plots.plot_epochs(make_history(), log=True, **k),
    "distances": lambda **k: plots.plot_distances(make_report(), **k),
    "roc": lambda **k: plots.plot_roc(make_report(), **k),
    "roc, logarithmic, of three": lambda **k: plots.plot_roc(three_reports(), log=True, **k),
    "det": lambda **k: plots.plot_det(make_report(), **k),
    "det of three": lambda **k: plots.plot_det(three_reports(), **k),
    "thresholds": lambda **k: plots.plot_thresholds(make_report(), **k),
    "faces": lambda **k: plots.plot_faces(make_faces(), **k),
    "rows of faces": lambda **k: plots.plot_faces(make_faces(), rows=range(20), **k),
    "mistakes": lambda **k: plots.plot_mistakes(face_report(make_faces()), make_faces(), **k),
    "intervals": lambda **k: plots.plot_intervals(
        make_intervals(), strong=["up"], axes=k.get("ax")
    ),
    "results": lambda **k: plots.plot_intervals(
        make_results(), make_results().label[3], axes=k.get("ax")
    ),
    "images per person": lambda **k: plots.plot_images_per_person(make_faces(), **k),
}
every_figure = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())


def texts_of(ax):
    """All words of a figure but those of its ticks."""
    legend = ax.get_legend().get_texts() if ax.get_legend() else []
    words = [*ax.texts, *legend, ax.xaxis.label, ax.yaxis.label, ax._left_title]
    return [text for text in words if text.get_text()]


def said(ax):
    return "\n".join(text.get_text() for text in texts_of(ax))


def caption(ax):
    (found,) = [text.get_text() for text in texts_of(ax) if text.get_gid() == "data"]
    return found


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@every_figure
def test_every_figure_says_that_its_data_are_synthetic(draw):
    ax = draw()
    assert caption(ax).startswith("drawn faces")
    (label,) = [text for text in texts_of(ax) if text.get_gid() == "data"]
    assert label.get_bbox_patch() is not None
    assert ax.get_title(loc="left")


@every_figure
def test_every_figure_is_readable_and_keeps_its_words_inside(draw):
    ax = draw()
    ax.figure.canvas.draw()
    width, height = ax.figure.canvas.get_width_height()
    for text in texts_of(ax):
        (x0, y0), (x1, y1) = text.get_window_extent().get_points()
        assert x0 >= 0, text.get_text()
        assert y0 >= 0, text.get_text()
        assert x1 <= width, text.get_text()
        assert y1 <= height, text.get_text()
    for text in [*texts_of(ax), *ax.get_xticklabels(), *ax.get_yticklabels()]:
        assert text.get_fontsize() >= 11, text.get_text()


@every_figure
def test_every_figure_draws_on_the_axes_it_is_given_and_changes_no_settings(draw):
    before = dict(matplotlib.rcParams)
    _, ax = plt.subplots()
    assert draw(ax=ax) is ax
    assert len(plt.get_fignums()) == 1
    assert dict(matplotlib.rcParams) == before


def test_caption_says_source_pairs_and_who_is_no_stranger_and_only_drawn_faces_get_the_box():
    texts = dict(source="not synthetic at all", synthetic=False, seen="people it was trained on")
    ax = plots.plot_roc(make_report(**texts))
    assert caption(ax) == "not synthetic at all · View 1 test · people it was trained on"
    (label,) = [text for text in texts_of(ax) if text.get_gid() == "data"]
    assert label.get_bbox_patch() is None
    two = {"a": make_report(), "b": make_report(source="LFW", synthetic=False)}
    assert caption(plots.plot_roc(two)) == "drawn faces · View 1 test and LFW · View 1 test"
    assert caption(plots.plot_faces(make_faces())) == "drawn faces · View 1 test"
    history = make_history().drop(columns="source")
    assert caption(plots.plot_epochs(history)) == "source not recorded"


def test_describing_again_replaces_the_words_and_a_formula_has_no_data():
    ax = plots.plot_distances(make_report())
    assert plots.describe(ax, "another title", None, "x", "y", "a formula, no faces") is ax
    assert (caption(ax), ax.get_title("left")) == ("a formula, no faces", "another title")


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


def test_style_is_set_only_when_asked():
    with matplotlib.rc_context():
        plots.set_style()
        assert matplotlib.rcParams["axes.titlelocation"] == "left"
        colours = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
        assert [to_hex(c).upper() for c in colours[:2]] == [plots.SAME, plots.DIFFERENT]


def test_epochs_show_every_value_and_say_where_it_ends():
    history = make_history()
    ax = plots.plot_epochs(history, ["loss", "dev_auc"], reference={"collapse": 1.0})
    loss, auc, collapse = ax.lines
    np.testing.assert_array_equal(loss.get_xydata(), history[["epoch", "loss"]])
    np.testing.assert_array_equal(auc.get_xdata(), np.arange(5, 41, 5))
    assert (np.asarray(collapse.get_ydata()) == 1.0).all()
    assert legend_of(ax) == ["collapse  1.00", "dev AUC  0.800", "loss  0.500"]
    assert ax.get_title("left") == "Loss and dev AUC by epoch"
    alone = plots.plot_epochs(history.head(1))
    assert alone.lines[0].get_marker() == "o"
    assert alone.get_title("left") == "Loss by epoch: from 1.32 to 1.32"
    plots.plot_epochs(history.assign(dev_auc=np.nan), "dev_auc").figure.canvas.draw()


def test_epochs_of_methods_are_means_over_seeds_in_a_band_of_one_standard_error():
    ax = plots.plot_epochs(make_histories(), "dev_auc", by="method")
    assert legend_of(ax) == ["b  1.30", "a  0.800"]
    assert ax.get_title("left") == "Dev AUC by epoch: 0.800 to 1.30 at the end"
    a, b = ax.lines
    np.testing.assert_allclose(a.get_ydata(), [0.6, 0.7, 0.8])
    np.testing.assert_allclose(b.get_ydata(), [1.1, 1.2, 1.3])
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == pytest.approx((0.1, 1.3))  # two seeds lie 1 apart
    assert "one standard error" in caption(ax)


def test_watched_panels_show_the_mean_distance_of_each_kind():
    rng = np.random.default_rng(0)
    rows = [(e, s, same) for e in (1, 2) for s in ("dev", "test") for same in (True, False) * 3]
    watched = pd.DataFrame(rows, columns=["epoch", "split", "same"])
    watched["distance"] = rng.random(len(watched))
    watched = watched.assign(role=watched.split, source="drawn faces", synthetic=True)
    axes = plots.plot_watched(watched, reference={"margin": 1})
    for ax, split in zip(axes, ("dev", "test"), strict=True):
        of_split = watched[watched.split == split]
        for line, same, colour in zip(
            ax.lines, (True, False), (plots.SAME, plots.DIFFERENT), strict=False
        ):
            expected = of_split[of_split.same == same].groupby("epoch").distance.mean()
            np.testing.assert_allclose(line.get_ydata(), expected)
            assert line.get_color() == colour
        assert ax.get_title("left").startswith(f"{split.title()}: same 0.")
    assert "strangers" in caption(axes[1])
    assert axes[0].get_ylim() == axes[1].get_ylim()


def test_distances_shade_exactly_the_errors_of_the_report():
    report = make_report(1000)
    ax = plots.plot_distances(report)
    counts = report.metrics()
    filled = [p for p in ax.patches if isinstance(p, matplotlib.patches.StepPatch) and p.get_fill()]
    for light, strong, same, wrong in (
        (*filled[:2], True, counts["fn"]),
        (*filled[2:], False, counts["fp"]),
    ):
        assert to_hex(strong.get_facecolor()).upper() == (plots.SAME if same else plots.DIFFERENT)
        values, edges, _ = light.get_data()
        of_kind = report.distances[report.same == same].astype(float)
        np.testing.assert_allclose(values * np.diff(edges) * 500, np.histogram(of_kind, edges)[0])
        assert np.isclose(edges, report.threshold, atol=0).sum() == 1
        shaded = strong.get_data().values * np.diff(edges) * 500
        assert shaded.sum() == pytest.approx(wrong)
        assert (shaded[(edges[:-1] < report.threshold) == same] == 0).all()
    fp, fn = counts["fp"], counts["fn"]
    assert f"{fp} different (FAR {fp / 5:.1f} %)" in said(ax)
    assert f"{fn} same (FRR {fn / 5:.1f} %)" in said(ax)
    assert f"{fp + fn} of 1,000 pairs fall on the wrong side" in said(ax)
    assert "threshold 1.080" in said(ax)
    assert caption(ax).endswith("threshold: best accuracy and best F1 on dev")


@pytest.mark.parametrize(
    "change",
    [
        {"distances": np.full(400, 0.7)},
        {"distances": np.linspace(1e-9, 3e-9, 400)},
        {"threshold": 3.0},
        {"threshold": -1.0},
        {"same": np.ones(400, bool), "right": np.arange(400)},
        {"same": np.zeros(400, bool), "right": np.roll(np.arange(400), 1)},
    ],
    ids=["constant", "collapsed", "all accepted", "none accepted", "only same", "only different"],
)
def test_distances_draw_the_extremes(change):
    report = replace(make_report(), **change)
    ax = plots.plot_distances(report)
    ax.figure.canvas.draw()
    assert ax.get_xlim()[0] < report.threshold < ax.get_xlim()[1]
    few = ("distances", "same", "fold", "left", "right")
    plots.plot_distances(replace(report, **{k: getattr(report, k)[:3] for k in few}))


def test_roc_and_det_are_the_table_and_name_their_figures():
    reports = three_reports()
    on_roc, on_det = plots.plot_roc(reports), plots.plot_det(reports)
    for report, line, det in zip(
        reports.values(),
        on_roc.get_legend_handles_labels()[0],
        on_det.get_legend_handles_labels()[0],
        strict=True,
    ):
        roc, m = report.roc(), report.metrics()
        np.testing.assert_array_equal(line.get_xydata(), roc[["far", "tar"]])
        np.testing.assert_allclose(det.get_ydata(), 1 - roc["tar"])
        assert f"AUC {m['auc']:.3f}" in said(on_roc)
        assert f"EER {100 * m['eer']:.1f} %" in said(on_det)
        assert any(np.allclose(p.get_xydata(), m["eer"]) for p in on_det.lines)


def test_logarithmic_roc_marks_the_tar_at_one_percent():
    report = make_report()
    ax = plots.plot_roc(report, log=True)
    tar = report.tar_at_far(0.01)
    assert any(np.array_equal(line.get_xydata(), [[0.01, tar]]) for line in ax.lines)
    assert f"TAR {100 * tar:.1f} % at FAR 1 %" in said(ax)
    few = make_report(100)  # 50 different pairs: no TAR at 1 %
    assert "TAR nan" not in said(plots.plot_roc(few, log=True))


@pytest.mark.parametrize("order", [1, -1], ids=["perfect", "inverted"])
def test_operating_curves_draw_the_extremes(order):
    report = replace(make_report(), distances=1 - 0.5 * order * (2 * make_report().same - 1))
    for ax in (plots.plot_roc(report, log=True), plots.plot_det(report)):
        ax.figure.canvas.draw()
    assert f"EER {0 if order > 0 else 100}.0 %" in said(plots.plot_det(report))


def test_thresholds_step_where_a_distance_lies_and_mark_both_chosen_ones():
    report = make_report(60)
    ax = plots.plot_thresholds(report)
    lines = {line.get_label().split()[0]: line for line in ax.lines}
    for threshold in (0.7, report.threshold, report.f1_threshold, 1.35):
        expected = replace(report, threshold=threshold, f1_threshold=threshold).metrics()
        for metric in ("precision", "recall", "F1", "accuracy"):
            x, y = lines[metric].get_data()
            assert y[np.searchsorted(x, threshold) - 1] == pytest.approx(
                expected[metric.lower()], nan_ok=True
            )
            assert lines[metric].get_drawstyle() == "steps-post"
            chosen = report.threshold if metric == "accuracy" else report.f1_threshold
            if threshold == chosen:
                assert f"{metric}  {expected[metric.lower()]:.3f}" in legend_of(ax)
                dots = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "o"]
                assert any(np.allclose(dot, (chosen, expected[metric.lower()])) for dot in dots)
    assert "for accuracy 1.080" in said(ax)
    assert "for F1 1.120" in said(ax)
    assert "threshold 1.080" in said(plots.plot_thresholds(replace(report, f1_threshold=1.08)))
    accuracy, best = report.metrics()["accuracy"], report.roc()["accuracy"].max()
    assert f"Accuracy {accuracy:.3f} at the threshold; the best on these" in said(ax)
    assert f"is {best:.3f}" in said(ax)


@pytest.mark.parametrize("draw", [plots.plot_roc, plots.plot_det, plots.plot_thresholds])
def test_operating_curves_refuse_one_kind_of_pairs(draw):
    only_same = replace(make_report(10), same=np.ones(10, bool), right=np.arange(10))
    with pytest.raises(ValueError, match="View 1 test: expected same and different pairs, got 10"):
        draw(only_same)
    assert not plt.get_fignums()


def test_faces_show_the_images_of_the_named_people():
    faces = make_faces()
    ax = plots.plot_faces(faces, people=["Ann", "X"], images=2)
    assert [image.get_array()[0, 0, 0] for image in ax.images] == [38, 33, 34]
    assert "2 of 8 people" in said(ax)
    assert [t.get_text() for t in ax.texts if t.get_gid() != "data"] == ["Ann", "X"]
    most = plots.plot_faces(faces, people=2, images=3)
    assert [image.get_array()[0, 0, 0] for image in most.images] == [0, 1, 2, 12, 13, 14]
    rows = plots.plot_faces(faces, rows=[39, 0, 21], images=2)
    assert [image.get_array()[0, 0, 0] for image in rows.images] == [39, 0, 21]
    assert {"Bo", "George W Bush", "Jean-Pierre\nRaffarin"} <= {t.get_text() for t in rows.texts}


def test_mistakes_show_both_images_distance_and_kind():
    faces = make_faces()
    report = face_report(faces)
    ax, mistakes = plots.plot_mistakes(report, faces, n=3), report.mistakes(3)
    row_of = {image: row for row, image in enumerate(faces.image_ids)}
    expected = [row_of[i] for pair in zip(*_ids(mistakes), strict=True) for i in pair]
    assert [image.get_array()[0, 0, 0] for image in ax.images] == expected
    for distance in mistakes["distance"]:
        assert f"{distance:.2f}" in said(ax)
    counts = report.metrics()
    assert f"{counts['fp']} taken for the same person" in said(ax)
    assert f"{counts['fn']} taken for different people" in said(ax)
    none = plots.plot_mistakes(replace(report, threshold=3.0), faces, n=3)
    assert "None taken for different people" in said(none)
    with pytest.raises(ValueError, match="expected the faces of the report, got none of"):
        plots.plot_mistakes(report, faces.select(["Ann"]), n=3)


def _ids(mistakes):
    return mistakes["left_id"], mistakes["right_id"]


def test_images_per_person_counts_people():
    ax = plots.plot_images_per_person(make_faces())
    expected = [[1, 2], [2, 1], [3, 1], [5, 1], [7, 1], [9, 1], [12, 1]]
    assert any(np.array_equal(line.get_xydata(), expected) for line in ax.lines)
    assert "2 of 8 people have a single image; 12 is the most" in said(ax)
    assert "George W Bush" in said(ax)


class Drawn:
    source, synthetic = "drawn faces", True


def test_what_a_miner_picks_is_counted_over_all_negatives_and_nothing_picked_is_said():
    everything = np.linspace(0.5, 1.5, 100)
    picked = {"near": everything[:10], "nothing": np.array([])}
    axes = plots.plot_mined(picked, everything, Drawn)
    assert [ax.get_title("left") for ax in axes] == ["near: 10\u00a0%", "nothing: none"]
    assert caption(axes[0]) == "drawn faces · 10 picked of 100"
    assert caption(axes[1]) == "drawn faces · 0 picked of 100"
    assert f"median {np.median(everything[:10]):#.3g}" in said(axes[0])
    counted = sum(bar.get_height() for bar in axes[1].containers[0])
    assert counted == 100


def test_negatives_that_collapse_to_one_spot_fill_the_axis():
    heap = np.random.default_rng(0).normal(2e-3, 1e-4, 5000)
    (ax,) = plots.plot_mined({"all": heap}, heap, Drawn)
    assert ax.get_xlim() == pytest.approx((heap.min(), heap.max()), rel=0.02)
    far = np.append(heap, [0.5, 1.5])  # a few lie far away: a logarithmic axis
    (ax,) = plots.plot_mined({"all": heap}, far, Drawn)
    assert ax.get_xscale() == "log"
    assert sum(bar.get_height() > 0 for bar in ax.containers[0]) > 5
    plots.plot_mined({"all": np.full(9, 0.5)}, np.full(99, 0.5), Drawn)[0].figure.canvas.draw()


def test_results_are_drawn_in_order_with_their_intervals_groups_and_the_bar():
    results = make_results()
    bar = results.iloc[3]
    ax = plots.plot_intervals(results, bar=bar.label)
    assert [label.get_text() for label in ax.get_yticklabels()] == results.label.tolist()
    assert ax.yaxis_inverted()  # the first row on top
    drawn = [line.get_xdata() for line in ax.lines if line.get_marker() == "None"]
    for row in results.itertuples():
        assert any(np.array_equal(x, [row.low, row.high]) for x in drawn)
    bands = [(band.get_x(), band.get_width()) for band in ax.patches]
    assert any(band == pytest.approx((bar.low, 0.08)) for band in bands)
    assert legend_of(ax) == ["02", "04", "06"]
    diamonds = [line.get_color() for line in ax.lines if line.get_marker() == "D"]
    assert set(diamonds) == set(plots.COLOURS[:3])
    assert "3 of 8 lie above method 3" in said(ax)
    assert "method 0, with a name of some length is highest: 0.900" in said(
        plots.plot_intervals(results)
    ).replace("\n", " ")


def test_intervals_are_blue_above_zero_vermilion_below_grey_across_and_open_for_one_seed():
    table = pd.concat([make_intervals().assign(panel=panel) for panel in ("A", "B")])
    seeds = pd.DataFrame({"label": ["down", "up"], "panel": "A", "value": [-0.06, 0.07]})
    left, right = plots.plot_intervals(table, seeds=seeds, strong=["up"])
    for ax in (left, right):
        diamonds = [line for line in ax.lines if line.get_marker() == "D"]
        assert [line.get_xdata()[0] for line in diamonds] == [0.05, -0.05, 0.01, 0.02]
        filled = [line.get_markerfacecolor() for line in diamonds]
        assert filled == [plots.SAME, plots.DIFFERENT, plots.GREY, "white"]
        assert diamonds[-1].get_markeredgecolor() == plots.INK
        assert [0.02, 0.08] in [list(line.get_xdata()) for line in ax.lines]
        said_of_rows = {t.get_text().strip() for t in ax.texts if t.get_gid() != "data"}
        assert said_of_rows == {"not measured yet", "one seed"}
    assert left.get_title("left") == "A: 1 above zero, 1 below"
    (rings,) = [line for line in left.lines if line.get_marker() == "o"]
    assert np.column_stack(rings.get_data()).tolist() == [[-0.06, 1], [0.07, 0]]
    (empty,) = [line for line in right.lines if line.get_marker() == "o"]
    assert not len(empty.get_xdata())
    weights = {t.get_text(): t.get_weight() for t in left.get_yticklabels()}
    assert [label for label, weight in weights.items() if weight == "bold"] == ["up"]


def test_a_map_shows_every_photo_and_names_everybody_once():
    rng = np.random.default_rng(0)
    people = np.repeat([f"Person_Number_{k}" for k in range(12)], 9)
    maps = {"one": rng.normal(size=(len(people), 2)), "two": np.repeat(np.eye(12)[:, :2], 9, 0)}
    maps["two"] = np.arange(12).repeat(9)[:, None] + 0.1 * rng.random((len(people), 2))
    axes = plots.plot_map(maps, people, Drawn)
    for ax, places in zip(axes, maps.values(), strict=True):
        (points,) = ax.collections
        np.testing.assert_allclose(points.get_offsets(), places)
    assert axes[0].get_legend() is None
    assert legend_of(axes[1]) == [f"Person Number {k}" for k in range(12)]
    assert axes[1].get_title("left") == "two: 100 % lie beside the same person"


def pixels_before_and_after(ax):
    """RGB of a figure as it is drawn, and as it is encoded."""
    drawn = io.BytesIO()
    ax.figure.savefig(drawn, dpi=100, bbox_inches="tight")
    before = PIL.Image.open(drawn).convert("RGB")
    picture = plots.encode(ax)
    after = PIL.Image.open(io.BytesIO(picture.data)).convert("RGB")
    assert picture.suffix == ".png"
    assert not plt.get_fignums()
    return np.asarray(before).astype(int), np.asarray(after).astype(int)


def test_encoding_keeps_the_colours_of_lines_bands_and_words():
    ax = plt.subplots(figsize=(9, 5.2))[1]
    x = np.linspace(0, 10, 200)
    for k, colour in enumerate(plots.COLOURS):
        ax.plot(x, np.sin(x) + k, color=colour, lw=3, label=f"method {k}")
        ax.fill_between(x, np.sin(x) + k - 0.8, np.sin(x) + k + 0.8, color=colour, alpha=0.2, lw=0)
    ax.legend(bbox_to_anchor=(1, 1))
    plots.describe(ax, "Seven methods", Drawn, "x", "y")
    before, after = pixels_before_and_after(ax)
    moved = np.abs(after - before).max(axis=2)
    colours, place, counts = np.unique(
        before.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    assert len(colours) > 1000  # of edges, mostly
    flat = counts[place.ravel()] > 0.0005 * moved.size
    assert moved.ravel()[flat].max() <= 1
    assert (moved > 12).mean() < 0.001
    for colour in plots.COLOURS:
        rgb = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        assert (before == rgb).all(axis=2).sum() > 500
        assert (after[(before == rgb).all(axis=2)] == rgb).all()


@pytest.mark.parametrize("draw", ["roc", "det", "epochs"])
def test_figures_of_several_methods_keep_exactly_the_colours_of_the_palette(draw):
    reports = {f"method {k}": make_report(gap=0.05 * k, seed=k) for k in range(7)}
    table = make_histories().query("method == 'a'")
    table = pd.concat([table.assign(method=name) for name in reports])
    table["dev_auc"] += table.method.str[-1].astype(int)
    ax = {
        "roc": lambda: plots.plot_roc(reports),
        "det": lambda: plots.plot_det(reports),
        "epochs": lambda: plots.plot_epochs(table, "dev_auc", by="method"),
    }[draw]()
    _, after = pixels_before_and_after(ax)
    for colour in plots.COLOURS:
        rgb = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
        assert (after == rgb).all(axis=2).sum() > 20


def test_photos_become_jpeg_and_any_axes_of_a_figure_will_do():
    photos = plots.encode(plots.plot_faces(make_faces()))
    assert photos.suffix == ".jpg"
    assert PIL.Image.open(io.BytesIO(photos.data)).format == "JPEG"
    axes = plt.subplots(1, 2)[1]
    assert plots.encode(axes).suffix == ".png"
    assert plots.encode(plt.figure()).suffix == ".png"
