"""Patterns: parsing, sizes and masks, against explicit loops."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.core import pattern as p
from penjing.core.pattern import Concat, Leaf, Product
from penjing.errors import LayoutError

SIZES = {"a": 2, "b": 3, "c": 5}


def naive_mask(dim, kept):
    """Walk every position by its coordinates and ask each factor whether the position stays."""
    if isinstance(dim, Leaf):
        return [bool(kept[dim.name][i]) if dim.name in kept else True for i in range(dim.size)]
    if isinstance(dim, Concat):
        return [x for part in dim.parts for x in naive_mask(part, kept)]
    return [all(flags) for flags in itertools.product(*(naive_mask(x, kept) for x in dim.parts))]


def leaf():
    named = st.sampled_from([Leaf(n, s) for n, s in SIZES.items()])
    return st.one_of(named, st.integers(2, 4).map(lambda n: Leaf("", n)))


def product(children):
    return st.lists(children, min_size=1, max_size=3).map(lambda x: Product(tuple(x)))


dims = product(st.one_of(leaf(), st.lists(product(leaf()), min_size=2, max_size=3).map(lambda x: Concat(tuple(x)))))


@given(dims, st.integers(0, 2**10 - 1))
def test_mask_equals_the_walk_over_positions(dim, bits):
    flags = [bool(bits >> i & 1) for i in range(10)]
    kept = {"a": torch.tensor(flags[:2]), "b": torch.tensor(flags[2:5]), "c": torch.tensor(flags[5:])}
    assert p.mask(dim, kept).tolist() == naive_mask(dim, kept)
    assert int(p.mask(dim, kept).sum()) == p.size(dim, {n: int(k.sum()) for n, k in kept.items()})


@given(st.lists(dims, min_size=1, max_size=3))
def test_text_reads_back_as_the_same_pattern(pattern):
    shape = p.shape(tuple(pattern), SIZES)
    again = p.resolve(p.parse(p.show(tuple(pattern))), shape, SIZES)
    assert p.shape(again, {}) == shape
    assert p.show(again) == p.show(tuple(pattern))


def test_an_unknown_size_follows_from_the_shape():
    resolved = p.resolve(p.parse("(heads _) residual"), (12, 8), {"heads": 3, "residual": 8})
    assert p.show(resolved) == "(heads 4) residual"


def test_a_shape_that_does_not_fit_names_the_multiple_needed():
    with pytest.raises(LayoutError, match=r"has an axis of 33; .* needs a multiple of 4"):
        p.resolve(p.parse("(heads _)"), (33,), {"heads": 4}, "q_proj.weight")


@pytest.mark.parametrize("text", ["(a", "a )", "(a +)", "+ a"])
def test_broken_brackets_are_refused(text):
    with pytest.raises(LayoutError):
        p.parse(text)


def test_no_cut_means_no_index():
    assert p.kept_positions(p.resolve(p.parse("a b"), (2, 3), SIZES), {"a": torch.tensor([True, False])})[1] is None
