"""Bases: principal axes against power iteration, random ones, and those that keep the mean."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.maths.pca import mean_keeping, principal_axes, random_orthogonal


def naive_axes(moment, steps=2000):
    """Power iteration with deflation: the direction of the largest energy, then the next at right angles to it."""
    n, out, rest = len(moment), [], moment.clone()
    for _ in range(n):
        v = torch.ones(n, dtype=torch.float64) + torch.arange(n) / 10
        for _ in range(steps):
            v = rest @ v
            for u in out:
                v = v - (u @ v) * u
            v = v / v.norm()
        out.append(v if v[v.abs().argmax()] > 0 else -v)
        rest = rest - (v @ moment @ v) * torch.outer(v, v)
    return torch.stack(out, 1)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_principal_axes_are_those_of_power_iteration(size):
    g = torch.Generator().manual_seed(size)
    turn = random_orthogonal(size, g)
    moment = turn @ torch.diag(3.0 ** torch.arange(size, 0, -1).double()) @ turn.T
    torch.testing.assert_close(principal_axes(moment), naive_axes(moment), rtol=0, atol=1e-8)


def test_damping_gives_axes_where_there_is_no_energy():
    axes = principal_axes(torch.zeros(3, 3) + 1e-9 * torch.eye(3))
    torch.testing.assert_close(axes.T @ axes, torch.eye(3, dtype=torch.float64))


@given(size=st.integers(1, 9), seed=st.integers(0, 99), data=st.data())
def test_a_mean_keeping_basis_is_orthonormal_and_maps_the_mean_to_the_mean(size, seed, data):
    g = torch.Generator().manual_seed(seed)
    kept = data.draw(st.integers(1, size))
    basis = mean_keeping(random_orthogonal(size, g)[:, :kept])
    assert basis.shape == (size, kept)
    torch.testing.assert_close(basis.T @ basis, torch.eye(kept, dtype=torch.float64))
    torch.testing.assert_close(basis.sum(1) / kept**0.5, torch.full((size,), size**-0.5, dtype=torch.float64))
    x = torch.randn(4, size, dtype=torch.float64, generator=g)
    torch.testing.assert_close((x @ basis).mean(1), x.mean(1) * (size / kept) ** 0.5)


def test_a_mean_keeping_basis_holds_what_its_axes_hold():
    g = torch.Generator().manual_seed(0)
    axes = random_orthogonal(7, g)[:, :3]
    basis = mean_keeping(torch.cat([axes, torch.zeros(7, 1)], 1))
    centred = axes - axes.mean(0)
    torch.testing.assert_close(basis @ (basis.T @ centred), centred)
