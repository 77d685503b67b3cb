"""Refitting to a target, against a descent on every sample, and where it must give the old weights back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import DataError
from penjing.maths.drift import refit
from penjing.maths.least_squares import repair


def drawn(out, inputs, samples, seed):
    g = torch.Generator().manual_seed(seed)
    weight, x = (torch.randn(n, inputs, generator=g, dtype=torch.float64) for n in (out, samples))
    return weight, x, torch.randn(samples, out, generator=g, dtype=torch.float64)


def naive(weight, x, wanted, kept, ridge):
    """One row at a time: the normal equations of the samples' squared errors, summed in a loop, and of the ridge."""
    damping = ridge * sum((row**2).mean() for row in x) / len(x)
    rows = []
    for o in range(weight.shape[0]):
        left = damping * torch.eye(len(kept), dtype=torch.float64)
        right = damping * weight[o, kept]
        for row, t in zip(x, wanted, strict=True):
            left = left + torch.outer(row[kept], row[kept]) / len(x)
            right = right + t[o] * row[kept] / len(x)
        rows.append(torch.linalg.solve(left, right))
    return torch.stack(rows)


@given(
    out=st.integers(1, 5), inputs=st.integers(1, 7), samples=st.integers(1, 20), seed=st.integers(0, 99), data=st.data()
)
def test_equals_the_loop(out, inputs, samples, seed, data):
    kept = torch.tensor(sorted(data.draw(st.sets(st.integers(0, inputs - 1), min_size=1))))
    weight, x, wanted = drawn(out, inputs, samples, seed)
    found = refit(weight, x.T @ x / samples, wanted.T @ x / samples, kept, ridge=0.1)
    torch.testing.assert_close(found, naive(weight, x, wanted, kept, 0.1), rtol=1e-7, atol=1e-9)


@given(out=st.integers(1, 4), inputs=st.integers(2, 6), seed=st.integers(0, 99))
def test_with_the_old_outputs_as_target_it_is_the_repair(out, inputs, seed):
    weight, x, _ = drawn(out, inputs, 9, seed)
    moment, kept = x.T @ x / 9, torch.arange(inputs - 1)
    found = refit(weight, moment, weight @ moment, kept, ridge=0.05)
    torch.testing.assert_close(found, repair(weight, moment, kept, ridge=0.05))


def test_a_strong_ridge_gives_the_plain_cut():
    weight, x, wanted = drawn(3, 5, 8, 0)
    kept = torch.tensor([0, 3])
    found = refit(weight, x.T @ x / 8, wanted.T @ x / 8, kept, ridge=1e9)
    torch.testing.assert_close(found, weight[:, kept], rtol=1e-6, atol=1e-6)


def test_without_ridge_and_rank_the_smallest_solution_is_given():
    weight, x, wanted = drawn(2, 6, 3, 1)
    found = refit(weight, x.T @ x / 3, wanted.T @ x / 3, torch.arange(6), ridge=0.0)
    torch.testing.assert_close(x @ found.T, wanted, rtol=1e-5, atol=1e-6)


def test_moments_of_another_shape_or_with_nan_are_refused():
    weight, x, wanted = drawn(2, 4, 5, 2)
    moment, target = x.T @ x, wanted.T @ x
    with pytest.raises(DataError, match=r"needs \(4, 4\) and \(2, 4\)"):
        refit(weight, moment, target[:1], torch.arange(2), ridge=0.1)
    target[0, 0] = torch.nan
    with pytest.raises(DataError, match=r"not finite"):
        refit(weight, moment, target, torch.arange(2), ridge=0.1)
