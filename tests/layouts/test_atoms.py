"""The five operations on atoms, against explicit masks of positions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.layouts.graph import atoms
from penjing.layouts.graph.atoms import Conflict
from penjing.layouts.prove.masked import mask


def random_kept(dims, seed):
    """A random choice of kept units for every leaf, at least one each; all of what is frozen."""
    g = torch.Generator().manual_seed(seed)
    kept = {}
    for dim in dims:
        for leaf in atoms.leaves(dim):
            if leaf not in kept:
                kept[leaf] = torch.rand(leaf.size, generator=g) < (2 if leaf.frozen else 0.6)
                kept[leaf][0] = True
    return kept


sizes = st.lists(st.integers(1, 4), min_size=1, max_size=4)
seeds = st.integers(0, 99)


@given(sizes=sizes, seed=seeds)
def test_a_product_is_the_kronecker_product_of_its_masks(sizes, seed):
    dim = [a for s in sizes for a in atoms.new_dim(s)]
    kept = random_kept([dim], seed)
    units = [kept[a] for a in atoms.normal(dim)]
    expected = [True]
    for unit in units:
        expected = [bool(e and u) for e in expected for u in unit]
    assert mask(dim, kept).tolist() == expected


@given(outer=st.integers(2, 5), inner=st.integers(2, 5), seed=seeds)
def test_split_keeps_the_length_and_the_row_major_order(outer, inner, seed):
    dim = atoms.new_dim(outer * inner)
    atoms.split(dim[0], outer, inner)
    parts = atoms.normal(dim)
    assert [p.size for p in parts] == [outer, inner]
    kept = random_kept([dim], seed)
    expected = [bool(kept[parts[0]][i // inner] and kept[parts[1]][i % inner]) for i in range(outer * inner)]
    assert mask(dim, kept).tolist() == expected


@given(lengths=st.lists(st.integers(1, 5), min_size=2, max_size=4), place=st.integers(1, 30), seed=seeds)
def test_cut_pieces_laid_end_to_end_are_the_whole(lengths, place, seed):
    dim = atoms.concat([atoms.new_dim(n) for n in lengths])
    total = sum(lengths)
    place = place % (total - 1) + 1
    left, right = atoms.cut(dim, place)
    assert atoms.length(left) == place
    assert atoms.length(right) == total - place
    kept = random_kept([dim, left, right], seed)
    assert torch.equal(torch.cat([mask(left, kept), mask(right, kept)]), mask(dim, kept))


@given(outer=st.integers(2, 6), inner=st.integers(1, 4), place=st.integers(1, 5), seed=seeds)
def test_cut_of_a_product_falls_between_outer_units(outer, inner, place, seed):
    dim = [*atoms.new_dim(outer), *atoms.new_dim(inner)]
    place = place % (outer - 1) + 1
    left, right = atoms.cut(dim, place * inner)
    kept = random_kept([dim], seed)
    assert torch.equal(torch.cat([mask(left, kept), mask(right, kept)]), mask(dim, kept))


def test_a_cut_inside_an_inner_factor_is_a_conflict():
    with pytest.raises(Conflict):
        atoms.cut([*atoms.new_dim(4), *atoms.new_dim(3)], 4)


@st.composite
def two_factorings(draw):
    """Two ways to write one length as a product, the second from merging neighbours of the first."""
    first = draw(st.lists(st.integers(2, 4), min_size=1, max_size=4))
    second, rest = [], list(first)
    while rest:
        take = draw(st.integers(1, len(rest)))
        second.append(int(torch.tensor(rest[:take]).prod()))
        rest = rest[take:]
    return first, second


@given(pair=two_factorings(), seed=seeds)
def test_unified_dimensions_have_one_mask(pair, seed):
    one, two = ([a for s in sizes for a in atoms.new_dim(s)] for sizes in pair)
    atoms.unify(one, two)
    kept = random_kept([one, two], seed)
    assert torch.equal(mask(one, kept), mask(two, kept))
    assert [id(a) for a in atoms.leaves(one)] == [id(a) for a in atoms.leaves(two)]


@given(
    one=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    two=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    seed=seeds,
)
def test_unified_concatenations_have_one_mask(one, two, seed):
    """The shorter is filled up so that both have one length; boundaries then cut the longer parts."""
    gap = sum(one) - sum(two)
    one, two = (one, [*two, gap]) if gap > 0 else ([*one, -gap] if gap else one, two)
    first, second = (atoms.concat([atoms.new_dim(n) for n in sizes]) for sizes in (one, two))
    atoms.unify(first, second)
    kept = random_kept([first, second], seed)
    assert torch.equal(mask(first, kept), mask(second, kept))


@given(parts=st.lists(st.integers(1, 4), min_size=2, max_size=3), inner=st.integers(2, 4), seed=seeds)
def test_split_of_a_concatenation_shares_the_inner_factor(parts, inner, seed):
    dim = atoms.concat([atoms.new_dim(p * inner) for p in parts])
    before = atoms.length(dim)
    atoms.split(dim[0], sum(parts), inner)
    assert atoms.length(dim) == before
    assert atoms.normal(dim)[-1].size == inner
    kept = random_kept([dim], seed)
    assert len(mask(dim, kept)) == before


def test_a_chunk_by_view_over_two_halves_ties_them():
    a, b = atoms.new_dim(6), atoms.new_dim(6)
    dim = atoms.concat([a, b])
    atoms.split(dim[0], 2, 6)
    assert atoms.find(a[0]) is atoms.find(b[0])


@given(first=sizes, seed=seeds)
def test_regroup_keeps_positions(first, seed):
    dim = [a for s in first for a in atoms.new_dim(s)]
    total = atoms.length(dim)
    kept_before = None
    for k in range(1, total + 1):
        if total % k:
            continue
        try:
            groups = atoms.regroup(dim, [k, total // k])
        except Conflict:
            continue
        assert [atoms.length(g) for g in groups] == [k, total // k]
        kept_before = random_kept(groups, seed)
        rows, columns = mask(groups[0], kept_before), mask(groups[1], kept_before)
        assert torch.equal((rows[:, None] & columns[None]).flatten(), mask(dim, kept_before))
    assert kept_before is not None


def test_equal_sizes_alone_never_couple():
    a, b = atoms.new_dim(4), atoms.new_dim(4)
    atoms.unify([*a, *b], [*atoms.new_dim(4), *atoms.new_dim(4)])
    assert atoms.find(a[0]) is not atoms.find(b[0])


def test_unlike_factors_conflict():
    with pytest.raises(Conflict):
        atoms.unify([*atoms.new_dim(2), *atoms.new_dim(3)], [*atoms.new_dim(3), *atoms.new_dim(2)])


def test_a_square_takes_the_same_leaf_twice():
    c = atoms.new_dim(4)
    flat = atoms.new_dim(16)
    atoms.unify([*c, *c], flat)
    assert [id(a) for a in atoms.leaves(flat)] == [id(c[0])] * 2


def test_marks_pass_to_what_is_refined_and_merged():
    dim = atoms.new_dim(12, frozen="because")
    other = atoms.new_dim(12)
    atoms.split(dim[0], 3, 4)
    atoms.unify(dim, other)
    assert [leaf.frozen for leaf in atoms.leaves(other)] == ["because", "because"]


def test_the_first_reason_stays():
    dim = atoms.new_dim(3)
    atoms.mark_sensitive(dim, "one")
    atoms.mark_sensitive(dim, "two")
    assert dim[0].sensitive == "one"


def test_users_of_a_generic_value_are_not_tied():
    shared = [atoms.new_dim(5, generic=True)]
    one, two = atoms.new_dim(5), atoms.new_dim(5)
    atoms.unify(atoms.instantiate(shared)[0], one)
    atoms.unify(atoms.instantiate(shared)[0], two)
    assert atoms.find(one[0]) is not atoms.find(two[0])


def test_a_generic_atom_stops_being_generic_when_it_meets_an_ordinary_one():
    copy = atoms.instantiate([atoms.new_dim(5, generic=True)])[0]
    assert all(a.generic for a in atoms.leaves(copy))
    atoms.unify(copy, atoms.new_dim(5))
    assert not any(a.generic for a in atoms.leaves(copy))


def test_one_use_copies_a_repeated_generic_atom_once():
    atom = atoms.new_dim(3, generic=True)
    first, second = atoms.instantiate([atom, atom])
    assert first[0] is second[0]
    assert first[0] is not atom[0]
