"""Metric learning for face verification on Labeled Faces in the Wild.

The names below are the map of the package, in the order in which an experiment uses them; each is
imported when it is first used. Losses, miners and distances come from pytorch-metric-learning
under its own names; only what it lacks is here.
"""

from importlib.metadata import version

import lazy_loader

__version__ = version("facelab")

_MAP = {
    "data.lfw": "load_lfw",
    "data.alignment": "align template",
    "data.own": "load_faces",
    "data.facts": "official_results known_errors",
    "views": "view1 view2 all_lfw split_people",
    "faces": "Faces Pairs Split draw_pairs",
    "augmentation": "augment to_float",
    "samplers": "Batch balanced_pairs people_by_images shuffled",
    "models": "siamese_cnn residual_cnn resnet50 save_network load_network",
    "baselines": "raw_pixels whitened_pca lbp_histograms filter_histograms lpq_filters "
    "bsif_filters pca_lda embed_histograms search_pca_lda",
    "losses": "ContrastiveLoss AdaCos adacos_scale",
    "embedding": "embed",
    "train": "fit",
    "verification": "distances auc every_pair fit_threshold verify Report over_folds pool_folds "
    "calibrate cllr Estimate mean_of difference_of compare compare_all",
    "plots": "plot_epochs plot_watched plot_mined plot_intervals plot_distances plot_roc plot_det "
    "plot_thresholds plot_calibration plot_faces plot_mistakes plot_images_per_person plot_map "
    "describe set_style",
    "field.catalog": "catalog",
    "field.rec": "load_rec",
    "field.bins": "load_bin",
    "field.listed": "load_pair_list load_cfp load_agedb load_image_list",
    "field.templates": "load_ijb load_ytf load_iqiyi Templates tar_table",
    "field.overlapping": "overlap across",
    "field.pretrained": "dlib_network",
    "field.exchange": "onnx_model embeddings_of export_onnx",
    "field.identification": "search identify with_distractors Identification",
    "study.record": "Run",
    "study.provenance": "versions",
    "study.writing": "outside",
    "study.results": "load_results results_of comparable trainings differing load_shown",
    "explorer.widget": "explore",
}
_NAMES = {module: names.split() for module, names in _MAP.items()}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_NAMES)
