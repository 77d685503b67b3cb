"""Solvers of the binary problem, held to trying everything."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.errors import PenjingError
from penjing.maths.annealing import anneal, clipped, descend, energy, exhaustive


def naive_energy(q, ones):
    return sum(float(q[i, j]) for i, j in itertools.product(range(len(q)), repeat=2) if ones[i] and ones[j])


def problem(n, seed):
    q = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    start = torch.zeros(n, dtype=torch.bool)
    start[: n // 2] = True
    return (q + q.T) / 2, start


# Annealing may miss the best one; with ten runs on so few variables it does not, for the examples drawn here.
@settings(max_examples=25, derandomize=True)
@given(n=st.integers(1, 9), seed=st.integers(0, 999))
def test_annealing_finds_the_best_and_descent_never_rises(n, seed):
    q, start = problem(n, seed)
    best = exhaustive(q, int(start.sum()))
    lowest = min(
        naive_energy(q, [i in c for i in range(n)]) for c in itertools.combinations(range(n), int(start.sum()))
    )
    assert energy(q, best) == pytest.approx(lowest)
    found, down = anneal(q, start, seeds=range(10)), descend(q, start)
    assert int(found.sum()) == int(down.sum()) == int(start.sum())
    assert energy(q, found) == pytest.approx(lowest)
    assert energy(q, down) <= energy(q, start) + 1e-12


def test_no_swap_improves_what_descent_and_annealing_give():
    q, start = problem(24, 1)
    for found in (descend(q, start), anneal(q, start, seeds=[0])):
        for i, j in itertools.product(range(24), repeat=2):
            if found[i] and not found[j]:
                other = found.clone()
                other[i], other[j] = False, True
                assert energy(q, other) >= energy(q, found) - 1e-9


def test_the_same_seed_gives_the_same_answer_and_the_start_is_left_alone():
    q, start = problem(30, 2)
    before = start.clone()
    assert torch.equal(anneal(q, start, seeds=[4]), anneal(q, start, seeds=[4]))
    assert torch.equal(start, before)


def test_the_cut_off_spares_negative_entries():
    q = torch.tensor([[-2.0, 1e-13], [-1e-13, 3.0]])
    assert torch.equal(clipped(q, 1e-12), torch.tensor([[-2.0, 0.0], [0.0, 3.0]]))


def test_too_many_to_try_are_refused():
    with pytest.raises(PenjingError, match="21 variables"):
        exhaustive(torch.zeros(21, 21), 2)


@pytest.mark.parametrize("ones", [0, 4])
def test_a_full_or_empty_choice_stays(ones):
    start = torch.arange(4) < ones
    assert torch.equal(anneal(torch.eye(4), start, seeds=[0]), start)
    assert torch.equal(descend(torch.zeros(4, 4), start), start)
