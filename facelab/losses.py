"""What pytorch-metric-learning lacks: the source study's contrastive loss, averaged as written."""

import torch
from pytorch_metric_learning import distances, losses, reducers
from pytorch_metric_learning.utils import loss_and_miner_utils as lmu


class MeanOverPairs(reducers.MultipleReducers):
    """Average the loss over all pairs, same and different together, zeros included.

    pytorch-metric-learning averages each kind by itself, over its non-zero terms, and adds the
    two averages; its value is therefore not that of the formula.
    """

    def __init__(self):
        super().__init__({})
        self.num_past_filter = 0

    def forward(self, loss_dict, embeddings, labels):
        """Reduce the loss of every pair to one number."""
        terms = [t["losses"] for t in loss_dict.values() if torch.is_tensor(t["losses"])]
        if not terms:
            self.num_past_filter = 0
            return (embeddings * 0).sum()
        per_pair = torch.cat(terms)
        self.num_past_filter = int((per_pair > 0).sum())
        return per_pair.mean()


class ContrastiveLoss(losses.ContrastiveLoss):
    """The contrastive loss of the source study, to the letter.

    For a pair (A, B) with Y = 1 where both images show the same person and Y = 0 elsewhere,
    with d = ||f(A) - f(B)||::

        L(A, B, Y) = Y d^2 + (1 - Y) max(0, m^2 - d^2)

    and the loss of a batch is the mean of L over its pairs. Called as every loss of
    pytorch-metric-learning: ``loss(embeddings, labels, indices_tuple)``.

    Parameters
    ----------
    margin : float
        m, a Euclidean distance. Different pairs farther apart than m cost nothing.
    normalize : bool
        Whether embeddings are scaled to unit length first, so that d lies in [0, 2]. The
        formula does not say; this study does it throughout.

    Raises
    ------
    ValueError
        If `margin` is not positive, or, for unit-length embeddings, exceeds 2.

    References
    ----------
    Hadsell, Chopra, LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR
    2006, whose equation 4 has max(0, m - d)^2 in the second term.

    Examples
    --------
    Equal distances cost m^2 / 2, whatever that distance is:

    >>> import torch
    >>> angle = torch.tensor([0.0, 0.5])
    >>> points = torch.stack([angle.cos(), angle.sin()], dim=1)
    >>> same_and_different = tuple(torch.tensor([i]) for i in (0, 1, 0, 1))
    >>> loss = ContrastiveLoss(margin=2**0.5)
    >>> round(loss(points, torch.tensor([0, 1]), same_and_different).item(), 6)
    1.0
    """

    def __init__(self, margin: float, normalize: bool = True):
        if margin <= 0 or (normalize and margin > 2):
            limit = "in (0, 2], for embeddings of unit length" if normalize else "above 0"
            raise ValueError(f"expected a margin {limit}, got {margin}")
        super().__init__(
            pos_margin=0,
            neg_margin=margin**2,
            distance=distances.LpDistance(power=2, normalize_embeddings=normalize),
            reducer=MeanOverPairs(),
        )

    def compute_loss(self, embeddings, labels, indices_tuple, ref_emb, ref_labels):
        """Return the losses of all pairs; the library's own returns 0 for a single pair."""
        pairs = lmu.convert_to_pairs(indices_tuple, labels, ref_labels)
        return self.pair_based_loss(self.distance(embeddings, ref_emb), pairs)
