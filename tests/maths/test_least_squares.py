"""Weights that make up for inputs that are gone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import DataError
from penjing.maths.least_squares import repair


def naive(weight, samples, kept, ridge):
    """Ridge regression by stacking: rows of x_K with targets Wx, and sqrt(damping) rows asking for the old weights."""
    x, w = samples.double(), weight.double()
    damping = ridge * x.square().mean(0).mean() * len(x)
    design = torch.cat([x[:, kept], damping.sqrt() * torch.eye(len(kept), dtype=torch.float64)])
    target = torch.cat([x @ w.T, damping.sqrt() * w[:, kept].T])
    return torch.linalg.lstsq(design, target, driver="gelsd").solution.T


@given(
    out=st.integers(1, 4), inputs=st.integers(1, 9), samples=st.integers(1, 30), seed=st.integers(0, 99), data=st.data()
)
def test_equals_stacked_ridge_regression(out, inputs, samples, seed, data):
    g = torch.Generator().manual_seed(seed)
    w, x = torch.randn(out, inputs, generator=g), torch.randn(samples, inputs, generator=g, dtype=torch.float64)
    kept = torch.tensor(sorted(data.draw(st.sets(st.integers(0, inputs - 1), min_size=1))))
    found = repair(w, x.T @ x / samples, kept, ridge=0.01)
    torch.testing.assert_close(found, naive(w, x, kept, 0.01), rtol=1e-7, atol=1e-7)  # float64, condition up to 1e4


def test_all_inputs_kept_gives_the_weight_back():
    x, w = torch.randn(50, 7).double(), torch.randn(3, 7).double()
    torch.testing.assert_close(repair(w, x.T @ x / 50, torch.arange(7), ridge=0.1), w)


def test_is_never_worse_than_the_plain_cut_on_its_own_data():
    x = torch.randn(200, 8).double() @ torch.randn(8, 8).double()
    w, kept = torch.randn(5, 8).double(), torch.tensor([0, 2, 3, 6])
    new = repair(w, x.T @ x / 200, kept, ridge=0.01)
    error = (x @ w.T - x[:, kept] @ new.T).square().sum()
    assert error < (x @ w.T - x[:, kept] @ w[:, kept].T).square().sum()


def test_inputs_that_are_copies_are_made_up_for_exactly():
    half = torch.randn(64, 3).double()
    x, w = torch.cat([half, half], 1), torch.randn(2, 6).double()
    new = repair(w, x.T @ x / 64, torch.arange(3), ridge=1e-9)
    torch.testing.assert_close(x[:, :3] @ new.T, x @ w.T, rtol=1e-6, atol=1e-6)


def test_a_strong_ridge_leaves_the_old_weights():
    x, w, kept = torch.randn(40, 5).double(), torch.randn(3, 5).double(), torch.tensor([1, 4])
    torch.testing.assert_close(repair(w, x.T @ x / 40, kept, ridge=1e9), w[:, kept], rtol=1e-6, atol=1e-6)


def test_inputs_that_were_always_zero_do_no_harm():
    w = torch.randn(3, 4)
    assert repair(w, torch.zeros(4, 4), torch.tensor([0, 1]), ridge=0.01).isfinite().all()


def test_a_moment_of_another_size_is_refused():
    with pytest.raises(DataError, match="the weight has 4 inputs"):
        repair(torch.zeros(2, 4), torch.zeros(3, 3), torch.tensor([0]), ridge=0.1)


def test_a_moment_with_nan_is_refused():
    with pytest.raises(DataError, match="not finite"):
        repair(torch.zeros(2, 2), torch.full((2, 2), torch.nan), torch.tensor([0]), ridge=0.1)
