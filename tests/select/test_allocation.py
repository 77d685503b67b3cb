"""Sizes by a ranking over many axes, against a naive loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.core import Axis, Budget, Layout, Leaf, Product
from penjing.errors import BudgetError, PenjingError
from penjing.select.allocation import allocate

FAN = 3


class Stored:
    def __init__(self, layout):
        self.shapes = {t: tuple(d.parts[0].size for d in p) for t, p in layout.patterns.items()}
        self.dtypes = dict.fromkeys(self.shapes, torch.float32)

    def __getitem__(self, name):
        return torch.zeros(self.shapes[name])


def layout_of(sizes: dict[str, int]) -> Layout:
    """One matrix [units FAN] for every axis."""
    patterns = {f"{a}.weight": (Product((Leaf(a, n),)), Product((Leaf("", FAN),))) for a, n in sizes.items()}
    return Layout(patterns=patterns, axes={a: Axis(name=a, size=n, state="free") for a, n in sizes.items()})


def naive(scores: dict[str, list[float]], wanted: int, adaptive: bool) -> dict[str, int]:
    """One unit to each axis, then always the best unit that is left, axis by axis in order on ties."""
    left = {}
    for axis, values in scores.items():
        total = sum(values) if adaptive else 1.0
        left[axis] = sorted((v / total for v in values), reverse=True)
    out = dict.fromkeys(scores, 1)
    while sum(out.values()) < wanted:
        best = max((a for a in out if out[a] < len(left[a])), key=lambda a: left[a][out[a]])
        out[best] += 1
    return out


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_ranked_sizes_are_those_of_a_naive_loop(data):
    how = data.draw(st.sampled_from(["global", "adaptive"]))
    lengths = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    values = data.draw(st.permutations(range(1, sum(lengths) + 1)))
    scores, start = {}, 0
    for i, n in enumerate(lengths):
        scores[f"neurons.{i}"] = [float(v) for v in values[start : start + n]]
        start += n
    keep = data.draw(st.floats(0.05, 1.0))
    layout = layout_of({a: len(v) for a, v in scores.items()})
    found = allocate(
        layout, list(layout.axes.values()), Budget(keep=keep), {a: torch.tensor(v) for a, v in scores.items()},
        how=how, model=Stored(layout), multiple=1,
    )  # fmt: skip
    wanted = max(len(lengths), round(keep * sum(lengths)))
    assert sum(found.values()) == wanted
    if how == "global":
        assert found == naive(scores, wanted, adaptive=False)
    else:  # equal shares may tie: the loop is as good by what it keeps
        def kept(sizes):
            return sum(sum(sorted(v, reverse=True)[: sizes[a]]) / sum(v) for a, v in scores.items())

        assert kept(found) == pytest.approx(kept(naive(scores, wanted, adaptive=True)))


def test_kinds_are_never_ranked_in_one_list():
    layout = layout_of({"neurons.0": 4, "neurons.1": 4, "heads.0": 4})
    scores = {"neurons.0": torch.tensor([9.0, 8, 7, 6]), "neurons.1": torch.tensor([5.0, 4, 3, 2]),
              "heads.0": torch.full((4,), 1e9)}  # fmt: skip
    found = allocate(layout, list(layout.axes.values()), Budget(keep=0.5), scores, how="global",
                     model=Stored(layout), multiple=1)  # fmt: skip
    assert found["heads.0"] == 2
    assert found["neurons.0"] + found["neurons.1"] == 4
    assert found["neurons.0"] == 3


def test_a_limit_is_met_and_one_unit_more_would_break_it():
    layout = layout_of({"neurons.0": 6, "neurons.1": 6})
    scores = {"neurons.0": torch.arange(6.0), "neurons.1": torch.arange(6.0) + 10}
    found = allocate(layout, list(layout.axes.values()), Budget(parameters=7 * FAN + 1), scores, how="global",
                     model=Stored(layout), multiple=1)  # fmt: skip
    assert sum(found.values()) == 7
    assert found == {"neurons.0": 1, "neurons.1": 6}


def test_what_cannot_be_ranked_is_refused():
    layout = layout_of({"neurons.0": 4})
    axes, model = list(layout.axes.values()), Stored(layout)
    with pytest.raises(PenjingError, match="'globl' is not known"):
        allocate(layout, axes, Budget(keep=0.5), {}, how="globl", model=model)
    with pytest.raises(PenjingError, match="below 0"):
        allocate(layout, axes, Budget(keep=0.5), {"neurons.0": -torch.ones(4)}, how="adaptive", model=model)
    with pytest.raises(PenjingError, match="as many scores"):
        allocate(layout, axes, Budget(keep=0.5), {}, how="global", model=model)
    with pytest.raises(BudgetError, match="smallest"):
        allocate(layout, axes, Budget(parameters=1), {"neurons.0": torch.ones(4)}, how="global", model=model)
