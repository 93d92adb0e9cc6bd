"""Metric learning for face verification on Labeled Faces in the Wild.

The names below are the map of the package, in the order in which an experiment uses them; each is
imported when it is first used. Losses, miners and distances come from pytorch-metric-learning
under its own names; only what it lacks is here.
"""

import lazy_loader

_MAP = {
    "data.lfw": ["load_lfw"],
    "views": ["view1", "view2", "all_lfw"],
    "faces": ["Faces", "Pairs", "Split", "draw_pairs", "draw_people"],
    "augmentation": ["augment", "to_float"],
    "samplers": ["Batch", "balanced_pairs", "people_by_images", "shuffled"],
    "models": ["siamese_cnn", "resnet50", "save_network", "load_network"],
    "baselines": [
        "raw_pixels",
        "lbp_histograms",
        "lbp_lda",
        "whitened_pca",
        "embed_lbp",
        "search_lbp_lda",
    ],
    "losses": ["ContrastiveLoss", "AdaCos", "adacos_scale"],
    "train": ["fit", "embed", "Training", "best_precision"],
    "verification": [
        "fit_threshold",
        "verify",
        "Threshold",
        "Report",
        "over_folds",
        "compare",
        "all_pairs",
    ],
    "plots": [
        "plot_history",
        "plot_watched",
        "plot_training",
        "plot_effects",
        "plot_mined",
        "plot_distances",
        "plot_roc",
        "plot_det",
        "plot_thresholds",
        "plot_faces",
        "plot_mistakes",
        "plot_images_per_person",
        "plot_results",
        "plot_map",
        "describe",
        "set_style",
    ],
    "study.results": ["load_results", "result_row", "comparable", "budgets", "differing", "holm"],
    "explorer.widget": ["explore"],
    "study.record": ["Run", "parameters", "versions", "load_runs"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_MAP)
