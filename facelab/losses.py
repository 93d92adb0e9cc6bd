"""What pytorch-metric-learning lacks: the source study's contrastive loss, and AdaCos."""

import math

import torch
from pytorch_metric_learning import distances, losses, reducers
from pytorch_metric_learning.utils import loss_and_miner_utils as lmu
from torch import nn
from torch.nn import functional

from facelab.checks import expect, kinds, real, whole


class MeanOverPairs(reducers.MultipleReducers):
    """Average the loss over all pairs, same and different together, zeros included.

    pytorch-metric-learning averages each kind by itself, over its non-zero terms, and adds both.
    """

    def __init__(self):
        super().__init__({})
        self.num_past_filter = 0

    def forward(self, loss_dict, embeddings, labels):
        """Reduce the loss of every pair to one number."""
        terms = [kind["losses"] for kind in loss_dict.values()]
        terms = [losses for losses in terms if torch.is_tensor(losses)]  # a kind without pairs: 0
        if not terms:
            self.num_past_filter = 0
            return (embeddings * 0).sum()
        per_pair = torch.cat(terms)  # (n_pairs,)
        self.num_past_filter = (per_pair > 0).sum()  # stays on the device
        return per_pair.mean()


class ContrastiveLoss(losses.ContrastiveLoss):
    """The contrastive loss of the source study, to the letter.

    For a pair (A, B) with Y = 1 where both images show the same person and Y = 0 elsewhere,
    with d = ||f(A) - f(B)||::

        L(A, B, Y) = Y d^2 + (1 - Y) max(0, m^2 - d^2)

    and the loss of a batch is the mean of L over its pairs. The `margin` m lies in (0, 2], since
    embeddings are scaled to unit length. Hadsell, Chopra, LeCun, "Dimensionality Reduction by
    Learning an Invariant Mapping", CVPR 2006, have max(0, m - d)^2 in the second term (equation 4).
    """

    def __init__(self, margin: float):
        margin = real("margin", margin, 0, 2)
        expect(margin, "margin above 0", 0)
        squared = distances.LpDistance(power=2)  # of embeddings scaled to unit length
        super().__init__(0, margin**2, distance=squared, reducer=MeanOverPairs())

    def compute_loss(self, embeddings, labels, indices_tuple, ref_emb, ref_labels):
        """Return the losses of all pairs; the library's own returns 0 for a single pair."""
        pairs = lmu.convert_to_pairs(indices_tuple, labels, ref_labels)
        squared = self.distance(embeddings, ref_emb)  # (B, B)
        return self.pair_based_loss(squared, pairs)


def adacos_scale(num_classes: int) -> float:
    """Return AdaCos's fixed scale, sqrt(2) ln(C - 1), for C people, at least three.

    Zhang, Zhao, Qiao, Wang, Li, "AdaCos: Adaptively Scaling Cosine Logits for Effectively Learning
    Deep Face Representations", CVPR 2019, equation 12.

    >>> round(adacos_scale(5749), 2)
    12.24
    """
    return math.sqrt(2) * math.log(whole("num_classes", num_classes, 3) - 1)


@kinds
class AdaCos(nn.Module):
    """Softmax over scaled cosines, without a margin, whose scale follows the training.

    Before every training step the scale becomes
    ``ln(B) / cos(min(pi / 4, median angle to one's own centre))``, with B the mean over the batch
    of the summed ``exp(scale * cosine)`` of all other people, at the scale before (equations 8 and
    15 of `adacos_scale`'s paper). With `dynamic=False` it stays `adacos_scale`.
    """

    def __init__(self, num_classes: int, embedding_size: int, dynamic: bool = True):
        scale = torch.tensor(adacos_scale(num_classes))
        whole("embedding_size", embedding_size, 1)
        super().__init__()
        self.dynamic = dynamic
        self.W = nn.Parameter(torch.empty(num_classes, embedding_size))
        nn.init.xavier_uniform_(self.W)
        self.register_buffer("scale", scale)

    @property
    def num_classes(self) -> int:
        """Return how many people have a centre."""
        return len(self.W)

    def cosines(self, embeddings):
        """Return the cosine of each embedding to each centre, shape (B, num_classes)."""
        centres = functional.normalize(self.W)
        return functional.linear(functional.normalize(embeddings), centres)

    def get_logits(self, embeddings):
        """Return the scaled cosines, shape (B, num_classes)."""
        return self.scale * self.cosines(embeddings)

    def forward(self, embeddings, labels, indices_tuple=None):
        """Return the mean cross-entropy of a batch; `indices_tuple` is not used."""
        cosines = self.cosines(embeddings)
        if self.dynamic and self.training:
            self._rescale(cosines.detach(), labels[:, None])
        return functional.cross_entropy(self.scale * cosines, labels)

    def _rescale(self, cosines, own):
        others = (self.scale * cosines).scatter(1, own, -math.inf)  # (B, num_classes)
        log_b = torch.logsumexp(others.flatten(), 0) - math.log(len(own))
        angles = cosines.gather(1, own).clamp(-1, 1).arccos()
        middle = angles.median().clamp(max=math.pi / 4)
        self.scale.copy_(log_b / middle.cos())
