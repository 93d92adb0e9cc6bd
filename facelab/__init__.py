"""Metric learning for face verification on Labeled Faces in the Wild.

The names below are the map of the package, in the order in which an experiment uses them. Losses,
miners and distances come from pytorch-metric-learning under its own names; only what it lacks is
here.
"""

from facelab.data.faces import Faces, Pairs, Split, draw_pairs, draw_people
from facelab.data.lfw import load_lfw
from facelab.data.views import all_lfw, view1, view2
from facelab.augmentation import augment, to_float
from facelab.samplers import Batch, balanced_pairs, people_by_images, shuffled
from facelab.models import raw_pixels, resnet50, siamese_cnn
from facelab.losses import ContrastiveLoss
from facelab.train import Training, best_precision, embed, fit
from facelab.verification import Report, Threshold, compare, fit_threshold, over_folds, verify
from facelab.plots import (
    describe,
    plot_det,
    plot_distances,
    plot_faces,
    plot_history,
    plot_images_per_person,
    plot_mistakes,
    plot_roc,
    plot_thresholds,
    plot_watched,
    set_style,
)
from facelab.runs import Run, load_runs, parameters, versions
