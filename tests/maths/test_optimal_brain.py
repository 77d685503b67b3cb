"""The column sweep held to surgery row by row with fresh inverses; the binary problem to its own definition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.errors import DataError
from penjing.maths.annealing import energy
from penjing.maths.optimal_brain import binary_problem, factor, sweep
from penjing.maths.sparse_masks import zeros_of


def naive_sweep(weight, hessian, keep, block):
    """One weight at a time, float64: the inverse of what is left of the Hessian is made anew for every column."""
    w = weight.double().clone()
    rows, columns = w.shape
    kept = torch.ones(rows, columns, dtype=torch.bool)
    inverses = [torch.linalg.inv(hessian.double()[j:, j:]) for j in range(columns)]
    for start in range(0, columns, block):
        end = min(start + block, columns)
        spots = [(r, c) for r in range(rows) for c in range(start, end)]
        spots.sort(key=lambda s: float(w[s] ** 2 / inverses[s[1]][0, 0]))
        for spot in spots[: zeros_of(rows * end, keep) - zeros_of(rows * start, keep)]:
            kept[spot] = False
        for r in range(rows):
            for c in range(start, end):
                if not kept[r, c]:
                    inverse = inverses[c]
                    w[r, c:] -= w[r, c] / inverse[0, 0] * inverse[0]
    return w * kept, kept


@settings(max_examples=25)
@given(rows=st.integers(1, 4), columns=st.integers(1, 9), block=st.integers(1, 10), seed=st.integers(0, 99))
def test_the_sweep_equals_the_loop(rows, columns, block, seed):
    g = torch.Generator().manual_seed(seed)
    weight, x = torch.randn(rows, columns, generator=g), torch.randn(30, columns, generator=g)
    moment = x.T @ x / 30
    damped = moment + 0.01 * moment.diagonal().mean() * torch.eye(columns)
    upper, used = factor(moment, 0.01)
    assert used == 0.01
    found, kept = sweep(weight, upper, 0.5, block=block)
    wanted, mask = naive_sweep(weight, damped, 0.5, block)
    assert torch.equal(kept, mask)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=1e-4)  # float32 against float64


def test_neighbours_lose_exactly_so_many_also_when_the_block_is_no_multiple():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(50, 12, generator=g)
    found, kept = sweep(torch.randn(5, 12, generator=g), factor(x.T @ x / 50, 0.01)[0], 0.5, group=(2, 4), block=6)
    assert (kept.view(5, 3, 4).sum(2) == 2).all()
    assert (found[~kept] == 0).all()


def test_a_moment_of_low_rank_and_dead_inputs_still_gives_a_factor():
    x = torch.zeros(3, 8)
    x[:, 2:7] = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    upper, used = factor(x.T @ x / 3, 0.0)
    assert used > 0
    assert upper.isfinite().all()
    assert torch.equal(upper, upper.triu())
    assert factor(torch.zeros(2, 2), 0.01)[0].isfinite().all()


def test_a_moment_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match="not finite"):
        factor(torch.tensor([[float("inf")]]), 0.01)
    with pytest.raises(DataError, match="cannot be inverted"):
        factor(torch.tensor([[1.0, 1e12], [1e12, 1.0]]), 0.01)


@settings(max_examples=25)
@given(n=st.integers(1, 7), seed=st.integers(0, 99))
def test_the_binary_problem_is_the_model_of_the_loss(n, seed):
    g = torch.Generator().manual_seed(seed)
    original, gradient, each = (torch.randn(*s, generator=g).double() for s in ((n,), (n,), (5, n)))
    pruned, ones = torch.rand(n, generator=g) < 0.5, torch.rand(n, generator=g) < 0.5
    hessian, current = each.T @ each / 5, original.masked_fill(pruned, 0.0)
    q, constant = binary_problem(original, current, gradient, hessian, multiplier=0.75, ridge=0.1)
    d = original.masked_fill(ones, 0.0) - current
    wanted = sum(0.5 * d[i] * hessian[i, j] * d[j] for i in range(n) for j in range(n)) + sum(
        0.75 * gradient[i] * d[i] + 0.1 * d[i] ** 2 for i in range(n)
    )
    assert energy(q, ones) + constant == pytest.approx(float(wanted), abs=1e-9)
    assert energy(q, pruned) + constant == pytest.approx(0.0, abs=1e-9)
