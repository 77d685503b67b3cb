"""Shares of a budget for kinds of axes that lose their units at different rates, against loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.tiny import llama

from penjing.core import Axis, Budget, Layout, Leaf, Product
from penjing.errors import BudgetError
from penjing.layouts import costs
from penjing.select.allocation import allocate
from penjing.select.between_kinds import Sharing, by_kind, removed, weights


def naive_removed(parameters, rates, most, total):
    """Take a little of every kind that has something left, at its rate, until enough parameters went."""
    gone, left, step = dict.fromkeys(rates, 0.0), total, total / 20_000
    while left > 0 and any(gone[k] < most[k] for k in rates):
        able = [k for k in rates if gone[k] < most[k]]
        by = step / sum(rates[k] * parameters[k] for k in able)
        for kind in able:
            gone[kind] = min(most[kind], gone[kind] + by * rates[kind])
        left -= step
    return gone


@settings(max_examples=20, deadline=None)
@given(
    kinds=st.integers(1, 4), total=st.floats(0.01, 1.2), seed=st.integers(0, 99),
)  # fmt: skip
def test_the_shares_are_those_of_a_slow_loop(kinds, total, seed):
    g = torch.Generator().manual_seed(seed)
    names = [f"k{i}" for i in range(kinds)]
    parameters = dict(zip(names, (100 * torch.rand(kinds, generator=g) + 1).tolist(), strict=True))
    rates = dict(zip(names, (4 * torch.rand(kinds, generator=g) + 0.1).tolist(), strict=True))
    most = dict(zip(names, (0.5 + 0.5 * torch.rand(kinds, generator=g)).tolist(), strict=True))
    asked = total * sum(parameters.values())
    found, slow = removed(parameters, rates, most, asked), naive_removed(parameters, rates, most, asked)
    assert found == pytest.approx(slow, abs=2e-3)  # the loop's step


def test_the_papers_worked_example():
    """Llama-3.1-8B, half of the blocks, gamma 3.36: A = 10240 d, M = 43008 d."""
    full = {"heads": 1.0, "neurons": 1.0}
    found = removed({"heads": 10240.0, "neurons": 43008.0}, {"heads": 1.0, "neurons": 3.36}, full, 0.5 * 53248)
    assert found == pytest.approx({"heads": 0.172, "neurons": 0.578}, abs=5e-4)


def sharing(model, layout, **changes):
    axes = [a for a in layout.axes.values() if a.kind in ("heads", "neurons")]
    scores = {a.name: torch.arange(a.size).double() + 1 for a in axes}
    given = {"rates": {"neurons": 2.0, "heads": 1.0}, "multiple": 1, **changes}
    return Sharing(layout=layout, model=model, kinds=by_kind(axes), scores=scores, **given)


def test_what_hangs_on_a_kind_is_counted():
    _, layout = llama()
    kinds = by_kind([layout.axes["heads.0"], layout.axes["neurons.0"]])
    assert weights(layout, kinds) == {"heads": 2 * (2 * 2 * 4 + 2 * 4) * 16, "neurons": 3 * 24 * 16}


@pytest.mark.parametrize("how", ["uniform", "global"])
@pytest.mark.parametrize("keep", [0.9, 0.7, 0.5, 0.3])
def test_the_units_that_are_small_make_up_for_those_that_are_large(how, keep):
    model, layout = llama(blocks=3)
    found = sharing(model, layout, how=how).sizes(Budget(keep=keep))
    heads, neurons = 768, 1152  # per block
    wanted = (1 - keep) * 3 * (heads + neurons)
    gone = sum((2 - found[f"heads.{i}"]) * heads / 2 + (24 - found[f"neurons.{i}"]) * 48 for i in range(3))
    assert abs(gone - wanted) <= (3 if how == "uniform" else 1) * 48 / 2 + 1e-6
    share = (1 - keep) * (heads + neurons) / (heads + 2 * neurons)
    each = round(2 * share) * 3 if how == "uniform" else round(6 * share)
    assert sum(2 - found[f"heads.{i}"] for i in range(3)) == each


@pytest.mark.parametrize("unit", ["parameters", "bytes", "macs"])
@pytest.mark.parametrize("share", [0.9, 0.7, 0.55])
def test_a_limit_is_met_and_one_unit_more_everywhere_would_break_it(unit, share):
    model, layout = llama()

    def cost(sizes=None):
        if unit == "bytes":
            return costs.weight_bytes(layout, model.dtypes, sizes)
        return (costs.parameters if unit == "parameters" else costs.macs_per_token)(layout, sizes)

    limit = int(cost() * share)
    found = sharing(model, layout).sizes(Budget(**{unit: limit}))
    assert cost(found) <= limit
    assert cost({a: min(layout.axes[a].size, n + 1) for a, n in found.items()}) > limit


def test_a_limit_that_the_model_meets_leaves_it_whole_and_one_out_of_reach_is_refused():
    model, layout = llama()
    whole = {a: layout.axes[a].size for a in ("neurons.0", "heads.0", "neurons.1", "heads.1")}
    assert sharing(model, layout).sizes(Budget(parameters=10**9)) == whole
    with pytest.raises(BudgetError, match="at its smallest size"):
        sharing(model, layout).sizes(Budget(parameters=10))


def layout_of(sizes):
    patterns = {f"{a}.weight": (Product((Leaf(a, n),)), Product((Leaf("", 3),))) for a, n in sizes.items()}
    return Layout(patterns=patterns, axes={a: Axis(name=a, size=n, state="free") for a, n in sizes.items()})


class Stored:
    shapes, dtypes, config = {}, {}, {}

    def __getitem__(self, name):
        raise KeyError(name)


@given(heads=st.integers(1, 16), width=st.integers(1, 64), keep=st.floats(0.05, 1.0))
def test_sizes_that_do_not_open_give_way_to_the_nearest_that_do(heads, width, keep):
    layout = layout_of({"heads.0": heads, "heads.1": heads, "neurons.0": 7})

    def divides(sizes):
        return width % sizes["heads.0"] == 0

    found = sharing(Stored(), layout, rates={"neurons": 1.0, "heads": 1.0}, opens=divides).sizes(Budget(keep=keep))
    fits = [n for n in range(1, heads + 1) if width % n == 0]
    asked = max(1, keep * heads)
    rounded = int(asked + 0.5)
    nearest = [n for n in fits if abs(n - asked) <= min(abs(f - asked) for f in fits) + 1e-9]
    assert found["heads.0"] == found["heads.1"]
    assert found["heads.0"] in ([rounded] if rounded in fits else nearest or [heads])


def test_one_kind_alone_is_what_an_allocation_gives():
    model, layout = llama()
    axes = [a for a in layout.axes.values() if a.kind == "neurons"]
    scores = {a.name: torch.arange(24.0) + i for i, a in enumerate(axes)}
    for how in ("uniform", "global"):
        alone = Sharing(layout=layout, model=model, kinds={"neurons": axes}, scores=scores, rates={"neurons": 1.0},
                        how=how)  # fmt: skip
        assert alone.sizes(Budget(keep=0.6)) == allocate(layout, axes, Budget(keep=0.6), scores, how=how, model=model)


def test_a_kind_that_stays_whole_is_told():
    model, layout = llama()
    few = sharing(model, layout, rates={"neurons": 50.0, "heads": 1.0})
    sizes = few.sizes(Budget(keep=0.8))
    assert sizes["heads.0"] == 2
    assert [note[:16] for note in few.whole(sizes)] == ["heads stay whole"]
    assert list(few.whole({a: layout.axes[a].size for a in sizes})) == []
