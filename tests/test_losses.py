import math

import numpy as np
import pytest
import torch
from pytorch_metric_learning import losses as pml

from facelab.losses import AdaCos, ContrastiveLoss, adacos_scale


def formula(embeddings, pairs, margin):
    """L(A, B, Y) of the source, pair by pair, in NumPy."""
    x = embeddings.detach().numpy().astype(np.float64)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    a, p, b, n = (np.asarray(t) for t in pairs)
    same = [((x[i] - x[j]) ** 2).sum() for i, j in zip(a, p, strict=True)]
    different = [
        max(0.0, margin**2 - ((x[i] - x[j]) ** 2).sum()) for i, j in zip(b, n, strict=True)
    ]
    return np.mean(same + different)


@pytest.mark.parametrize(("n_same", "n_different"), [(8, 8), (3, 13), (0, 5), (5, 0)])
def test_contrastive_loss_is_the_formula_averaged_over_the_pairs(n_same, n_different):
    torch.manual_seed(n_same)
    embeddings = torch.randn(40, 8) * 0.4
    labels = torch.arange(40)
    pairs = tuple(torch.randint(40, (k,)) for k in (n_same, n_same, n_different, n_different))
    value = ContrastiveLoss(1.2)(embeddings, labels, pairs)
    assert value.item() == pytest.approx(formula(embeddings, pairs, 1.2), rel=1e-5)


@pytest.mark.parametrize("angle", [0.05, 0.3, 1.0, 1.5])
def test_equal_distances_cost_half_the_squared_margin_whatever_they_are(angle):
    points = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])
    pairs = tuple(torch.tensor([i]) for i in (0, 1, 0, 1))
    value = ContrastiveLoss(math.sqrt(2))(points, torch.arange(2), pairs)
    assert value.item() == pytest.approx(1.0, abs=1e-5)


def test_pairs_beyond_the_margin_cost_nothing_but_still_count():
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 0.0]])
    pairs = tuple(torch.tensor(i) for i in ([0], [1], [0, 0], [2, 3]))
    # same: d^2 = 2; different: d^2 = 4, beyond; different: d^2 = 0
    loss = ContrastiveLoss(1.0)
    assert loss(points, torch.arange(4), pairs).item() == pytest.approx((2 + 0 + 1) / 3)
    assert loss.reducer.num_past_filter == 2


def test_a_batch_without_a_pair_costs_nothing_and_can_be_learned_from():
    embedding = torch.ones(1, 2, requires_grad=True)
    loss = ContrastiveLoss(1.0)(embedding, torch.zeros(1, dtype=torch.long))
    loss.backward()
    assert loss == 0 and (embedding.grad == 0).all()


def test_the_librarys_own_average_is_another_number():
    torch.manual_seed(0)
    embeddings, labels = torch.randn(16, 4), torch.arange(16) // 2
    ours = ContrastiveLoss(1.0)(embeddings, labels)
    assert ours.item() != pytest.approx(pml.ContrastiveLoss()(embeddings, labels).item(), rel=0.05)


def test_gradient_pulls_same_and_pushes_different_images():
    angle = torch.tensor([0.0, 0.6, 0.0, 0.6], requires_grad=True)
    points = torch.stack([angle.cos(), angle.sin()], dim=1)
    pairs = tuple(torch.tensor([i]) for i in (0, 1, 2, 3))
    ContrastiveLoss(1.4)(points, torch.arange(4), pairs).backward()
    pull_apart_0, pull_apart_1, push_0, push_1 = angle.grad.tolist()
    assert pull_apart_0 < 0 < pull_apart_1  # descending brings 0 and 1 together
    assert push_0 > 0 > push_1  # and drives 2 and 3 apart


@pytest.mark.parametrize("margin", [0, -1, 2.5, math.nan, "1"])
def test_impossible_margins_are_refused(margin):
    with pytest.raises(ValueError, match=f"expected margin .*got {margin!r}"):
        ContrastiveLoss(margin)


@pytest.mark.parametrize(
    ("people", "scale"), [(5749, 12.24229), (10575, 13.10432), (85742, 16.06417)]
)
def test_the_scale_of_adacos_is_that_of_its_formula(people, scale):
    assert adacos_scale(people) == pytest.approx(scale, abs=1e-5)


def test_adacos_follows_the_equations_of_its_paper_pair_by_pair():
    torch.manual_seed(0)
    loss, x, y = AdaCos(7, 4), torch.randn(5, 4), torch.tensor([0, 1, 2, 6, 6])
    before = loss.scale.item()
    value = loss(x, y).item()
    w, x = loss.W.detach().numpy().astype(float), x.numpy().astype(float)
    w = w / np.linalg.norm(w, axis=1, keepdims=True)
    cos = x @ w.T / np.linalg.norm(x, axis=1, keepdims=True)
    b = np.mean([np.exp(before * np.delete(c, k)).sum() for c, k in zip(cos, y, strict=True)])
    angle = sorted(np.arccos(c[k]) for c, k in zip(cos, y, strict=True))[2]
    scale = np.log(b) / np.cos(min(np.pi / 4, angle))
    assert loss.scale.item() == pytest.approx(scale, rel=1e-5)
    terms = [np.log(np.exp(scale * c).sum()) - scale * c[k] for c, k in zip(cos, y, strict=True)]
    assert value == pytest.approx(np.mean(terms), rel=1e-5)
    logits = loss.get_logits(torch.from_numpy(x).float()).detach()
    np.testing.assert_allclose(logits, scale * cos, rtol=1e-4)


def test_adacos_leaves_its_scale_alone_outside_training_and_when_fixed():
    x, y = torch.randn(5, 4), torch.arange(5)
    for loss in (AdaCos(7, 4).eval(), AdaCos(7, 4, dynamic=False)):
        loss(x, y)
        assert loss.scale.item() == pytest.approx(adacos_scale(7))


def test_adacos_needs_three_people_and_a_yes_or_no():
    with pytest.raises(ValueError, match="num_classes .*3 or more, got 2"):
        AdaCos(2, 4)
    with pytest.raises(ValueError, match="num_classes .*, got nan"):
        AdaCos(math.nan, 4)
    with pytest.raises(ValueError, match="embedding_size .*1 or more, got 0"):
        AdaCos(3, 0)
    with pytest.raises(ValueError, match="expected dynamic of kind bool, got 'no'"):
        AdaCos(3, 2, dynamic="no")


def test_margin_loss_with_a_beta_per_person_is_that_of_its_paper():
    torch.manual_seed(0)
    loss = pml.MarginLoss(margin=0.2, beta=1.1, learn_beta=True, num_classes=4)
    with torch.no_grad():
        loss.beta += 0.2 * torch.randn(4)
    x, y = torch.randn(12, 5), [k % 4 for k in range(12)]
    triplets = [(a, p, n) for a in range(12) for p in range(12) for n in range(12)]
    triplets = [(a, p, n) for a, p, n in triplets if a != p and y[a] == y[p] != y[n]]
    chosen = torch.tensor(triplets[::7]).T
    value = loss(x, torch.tensor(y), tuple(chosen))
    value.backward()
    unit = x.numpy().astype(float)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    beta, slope = loss.beta.detach().numpy(), np.zeros(4)
    total, active = 0.0, 0
    for a, p, n in chosen.T.tolist():  # equation 5: (alpha + y (distance - beta))+
        same = max(0.0, 0.2 + np.linalg.norm(unit[a] - unit[p]) - beta[y[a]])
        different = max(0.0, 0.2 - np.linalg.norm(unit[a] - unit[n]) + beta[y[a]])
        total, active = total + same + different, active + (same > 0) + (different > 0)
        slope[y[a]] += float(different > 0) - float(same > 0)
    assert value.item() == pytest.approx(total / active, rel=1e-5)
    assert loss.beta.grad.numpy() == pytest.approx(slope / active, abs=1e-6)


def softmax_with_margin(x, centres, labels, scale, own_logit):
    """Mean cross-entropy of scaled cosines, one's own centre's replaced, in NumPy."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    terms = []
    for row, own in zip(x, labels, strict=True):
        cosine = centres @ row
        cosine[own] = own_logit(cosine[own])
        terms.append(np.log(np.exp(scale * cosine).sum()) - scale * cosine[own])
    return np.mean(terms)


@pytest.mark.parametrize("degrees", [0.0, 10.0, 28.6])
def test_arcface_with_adacos_scale_is_its_papers_equation_with_a_margin_in_degrees(degrees):
    torch.manual_seed(1)
    people, scale = 40, adacos_scale(40)
    x, y = torch.randn(30, 8), torch.randint(people, (30,))
    loss = pml.ArcFaceLoss(people, 8, margin=degrees, scale=scale)
    centres = loss.W.detach().T.numpy().astype(float)
    unit = torch.nn.functional.normalize(x) @ torch.nn.functional.normalize(loss.W, dim=0)
    own = unit.gather(1, y[:, None]).arccos().rad2deg()
    assert own.max() < 180 - degrees  # beyond, the library goes on with a straight line
    formula = softmax_with_margin(
        x.numpy().astype(float),
        centres,
        y.numpy(),
        scale,
        lambda cosine: math.cos(math.acos(cosine) + math.radians(degrees)),
    )
    assert loss(x, y).item() == pytest.approx(formula, rel=1e-5)


def test_cosface_is_its_papers_equation_with_a_margin_of_the_cosine():
    torch.manual_seed(2)
    x, y, scale = torch.randn(30, 8), torch.randint(40, (30,)), adacos_scale(40)
    loss = pml.CosFaceLoss(40, 8, margin=0.35, scale=scale)
    centres, x64 = loss.W.detach().T.numpy().astype(float), x.numpy().astype(float)
    formula = softmax_with_margin(x64, centres, y.numpy(), scale, lambda cosine: cosine - 0.35)
    assert loss(x, y).item() == pytest.approx(formula, rel=1e-5)


@pytest.mark.parametrize("people", [140, 3432, 5749])
def test_at_the_scale_of_adacos_a_face_at_45_degrees_is_right_with_probability_one_half(people):
    scale, angle = adacos_scale(people), math.pi / 4
    probability = 1 / (1 + (people - 1) * math.exp(-scale * math.cos(angle)))
    assert probability == pytest.approx(0.5, abs=1e-9)
