from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
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
    ids = [f"P_{p}_0001" for p in range(n)]
    ids += [f"P_{p}_0002" if s else f"Q_{p}_0001" for p, s in enumerate(same)]
    rows = np.arange(n)
    texts = dict(name="View 1 test", source="synthetic faces")
    texts |= dict(threshold_from="best F1 on View 1 dev", threshold=1.08)
    return Report(d, same, np.zeros(n), rows, n + rows, ids, **(texts | more))


def make_faces(seed=0):
    """40 images of eight people with 12 to 1 images; the pixels of image i are all i."""
    labels = np.repeat(np.arange(8), [12, 9, 7, 5, 3, 2, 1, 1])
    n = len(labels)
    names = ("George_W_Bush", "Ana_Guevara", "Jean-Pierre_Raffarin", "A_B", "X", "C_P", "Ann", "Bo")
    left, right = np.random.default_rng(seed).integers(n, size=(2, 300))
    pairs = Pairs(left, right, labels[left] == labels[right], name="View 1 test")[left != right]
    packed = np.ones((n, 3, 4, 4), np.uint8) * np.arange(n, dtype=np.uint8)[:, None, None, None]
    numbers = np.arange(n) - np.flatnonzero(np.append(True, np.diff(labels)))[labels] + 1
    return Faces(packed, np.arange(n), labels, names, numbers, "synthetic faces", pairs)


def make_history(epochs=40):
    epoch = np.arange(1, epochs + 1)
    columns = dict(epoch=epoch, loss=0.5 + np.exp(-epoch / 5), same_distance=0.7 + 0 * epoch)
    columns |= dict(different_distance=0.7 + 0.01 * epoch, source="synthetic faces")
    return pd.DataFrame(columns | {"dev_auc": np.where(epoch % 5 == 0, 0.6 + epoch / 200, np.nan)})


def face_report(faces, threshold=1.3, seed=1):
    embeddings = np.random.default_rng(seed).normal(size=(len(faces), 5))
    return verify(embeddings, faces, threshold)


def three_reports():
    gaps = {"contrastive, random pairs": 0.1, "contrastive + semi-hard": 0.25, "ArcFace": 0.02}
    return {name: make_report(gap=gap) for name, gap in gaps.items()}


def make_results(n=9):
    auc = 0.5 + 0.04 * np.random.default_rng(0).permutation(n)
    columns = dict(title=[f"method {k}, with a name of some length" for k in range(n)], auc=auc)
    columns |= dict(chapter=["02_resnet50_contrastive", "04_arcface_overfitting", "06_compare"] * 3)
    columns |= dict(auc_low=auc - 0.05, auc_high=auc + 0.03)
    return pd.DataFrame(columns).assign(source="synthetic faces", pairs="View 1 test")


FIGURES = {
    "history": lambda **k: plots.plot_history(make_history(), reference={"m²/2": 0.5}, **k),
    "history of three": lambda **k: plots.plot_history(
        make_history(), ["same_distance", "different_distance", "dev_auc"], **k
    ),
    "distances": lambda **k: plots.plot_distances(make_report(), **k),
    "roc": lambda **k: plots.plot_roc(make_report(), **k),
    "roc, logarithmic, of three": lambda **k: plots.plot_roc(three_reports(), log=True, **k),
    "det": lambda **k: plots.plot_det(make_report(), **k),
    "det of three": lambda **k: plots.plot_det(three_reports(), **k),
    "thresholds": lambda **k: plots.plot_thresholds(make_report(), **k),
    "faces": lambda **k: plots.plot_faces(make_faces(), **k),
    "rows of faces": lambda **k: plots.plot_faces(make_faces(), rows=range(20), **k),
    "mistakes": lambda **k: plots.plot_mistakes(face_report(make_faces()), make_faces(), **k),
    "results": lambda **k: plots.plot_results(make_results(), bar=make_results().title[3], **k),
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


def lines_by_label(ax):
    return {line.get_label(): line for line in ax.lines}


@every_figure
def test_every_figure_says_that_its_data_are_synthetic(draw):
    ax = draw()
    assert caption(ax).startswith("synthetic faces")
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


def test_caption_of_real_and_of_seen_people_says_so_without_the_synthetic_mark():
    ax = plots.plot_distances(make_report(source="LFW deep-funneled, people it was trained on"))
    assert caption(ax) == "LFW deep-funneled, people it was trained on · View 1 test"
    (label,) = [text for text in texts_of(ax) if text.get_gid() == "data"]
    assert label.get_bbox_patch() is None
    two = {"a": make_report(), "b": make_report(source="LFW")}
    assert caption(plots.plot_roc(two)) == "synthetic faces · View 1 test and LFW · View 1 test"
    history = make_history().drop(columns="source")
    assert caption(plots.plot_history(history)) == "source not recorded"


def test_style_is_set_only_when_asked():
    with matplotlib.rc_context():
        plots.set_style()
        assert matplotlib.rcParams["axes.titlelocation"] == "left"
        colours = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
        assert [to_hex(c).upper() for c in colours[:2]] == [plots.SAME, plots.DIFFERENT]


def test_history_shows_every_epoch_that_has_a_value():
    history = make_history()
    ax = plots.plot_history(history, ["loss", "dev_auc"], reference={"collapse": 1.0})
    lines = lines_by_label(ax)
    np.testing.assert_array_equal(lines["loss"].get_xydata(), history[["epoch", "loss"]])
    np.testing.assert_array_equal(lines["dev_auc"].get_xdata(), np.arange(5, 41, 5))
    assert any((np.asarray(line.get_ydata()) == 1.0).all() for line in ax.lines)
    assert "collapse" in said(ax)
    assert "Loss and dev AUC over 40 epochs" in said(ax)
    alone = plots.plot_history(history.head(1))
    assert lines_by_label(alone)["loss"].get_marker() == "o"
    plots.plot_history(history.assign(dev_auc=np.nan), "dev_auc").figure.canvas.draw()


def test_distances_shade_exactly_the_errors_of_the_report():
    report = make_report(1000)
    ax = plots.plot_distances(report)
    counts = report.metrics()
    filled = [p for p in ax.patches if isinstance(p, matplotlib.patches.StepPatch) and p.get_fill()]
    for light, strong, same, wrong in (
        (*filled[:2], True, counts["fn"]),
        (*filled[2:], False, counts["fp"]),
    ):
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
    assert "threshold 1.080 (best F1 on View 1 dev)" in said(ax)


@pytest.mark.parametrize(
    "change",
    [
        {"distances": np.full(400, 0.7)},
        {"distances": np.linspace(1e-9, 3e-9, 400)},
        {"threshold": 3.0},
        {"threshold": -1.0},
        {"same": np.ones(400, bool)},
        {"same": np.zeros(400, bool)},
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


def test_thresholds_step_where_a_distance_lies_and_meet_the_metrics():
    report = make_report(60)
    ax = plots.plot_thresholds(report)
    lines = lines_by_label(ax)
    for threshold in (0.7, report.threshold, 1.1, 1.35):
        expected = replace(report, threshold=threshold).metrics()
        for metric in ("precision", "recall", "f1", "accuracy"):
            x, y = lines[metric].get_data()
            assert y[np.searchsorted(x, threshold) - 1] == pytest.approx(
                expected[metric], nan_ok=True
            )
            assert lines[metric].get_drawstyle() == "steps-post"
    chosen, best = report.metrics()["f1"], report.roc()["f1"].max()
    assert f"F1 is {chosen:.3f} at the threshold; the best on these pairs is {best:.3f}" in said(ax)


@pytest.mark.parametrize("draw", [FIGURES["thresholds"], FIGURES["history of three"]])
def test_names_at_the_ends_of_lines_do_not_lie_on_one_another(draw):
    ax = draw()
    ax.figure.canvas.draw()
    ends = [t.get_window_extent() for t in ax.texts if t.get_weight() == "bold"]
    assert len(ends) >= 3
    for i, a in enumerate(ends):
        assert not any(a.overlaps(b) for b in ends[i + 1 :])


@pytest.mark.parametrize("draw", [plots.plot_roc, plots.plot_det, plots.plot_thresholds])
def test_operating_curves_refuse_one_kind_of_pairs(draw):
    only_same = replace(make_report(10), same=np.ones(10, bool))
    with pytest.raises(ValueError, match="View 1 test: expected same and different pairs, got 10"):
        draw(only_same)
    assert not plt.get_fignums()


def test_thinning_a_long_table_moves_no_curve():
    roc = make_report(200_000).roc()
    thin = plots._thin(roc)
    assert len(thin) < 20_000
    assert len(thin.merge(roc)) == len(thin)
    for x in np.geomspace(1e-4, 1, 50):
        assert np.interp(x, thin["far"], thin["tar"]) == pytest.approx(
            np.interp(x, roc["far"], roc["tar"]), abs=2e-3
        )
    assert thin.iloc[[0, -1]].equals(roc.iloc[[0, -1]])


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
    assert "Taken for the same person" in said(ax)
    assert "Taken for different people" in said(ax)
    none = plots.plot_mistakes(replace(report, threshold=3.0), faces, n=3)
    assert "Taken for different people: none" in said(none)
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


def test_training_curves_have_one_line_and_one_legend_entry_per_method():
    rows = [(m, s, e, e / 10 + s, "faces") for m in "ab" for s in (0, 1) for e in (1, 2, 3)]
    table = pd.DataFrame(rows, columns=["method", "seed", "epoch", "dev_auc", "source"])
    ax = plots.plot_training(table)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]
    drawn = [line.get_ydata() for line in ax.lines if len(line.get_ydata())]
    assert np.allclose(drawn[0], [0.6, 0.7, 0.8])
    assert "faces" in ax.texts[0].get_text()


def test_what_a_miner_picks_is_drawn_over_all_negatives_and_nothing_picked_is_said():
    everything = np.linspace(0.5, 1.5, 100)
    axes = plots.plot_mined({"near": everything[:10], "none": np.array([])}, everything, "faces")
    assert [ax.get_title("left") for ax in axes[:2]] == ["near", "none"]
    assert "10 picked of 100" in axes[0].texts[0].get_text()
    assert "0 picked of 100" in axes[1].texts[0].get_text().replace("\n", " ")


def test_results_are_drawn_best_on_top_with_their_intervals_and_the_bar():
    results = make_results()
    bar = results.iloc[3]
    ax = plots.plot_results(results, bar=bar.title)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == results.sort_values("auc").title.tolist()
    drawn = [line.get_xdata() for line in ax.lines if line.get_marker() == "None"]
    for row in results.itertuples():
        assert any(np.array_equal(x, [row.auc_low, row.auc_high]) for x in drawn)
    (band,) = ax.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((bar.auc_low, 0.08))
    chapters = [text.get_text() for text in ax.get_legend().get_texts()]
    assert chapters == ["02 resnet50 contrastive", "04 arcface overfitting", "06 compare"]


def test_a_map_shows_every_photo_and_names_that_do_not_lie_on_one_another():
    rng = np.random.default_rng(0)
    people = np.repeat([f"Person_Number_{k}" for k in range(12)], 9)
    maps = {"one": rng.normal(size=(len(people), 2)), "two": rng.normal(size=(len(people), 2))}
    axes = plots.plot_map(maps, people, "synthetic faces · test people")
    axes[0].figure.canvas.draw()
    for ax, places in zip(axes, maps.values(), strict=True):
        drawn = np.concatenate([points.get_offsets() for points in ax.collections])
        np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(places, axis=0))
        labels = [text for text in ax.texts if text.get_gid() != "data"]
        assert [text.get_text() for text in labels].count("Person Number 3") == 1
        assert len(labels) == 12
        boxes = [text.get_window_extent() for text in labels]
        assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_effects_are_blue_above_zero_vermilion_below_and_grey_where_they_hold_it():
    rows = [("up", 0.05, 0.02, 0.08), ("down", -0.05, -0.08, -0.02), ("none", 0.01, -0.02, 0.04)]
    effects = pd.DataFrame(rows, columns=["change", "gain", "low", "high"])
    effects.loc[3, "change"] = "untried"
    effects = pd.concat([effects.assign(measure=m, source="synthetic faces") for m in "ab"])
    seeds = pd.DataFrame({"change": ["down", "up"], "measure": "a", "gain": [-0.06, 0.07]})
    left, right = plots.plot_effects(effects, seeds, strong=["up"])
    for ax in (left, right):
        drawn = {line.get_marker(): [] for line in ax.lines}
        for line in ax.lines:
            drawn[line.get_marker()].append(line)
        colours = [line.get_color() for line in drawn["D"]]
        assert colours == [plots.SAME, plots.DIFFERENT, plots.GREY]
        assert [line.get_xdata().tolist() for line in drawn["D"]] == [[0.05], [-0.05], [0.01]]
        assert [0.02, 0.08] in [list(line.get_xdata()) for line in drawn["None"]]
        assert [t.get_text() for t in ax.texts if t.get_text().startswith("not")] == [
            "not measured yet"
        ]
    (rings,) = [line for line in left.lines if line.get_marker() == "o"]
    assert np.column_stack(rings.get_data()).tolist() == [[-0.06, 1], [0.07, 0]]
    assert not [line for line in right.lines if line.get_marker() == "o" and len(line.get_xdata())]
    weights = {t.get_text(): t.get_weight() for t in left.get_yticklabels()}
    assert weights == {"up": "bold", "down": "normal", "none": "normal", "untried": "normal"}
    assert left.yaxis_inverted()  # the first row on top
