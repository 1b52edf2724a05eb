"""Losses over whole classes and hard pixels, against NumPy and by nature."""

import itertools

import numpy as np
import pytest

from dla_keras.tasks.losses import TERMS
from dla_keras.tasks.losses import cross_entropy_sums
from dla_keras.tasks.losses import joint_sums
from dla_keras.tasks.segmentation import make_loss

CLASSES = 5


@pytest.fixture
def batch():
    """Two images with ignored pixels, of which one lacks two classes."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, (2, 12, 16))
    labels[1] = labels[1] % 3
    labels[random.random(labels.shape) < 0.1] = 255
    logits = random.normal(0, 2, (*labels.shape, CLASSES)).astype(np.float32)
    return labels, logits


def loss_of(labels, logits, *terms, **others):
    loss, weight = joint_sums(labels, logits, 0, terms=terms, **others)
    return float(loss) / max(float(weight), 1e-6)


def sure(mask):
    """Return logits that leave no doubt."""
    return 200.0 * np.eye(CLASSES, dtype=np.float32)[mask]


def ious_and_dices(label, mask):
    """Return both of each class that one image shows."""
    valid = label != 255
    for index in np.unique(label[valid]):
        truth, found = (label == index) & valid, (mask == index) & valid
        both, either = (truth & found).sum(), (truth | found).sum()
        yield both / either, 2 * both / (truth.sum() + found.sum())


def test_sure_masks_cost_what_iou_and_dice_lack(batch):
    labels, logits = batch
    masks = logits.argmax(-1)
    scores = [
        list(ious_and_dices(*pair)) for pair in zip(labels, masks, strict=True)
    ]
    share = [(label != 255).sum() for label in labels]
    for column, term in enumerate(("lovasz", "dice")):
        by_image = [1 - np.mean([row[column] for row in s]) for s in scores]
        expected = np.average(by_image, weights=share)
        # Sums of 192 pixels in float32.
        assert loss_of(labels, sure(masks), term) == pytest.approx(
            expected, abs=1e-5
        )


def test_lovasz_is_the_integral_over_thresholds(batch):
    """The extension of a set function is its mean over all level sets."""
    labels, logits = batch
    label, scores = labels[0], np.exp(logits[0])
    found = scores / scores.sum(-1, keepdims=True)
    valid = label != 255
    by_class = []
    for index in range(CLASSES):
        truth = label[valid] == index
        errors = abs(truth - found[..., index][valid])
        bounds = np.sort(np.append(errors, 0.0))
        loss = 0.0
        for low, high in itertools.pairwise(bounds):
            wrong = errors > low
            union = (truth | wrong).sum()
            loss += (high - low) * wrong.sum() / union
        by_class.append(loss)
    assert loss_of(labels[:1], logits[:1], "lovasz") == pytest.approx(
        np.mean(by_class), abs=1e-5
    )


def test_ohem_is_the_mean_of_the_hardest_quarter(batch):
    labels, logits = batch
    weights = np.arange(1.0, 1 + CLASSES)
    expected, total = 0.0, 0.0
    for label, scores in zip(labels, logits, strict=True):
        valid = label != 255
        truth, scores = label[valid], scores[valid].astype(np.float64)
        log = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
        losses = -log[np.arange(len(truth)), truth] * weights[truth]
        hardest = np.argsort(-losses)[: label.size // 4]
        mean = losses[hardest].sum() / weights[truth[hardest]].sum()
        expected += mean * weights[truth].sum()
        total += weights[truth].sum()
    assert loss_of(
        labels, logits, "ohem", class_weights=weights
    ) == pytest.approx(expected / total, rel=1e-5)


@pytest.mark.parametrize("term", TERMS)
def test_terms_add_over_images_and_leave_ignored_pixels_out(batch, term):
    labels, logits = batch
    whole = joint_sums(labels, logits, 0, terms=(term,))
    halves = [
        joint_sums(labels[i : i + 1], logits[i : i + 1], 0, terms=(term,))
        for i in (0, 1)
    ]
    for all_of, parts in zip(whole, zip(*halves, strict=True), strict=True):
        assert float(all_of) == pytest.approx(float(sum(parts)), rel=1e-6)
    other = np.where((labels == 255)[..., None], 7 * logits[..., ::-1], logits)
    assert loss_of(labels, other, term) == pytest.approx(
        loss_of(labels, logits, term), rel=1e-6
    )
    nothing = np.full_like(labels, 255)
    assert loss_of(nothing, logits, term) == 0
    right = sure(np.where(labels == 255, 0, labels))
    assert loss_of(labels, right, term) < 1e-6 < loss_of(labels, logits, term)


@pytest.mark.parametrize("term", TERMS)
def test_terms_teach(batch, term):
    """A step against the gradient lowers the loss by what it promises."""
    import tensorflow as tf

    labels, logits = batch
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss, weight = joint_sums(labels, variable, 0, terms=(term,))
        mean = loss / weight
    gradient = tape.gradient(mean, variable).numpy()
    assert np.isfinite(gradient).all() and not gradient[labels == 255].any()
    step = 0.02
    promised = step * (gradient**2).sum()
    fallen = float(mean) - loss_of(labels, logits - step * gradient, term)
    assert fallen == pytest.approx(promised, rel=0.05)


def test_losses_are_added(batch):
    labels, logits = batch
    alone = [loss_of(labels, logits, term) for term in TERMS]
    assert loss_of(labels, logits, *TERMS) == pytest.approx(sum(alone))
    plain = cross_entropy_sums(labels, logits)
    assert float(plain[0] / plain[1]) == pytest.approx(alone[0])
    loss, weight = make_loss(None, terms=("ohem", "dice", "ohem"))(
        labels, logits
    )
    assert float(loss / weight) == pytest.approx(alone[1] + alone[2])


def test_a_teacher_is_learned_where_labels_count(batch):
    labels, logits = batch
    taught = logits[..., ::-1].copy()
    loss = make_loss(None, teacher_weight=2.0)
    plain = cross_entropy_sums(labels, logits)
    same = loss((labels, logits), logits)
    assert float(same[0]) == pytest.approx(float(plain[0]), rel=1e-6)
    assert float(same[1]) == float(plain[1])
    away = float(loss((labels, taught), logits)[0] - plain[0]) / 2
    p, q = (
        np.exp(x) / np.exp(x).sum(-1, keepdims=True)
        for x in (taught.astype(np.float64), logits.astype(np.float64))
    )
    divergence = (p * np.log(p / q)).sum(-1)
    assert away == pytest.approx(divergence[labels != 255].sum(), rel=1e-5)
