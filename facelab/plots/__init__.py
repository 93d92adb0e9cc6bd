"""One function per figure. Blue: same person, vermilion: different; yellow box: drawn faces."""

import lazy_loader

_MAP = {
    "gallery": ["plot_faces", "plot_images_per_person", "plot_map", "plot_mistakes"],
    "intervals": ["plot_intervals"],
    "pairs": ["plot_calibration", "plot_det", "plot_distances", "plot_roc", "plot_thresholds"],
    "picture": ["encode"],
    "style": ["describe", "set_style"],
    "training": ["plot_epochs", "plot_mined", "plot_watched"],
}
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs=_MAP)
