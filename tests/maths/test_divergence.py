"""The divergence against a loop over positions and classes."""

import math
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.maths import divergence
from penjing.maths.divergence import kl
from penjing.maths.similarity import log_similarities


def softmax(row, temperature):
    top = max(float(x) for x in row)
    powers = [math.exp((float(x) - top) / temperature) for x in row]
    return [p / sum(powers) for p in powers]


def naive(teacher, student, temperature, reverse, counts):
    """Sum over classes of p log(p / q), mean over the positions that count, times the temperature squared."""
    total, n = 0.0, 0
    for place in range(len(teacher)):
        if counts is not None and not counts[place]:
            continue
        p, q = softmax(teacher[place], temperature), softmax(student[place], temperature)
        p, q = (q, p) if reverse else (p, q)
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        n += 1
    return temperature**2 * total / n


@given(
    positions=st.integers(1, 5), classes=st.integers(2, 7), temperature=st.sampled_from([0.5, 1.0, 3.0]),
    reverse=st.booleans(), masked=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_equals_the_loop(positions, classes, temperature, reverse, masked, seed):
    g = torch.Generator().manual_seed(seed)
    teacher, student = torch.randn(2, positions, classes, generator=g)
    counts = torch.arange(positions) % 2 == 0 if masked else None
    found = kl(teacher, student, temperature=temperature, reverse=reverse, counts=counts)
    assert float(found) == pytest.approx(naive(teacher, student, temperature, reverse, counts), rel=1e-4, abs=1e-6)


def test_the_gradient_is_the_difference_of_the_distributions():
    """Of the forward divergence: (q - p) times the temperature, over the positions."""
    teacher, student = torch.randn(2, 3, 5)
    student.requires_grad_()
    kl(teacher, student, temperature=2.0).backward()
    wanted = 2.0 * ((student.detach() / 2).softmax(-1) - (teacher / 2).softmax(-1)) / 3
    torch.testing.assert_close(student.grad, wanted)


def test_padding_counts_nothing_over_whole_batches():
    teacher, student = torch.randn(2, 2, 4, 6)
    counts = torch.tensor([[True, True, True, False], [True, False, False, False]])
    each = torch.stack([kl(t, s) for t, s in zip(teacher[counts], student[counts], strict=True)])
    torch.testing.assert_close(kl(teacher, student, counts=counts), each.mean())


@given(st.integers(2, 5), st.integers(1, 6), st.integers(0, 99))
def test_similarities_equal_the_loop(examples, width, seed):
    features = torch.randn(examples, width, generator=torch.Generator().manual_seed(seed))
    found = log_similarities(features, 15.0).exp()
    for i in range(examples):
        cosines = [float(features[i] @ f / (features[i].norm() * f.norm())) for f in features]
        wanted = softmax([15 * c for c in cosines], 1.0)
        assert found[i].tolist() == pytest.approx(wanted, rel=1e-3, abs=1e-6)


@given(
    rows=st.integers(1, 9), classes=st.integers(2, 7), temperature=st.sampled_from([0.5, 1.0, 3.0]),
    reverse=st.booleans(), masked=st.booleans(), at_once=st.integers(1, 30),
)  # fmt: skip
def test_value_and_gradient_are_those_of_the_formula_in_one_piece(rows, classes, temperature, reverse, masked, at_once):
    g = torch.Generator().manual_seed(rows + classes)
    teacher, student = torch.randn(2, rows, classes, generator=g, dtype=torch.float32)
    counts = torch.arange(rows) % 3 == 0 if masked else None
    ours, theirs = student.clone().requires_grad_(), student.clone().requires_grad_()
    with mock.patch.object(divergence, "AT_ONCE", at_once):
        found = kl(teacher, ours, temperature=temperature, reverse=reverse, counts=counts)
    (3 * found).backward()
    p, q = (torch.log_softmax(x / temperature, -1) for x in (teacher, theirs))
    p, q = (q, p) if reverse else (p, q)
    each = (p.exp() * (p - q)).sum(-1) * temperature**2
    wanted = (each if counts is None else each[counts]).mean()
    (3 * wanted).backward()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
