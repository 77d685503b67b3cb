"""Clusters of corruptions: average linkage equals the definition, groups are those that were planted."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.core import Measurement
from penjing.errors import MeasureError
from penjing.tasks.images import of_corruptions, redundancy
from penjing.tasks.images.redundancy import kendall_tau


def naive_linkage(d):
    """By the definition: at each step the pair of clusters with the smallest mean of all pairwise distances."""
    k = len(d)
    live = {i: (i,) for i in range(k)}
    out = []
    for new in range(k, 2 * k - 1):
        pairs = [(a, b) for a in live for b in live if a < b]
        mean = {}
        for a, b in pairs:
            between = [float(d[i, j]) for i in live[a] for j in live[b]]
            mean[a, b] = sum(between) / len(between)
        a, b = min(pairs, key=lambda p: mean[p])
        out.append((a, b, mean[a, b], len(live[a]) + len(live[b])))
        live[new] = live.pop(a) + live.pop(b)
    return out


@settings(max_examples=20)
@given(k=st.integers(2, 8), seed=st.integers(0, 99), cut=st.floats(0.1, 1.9))
def test_merges_equal_the_definition_and_groups_are_what_is_merged_below_the_cut(k, seed, cut):
    columns = torch.randn(9, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = redundancy(columns, [str(i) for i in range(k)], cut=cut)
    expected = naive_linkage(1 - found.correlation)
    assert [(a, b, n) for a, b, _, n in found.merges] == [(a, b, n) for a, b, _, n in expected]
    assert [x[2] for x in found.merges] == pytest.approx([x[2] for x in expected])
    live = {i: {str(i)} for i in range(k)}
    for i, (a, b, distance, _) in enumerate(expected):
        if distance < cut:
            live[k + i] = live.pop(a) | live.pop(b)
    assert sorted(map(sorted, found.groups)) == sorted(map(sorted, live.values()))
    assert [group[0] for group in found.groups] == sorted(group[0] for group in found.groups)


def planted():
    g = torch.Generator().manual_seed(0)
    one, two = torch.randn(2, 60, 1, generator=g)
    noise = torch.randn(60, 5, generator=g) * 0.2
    return torch.cat([one, two, one, two, one], dim=1) + noise, ("a", "b", "c", "d", "e")


def test_planted_groups_are_found_and_each_has_its_stand_in():
    columns, names = planted()
    found = redundancy(columns, names)
    assert found.groups == (("a", "c", "e"), ("b", "d"))
    assert found.chosen[0] in "ace"
    assert found.chosen[1] in "bd"
    torch.testing.assert_close(found.correlation, torch.corrcoef(columns.T.double()))
    assert len(found.merges) == 4
    assert found.constant == ()


def test_the_cut_decides_how_many():
    columns, names = planted()
    assert len(redundancy(columns, names, cut=0.0).groups) == 5
    assert len(redundancy(columns, names, cut=2.1).groups) == 1


def test_a_constant_column_correlates_with_nothing():
    columns, names = planted()
    columns[:, 1] = 0.1
    found = redundancy(columns, names)
    assert found.constant == ("b",)
    assert found.correlation[1].tolist() == [0, 1, 0, 0, 0]


def test_too_little_is_refused():
    with pytest.raises(MeasureError, match="two or more"):
        redundancy(torch.zeros(5, 1), ["a"])
    with pytest.raises(MeasureError, match="has no corruptions"):
        of_corruptions(Measurement(name="x", value=1.0, unit=""))


def test_kendall_counts_pairs():
    assert kendall_tau([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall_tau([1, 1], [1, 2]) is None
    # tau-b by hand: 2 concordant pairs of 3, one tie in the first order: 2 / sqrt(2 * 3)
    assert kendall_tau([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / 6**0.5)
    with pytest.raises(MeasureError, match="1 and 2 values"):
        kendall_tau([1], [1, 2])
