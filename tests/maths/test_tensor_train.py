"""Chains of cores against sums over every bond, on odd and prime sizes, and all ways to multiply by them."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.maths.tensor_train import (
    UNEVEN,
    WAYS,
    bond_for,
    bonds,
    decompose,
    digits,
    fewest,
    from_left,
    from_right,
    matrix,
    multiply_adds,
    numbers,
    widest,
)

SIZES = st.integers(1, 31)


def digits_of(number, sizes):
    """The digits of a number, the first the most significant."""
    out = []
    for size in reversed(sizes):
        out.append(number % size)
        number //= size
    return out[::-1]


def naive_matrix(cores):
    """Entry by entry: the product of one matrix of each core, chosen by the digits of row and column."""
    outs, ins = [c.shape[1] for c in cores], [c.shape[2] for c in cores]
    found = torch.zeros(math.prod(outs), math.prod(ins), dtype=torch.float64)
    for row, column in itertools.product(range(found.shape[0]), range(found.shape[1])):
        value = torch.ones(1, 1, dtype=torch.float64)
        for core, o, i in zip(cores, digits_of(row, outs), digits_of(column, ins), strict=True):
            value = value @ core[:, o, i, :].double()
        found[row, column] = value
    return found


def naive_cores(weight, outs, ins, bond):
    """The sweep in the paper's order: digits moved entry by entry, singular values dropped at each split."""
    padded = torch.zeros(math.prod(outs), math.prod(ins), dtype=torch.float64)
    padded[: weight.shape[0], : weight.shape[1]] = weight
    sizes = [o * i for o, i in zip(outs, ins, strict=True)]
    flat = torch.zeros(math.prod(sizes), dtype=torch.float64)
    for row, column in itertools.product(range(padded.shape[0]), range(padded.shape[1])):
        place = 0
        for o, i, a, b in zip(outs, ins, digits_of(row, outs), digits_of(column, ins), strict=True):
            place = place * o * i + a * i + b
        flat[place] = padded[row, column]
    cores, rest, left, lost = [], flat, 1, 0.0
    for o, i in list(zip(outs, ins, strict=True))[:-1]:
        u, s, vt = torch.linalg.svd(rest.reshape(left * o * i, -1), full_matrices=False)
        kept = min(bond, len(s))
        lost += sum(float(v) ** 2 for v in s[kept:])
        cores.append(u[:, :kept].reshape(left, o, i, kept))
        rest, left = torch.diag(s[:kept]) @ vt[:kept], kept
    return [*cores, rest.reshape(left, outs[-1], ins[-1], 1)], math.sqrt(lost)


def drawn(out, into, seed=0):
    return torch.randn(out, into, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(out=SIZES, into=SIZES, sites=st.integers(2, 4), bond=st.integers(1, 6), seed=st.integers(0, 9))
def test_equals_the_loop(out, into, sites, bond, seed):
    weight, outs, ins = drawn(out, into, seed), digits(out, sites), digits(into, sites)
    found = decompose(weight, outs, ins, bond)
    wanted, error = naive_cores(weight, outs, ins, bond)
    product = naive_matrix(wanted)
    torch.testing.assert_close(matrix(found.cores).double(), product, rtol=1e-4, atol=1e-4)  # cores are float32
    torch.testing.assert_close(naive_matrix(found.cores), product, rtol=1e-4, atol=1e-4)
    assert found.error == pytest.approx(error, rel=1e-6, abs=1e-6)
    padded = torch.zeros_like(product)
    padded[:out, :into] = weight
    assert float((padded - product).norm()) == pytest.approx(error, rel=1e-6, abs=1e-6)  # squares add up exactly
    wide = bonds(outs, ins, bond)
    for j, core in enumerate(found.cores):
        assert tuple(core.shape) == (wide[j], outs[j], ins[j], wide[j + 1])
    assert numbers(outs, ins, bond) == sum(c.numel() for c in found.cores)


@given(out=SIZES, into=SIZES, sites=st.integers(2, 4))
def test_the_widest_bond_is_exact(out, into, sites):
    weight, outs, ins = drawn(out, into), digits(out, sites), digits(into, sites)
    found = decompose(weight, outs, ins, widest(outs, ins))
    torch.testing.assert_close(matrix(found.cores)[:out, :into].double(), weight, rtol=1e-5, atol=1e-5)
    assert found.error < 1e-9


@given(out=SIZES, into=SIZES, sites=st.integers(2, 4), bond=st.integers(1, 5), rows=st.integers(1, 4))
def test_every_way_to_multiply_gives_the_product_of_the_loop(out, into, sites, bond, rows):
    outs, ins = digits(out, sites), digits(into, sites)
    cores = decompose(drawn(out, into), outs, ins, bond).cores
    x = drawn(rows, math.prod(ins), seed=1).float()
    wanted = (x.double() @ naive_matrix(cores).T).float()
    for through in (from_left, from_right):
        torch.testing.assert_close(through(x, cores), wanted, rtol=1e-4, atol=1e-4)


def counted(outs, ins, bond, way):
    """Multiply-adds by the definition: each step's result has so many entries, each a sum of so many products."""
    wide, sites = bonds(outs, ins, bond), range(len(outs))
    out = []
    for j in sites:
        done, rest = (outs[:j], ins[j + 1 :]) if way == "left" else (outs[j + 1 :], ins[:j])
        end, sums = (wide[j + 1], wide[j]) if way == "left" else (wide[j], wide[j + 1])
        out.append(math.prod(done) * outs[j] * end * math.prod(rest) * sums * ins[j])
    return tuple(out)


@given(out=SIZES, into=SIZES, bond=st.integers(1, 9), inputs=st.integers(1, 50))
def test_multiply_adds_are_those_of_the_steps_and_the_fewest_win(out, into, bond, inputs):
    outs, ins = digits(out, 3), digits(into, 3)
    for way in ("left", "right"):
        assert multiply_adds(outs, ins, bond, way) == (counted(outs, ins, bond, way), 0)
    totals = {}
    for way in WAYS:
        each, once = multiply_adds(outs, ins, bond, way)
        totals[way] = inputs * sum(each) + once
    assert totals[fewest(outs, ins, bond, inputs)] == min(totals.values())


def test_the_paper_s_example():
    """216 x 216 in three sites of 6 x 6: 2 x 36 bond + 36 bond^2; a bond of 36 is exact and larger than the matrix."""
    outs = ins = digits(216, 3)
    assert outs == (6, 6, 6)
    assert [numbers(outs, ins, b) for b in (8, 35, 36)] == [72 * b + 36 * b**2 for b in (8, 35, 36)]
    assert widest(outs, ins) == 36
    assert numbers(outs, ins, 35) < 216**2 < numbers(outs, ins, 36)
    assert bond_for(1 - 1 / 216**2, outs, ins, 216**2) == 35


@given(size=st.integers(1, 5000), sites=st.integers(2, 4))
def test_digits_number_the_size_or_a_little_more(size, sites):
    found = digits(size, sites)
    assert len(found) == sites
    assert size <= math.prod(found) <= size + size // 16 + 1
    if math.prod(found) == size:
        return
    assert max(found) <= max(max(f) for f in [digits_exact(size, sites)])


def digits_exact(size, sites):
    """The most even factors without padding, by trying all."""
    every = [f for f in itertools.combinations_with_replacement(divisors(size), sites) if math.prod(f) == size]
    best = min(every, key=max)
    assert max(best) > UNEVEN * min(best)
    return best


def divisors(size):
    return [n for n in range(1, size + 1) if size % n == 0]


@given(share=st.floats(0.01, 1.0), out=st.integers(2, 60), into=st.integers(2, 60))
def test_a_bond_has_at_most_its_share_of_numbers(share, out, into):
    outs, ins = digits(out, 3), digits(into, 3)
    bond = bond_for(share, outs, ins, out * into)
    assert bond == 1 or numbers(outs, ins, bond) <= share * out * into + 1e-6
    assert bond == widest(outs, ins) or numbers(outs, ins, bond + 1) > share * out * into - 1e-6


def test_a_matrix_of_zeros_stays_one():
    found = decompose(torch.zeros(6, 4), (3, 2), (2, 2), 2)
    assert float(matrix(found.cores).abs().max()) == 0
