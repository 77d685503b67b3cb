"""The nearest product of two thin matrices, against power iteration and against random products."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.errors import DataError
from penjing.maths.low_rank import factors, rank_for, root_of


def naive(weight, rank, steps=400):
    """Singular directions one by one: power iteration on what is left of the matrix, each taken off in its turn."""
    left, out = weight.double().clone(), torch.zeros_like(weight.double())
    for k in range(rank):
        x = torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(k), dtype=torch.float64)
        for _ in range(steps):
            x = left.T @ (left @ x)
            x = x / x.norm()
        part = (left @ x)[:, None] * x[None]
        left, out = left - part, out + part
    return out


def drawn(out, into, seed):
    """A matrix whose singular values lie well apart, so that the iteration converges."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(out, out, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(into, into, generator=generator, dtype=torch.float64))[0]
    count = min(out, into)
    return (left[:, :count] * 0.6 ** torch.arange(count)) @ right[:count]


@given(out=st.integers(2, 9), into=st.integers(2, 9), rank=st.integers(1, 4), seed=st.integers(0, 9))
def test_equals_power_iteration(out, into, rank, seed):
    weight, rank = drawn(out, into, seed), min(rank, out, into)
    found = factors(weight, rank)
    torch.testing.assert_close((found.up @ found.down).double(), naive(weight, rank), rtol=1e-4, atol=1e-5)
    error = float((weight - naive(weight, rank)).norm())
    assert found.error == pytest.approx(error, abs=1e-5)
    assert found.whole == pytest.approx(float(weight.norm()))


@given(seed=st.integers(0, 19), rank=st.integers(1, 5))
def test_whitened_it_changes_outputs_least(seed, rank):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 8, generator=generator)
    x = torch.randn(50, 8, generator=generator) @ torch.randn(8, 8, generator=generator)
    root, _ = root_of(x.T @ x / 50, 0.0)
    plain, white = factors(weight, rank), factors(weight, rank, root)

    def change(f):
        return float(((weight - f.up @ f.down) @ x.T).square().sum() / 50) ** 0.5

    assert change(white) <= change(plain) + 1e-4
    assert white.error == pytest.approx(change(white), rel=1e-3, abs=1e-4)


def test_inputs_that_never_move_have_a_root_all_the_same():
    moment = torch.diag(torch.tensor([1.0, 0.0, 4.0]))
    root, used = root_of(moment, 0.01)
    assert used == 0.01
    assert torch.allclose(root @ root.T, moment.double() + 0.01 * 5 / 3 * torch.eye(3, dtype=torch.float64))
    assert root_of(torch.ones(3, 3), 0.0)[1] > 0
    assert root_of(torch.zeros(3, 3), 0.01)[0].diagonal().gt(0).all()
    with pytest.raises(DataError, match="not finite"):
        root_of(torch.full((2, 2), torch.nan), 0.01)


@given(share=st.floats(0.05, 1.0), out=st.integers(1, 500), into=st.integers(1, 500))
def test_a_rank_has_at_most_its_share_of_numbers(share, out, into):
    rank = rank_for(share, out, into)
    assert rank == 1 or rank * (out + into) <= share * out * into + 1e-3
    assert (rank + 1) * (out + into) > share * out * into - 1e-3
