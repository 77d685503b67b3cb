"""First-order sums against loops over single weights."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.errors import PenjingError
from penjing.maths import taylor


def naive(parts, reduce):
    out = []
    for unit in range(len(parts[0][0])):
        total = 0.0
        for weights, derivatives in parts:
            inner = 0.0
            for w, g in zip(weights[unit].tolist(), derivatives[unit].tolist(), strict=True):
                inner += {"elements": abs(w * g), "squares": (w * g) ** 2}.get(reduce, w * g)
            total += abs(inner) if reduce == "tensors" else inner
        out.append(abs(total) if reduce == "unit" else total)
    return torch.tensor(out, dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(
    units=st.integers(1, 6), fans=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 999),
    reduce=st.sampled_from(taylor.REDUCES),
)  # fmt: skip
def test_every_sum_is_that_of_the_loop(units, fans, seed, reduce):
    g = torch.Generator().manual_seed(seed)
    parts = [(torch.randn(units, f, generator=g), torch.randn(units, f, generator=g)) for f in fans]
    # Products are taken in float32, sums over tensors in float64.
    torch.testing.assert_close(taylor.reduced(iter(parts), reduce), naive(parts, reduce), rtol=1e-4, atol=1e-5)


def test_the_sums_bound_each_other():
    g = torch.Generator().manual_seed(5)
    parts = [(torch.randn(7, f, generator=g), torch.randn(7, f, generator=g)) for f in (3, 8, 1)]
    elements, tensors, unit = (taylor.reduced(parts, r) for r in ("elements", "tensors", "unit"))
    assert bool((elements >= tensors - 1e-6).all())
    assert bool((tensors >= unit - 1e-6).all())
    assert not torch.allclose(elements, unit)


def test_the_sum_over_tensors_does_not_lose_small_terms():
    parts = [(torch.ones(1, 1), torch.tensor([[2.0**25]])), *[(torch.ones(1, 1), torch.ones(1, 1))] * 5]
    assert taylor.elements(parts).tolist() == [2.0**25 + 5]  # float32 has no odd numbers there


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(0, 100), min_size=1, max_size=9))
def test_normalised_scores_have_a_mean_or_a_largest_of_one_unless_all_are_zero(values):
    scores = torch.tensor(values, dtype=torch.float64)
    assert torch.equal(taylor.normalised(scores, "none"), scores)
    for by, whole in (("mean", sum(values) / len(values)), ("max", max(values))):
        expected = torch.tensor([v / whole if whole > 0 else v for v in values], dtype=torch.float64)
        torch.testing.assert_close(taylor.normalised(scores, by), expected)


def test_other_names_are_refused():
    with pytest.raises(PenjingError, match="reduce 'element' is not known; did you mean 'elements'"):
        taylor.reduced([], "element")
    with pytest.raises(PenjingError, match="normalise 'sum' is not known"):
        taylor.normalised(torch.ones(2), "sum")
