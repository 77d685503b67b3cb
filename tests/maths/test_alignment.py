"""Pairs of blocks, and the error of states against a loop."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.maths.alignment import evenly, state_error


@given(st.integers(1, 9), st.integers(0, 9))
def test_pairs_rise_and_end_with_both_last(few, more):
    pairs = evenly(few, few + more)
    assert [i for i, _ in pairs] == list(range(few))
    theirs = [j for _, j in pairs]
    assert theirs == sorted(set(theirs))
    assert pairs[-1] == (few - 1, few + more - 1)


def normal(values):
    mean = sum(values) / len(values)
    spread = sum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / (spread + 1e-5) ** 0.5 for v in values]


def naive(student, teacher, counts, normalise):
    """The mean over positions that count of the mean over width of squares."""
    total, n = 0.0, 0
    for i in range(student.shape[0]):
        for j in range(student.shape[1]):
            if counts is not None and not counts[i, j]:
                continue
            one, other = student[i, j].tolist(), teacher[i, j].tolist()
            if normalise:
                one, other = normal(one), normal(other)
            total += sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one)
            n += 1
    return total / n


@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 7), st.booleans(), st.booleans(), st.integers(0, 99))
def test_equals_the_loop(rows, length, width, normalise, masked, seed):
    g = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, rows, length, width, generator=g)
    counts = torch.arange(length).expand(rows, -1) < max(1, length - 1) if masked else None
    found = float(state_error(student, teacher, counts, normalise=normalise))
    assert found == pytest.approx(naive(student, teacher, counts, normalise), rel=1e-3, abs=1e-6)
