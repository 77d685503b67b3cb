"""Calibration errors equal naive loops and behave as they must on models of known calibration."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.errors import MeasureError
from penjing.tasks.images import reliability as r


def drawn(n, classes, seed, sharp=1.0):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=g, dtype=torch.float64) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=g)[:, 0]
    return logits * sharp, labels


def naive_ece(confidence, correct, bins):
    total, worst = 0.0, 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [i for i, c in enumerate(confidence) if (low < c <= high) or (b == 0 and c == 0)]
        if inside:
            accuracy = sum(correct[i] for i in inside) / len(inside)
            gap = abs(accuracy - sum(confidence[i] for i in inside) / len(inside))
            total, worst = total + len(inside) / len(confidence) * gap, max(worst, gap)
    return total, worst


@settings(max_examples=25)
@given(n=st.integers(1, 40), classes=st.integers(2, 5), bins=st.integers(1, 15), seed=st.integers(0, 99))
def test_equal_width_errors_equal_the_loop(n, classes, bins, seed):
    logits, labels = drawn(n, classes, seed)
    confidence, correct = r.confidences(logits.softmax(1), labels)
    found = r.equal_width(confidence, correct, bins)
    expected = naive_ece(confidence.tolist(), correct.long().tolist(), bins)
    assert (found.ece(), found.worst()) == pytest.approx(expected)
    assert int(found.count.sum()) == n
    each = [
        naive_ece(logits.softmax(1)[:, c].tolist(), (labels == c).long().tolist(), bins)[0] for c in range(classes)
    ]
    assert r.classwise_ece(logits.softmax(1), labels, bins) == pytest.approx(sum(each) / classes)


@settings(max_examples=25)
@given(n=st.integers(1, 40), bins=st.integers(1, 15), seed=st.integers(0, 99))
def test_equal_mass_errors_equal_the_loop(n, bins, seed):
    logits, labels = drawn(n, 3, seed)
    confidence, correct = r.confidences(logits.softmax(1), labels)
    found = r.equal_mass(confidence, correct, bins)
    order = sorted(range(n), key=lambda i: float(confidence[i]))
    used = min(bins, n)
    total = 0.0
    for b in range(used):
        inside = [i for k, i in enumerate(order) if k * used // n == b]
        gap = sum(float(correct[i]) - float(confidence[i]) for i in inside)
        total += abs(gap) / n
    assert found.ece() == pytest.approx(total)
    assert int(found.count.max() - found.count.min()) <= 1
    assert bool((found.low <= found.confidence + 1e-12).all() and (found.confidence <= found.high + 1e-12).all())


def test_brier_and_loss_equal_the_loop():
    logits, labels = drawn(30, 4, 0)
    p = logits.softmax(1)
    for i, y in enumerate(labels.tolist()):
        expected = sum((float(p[i, c]) - (c == y)) ** 2 for c in range(4))
        assert float(r.brier(p, labels)[i]) == pytest.approx(expected)
        assert float(r.nll(logits, labels)[i]) == pytest.approx(-math.log(float(p[i, y])))


def test_a_calibrated_model_has_a_small_error_and_an_overconfident_one_a_large():
    def ece(sharp):
        logits, labels = drawn(10_000, 5, 1, sharp)
        return r.equal_width(*r.confidences(logits.softmax(1), labels)).ece()

    assert ece(1.0) < 0.015
    assert ece(2.0) > 0.08


@pytest.mark.parametrize("sharp", [0.3, 1.0, 2.5])
def test_the_temperature_undoes_a_scaling(sharp):
    logits, labels = drawn(20_000, 5, 2, sharp)
    assert r.temperature(logits, labels) == pytest.approx(sharp, rel=0.05)


def test_the_temperature_has_the_lowest_loss():
    logits, labels = drawn(200, 4, 3, 1.7)
    best = r.temperature(logits, labels)
    loss = {t: float(r.nll(logits / t, labels).mean()) for t in (best, best * 1.02, best / 1.02)}
    assert min(loss, key=loss.__getitem__) == best


@pytest.mark.parametrize(("right", "expected"), [(True, 0.01), (False, 100.0)])
def test_a_temperature_without_a_best_stops_at_its_bounds(right, expected):
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert r.temperature(logits, torch.tensor([0, 1] if right else [1, 0])) == pytest.approx(expected, rel=1e-3)


def test_the_interval_holds_the_error_and_is_repeatable():
    logits, labels = drawn(400, 3, 4, 2.0)
    bins = r.equal_width(*r.confidences(logits.softmax(1), labels))
    first, again = bins.interval(seed=3), bins.interval(seed=3)
    assert first.value == pytest.approx(bins.ece())
    assert first.interval() == again.interval()
    low, high = first.interval()
    assert 0 <= low < high < 1


def test_bins_are_columns_for_a_diagram():
    found = r.equal_width(torch.tensor([0.05, 0.9, 1.0]), torch.tensor([0, 1, 1]), 2).columns()
    assert found["low"] == [0.0, 0.5]
    assert found["count"] == [1, 2]
    assert found["accuracy"] == [0.0, 1.0]
    assert found["confidence"] == pytest.approx([0.05, 0.95])


@pytest.mark.parametrize(
    ("p", "labels", "said"),
    [
        (torch.tensor([[0.7, 0.7]]), torch.tensor([0]), "do not sum to 1"),
        (torch.tensor([[1.5, -0.5]]), torch.tensor([0]), "do not sum to 1"),
        (torch.tensor([[0.5, 0.5]]), torch.tensor([2]), "outside the 2 classes"),
        (torch.tensor([[0.5, 0.5]]), torch.tensor([0, 1]), "for 2 labels"),
    ],
)
def test_what_is_no_probability_is_refused(p, labels, said):
    with pytest.raises(MeasureError, match=said):
        r.brier(p, labels)


def test_confidences_outside_are_refused():
    with pytest.raises(MeasureError, match="not from 0 to 1"):
        r.equal_width(torch.tensor([1.2]), torch.tensor([1]))
    with pytest.raises(MeasureError, match="needed"):
        r.equal_mass(torch.tensor([]), torch.tensor([]))
