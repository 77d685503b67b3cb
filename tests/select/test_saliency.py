"""Which weights and inputs belong to a unit, against loops over a tensor's single entries."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.tiny import Tensors, llama

from penjing.core import Axis, Layout, Stats
from penjing.core.pattern import parse, resolve
from penjing.errors import DataError, UnsupportedError
from penjing.select.saliency import pairs, sources, taken_in, weights_of

GRAM = "statistic"


def small(heads, dims, width, seed, patterns=None, **told):
    """One tensor that writes an axis, one that reads it, a bias; statistics drawn in their shapes."""
    patterns = patterns or {"q.weight": f"(heads.0 {dims}) width.0", "q.bias": f"(heads.0 {dims})",
                            "o.weight": f"width.0 (heads.0 {dims})"}  # fmt: skip
    sizes = {"heads.0": heads, "width.0": width}
    full = {"q.weight": (heads * dims, width), "q.bias": (heads * dims,), "o.weight": (width, heads * dims),
            "square.weight": (heads, heads), "q.running_mean": (heads * dims,)}  # fmt: skip
    g = torch.Generator().manual_seed(seed)
    model = Tensors({n: torch.randn(full[n], generator=g) for n in patterns}, {})
    known = {n: resolve(parse(p), full[n], sizes, n) for n, p in patterns.items()}
    axes = {a: Axis(name=a, size=n, state="free") for a, n in sizes.items()}
    layout = Layout(patterns=known, axes=axes, reads={"o.weight": (1,), "q.weight": (1,)}, **told)
    return model, layout, Stats({(n, GRAM): torch.randn(full[n], generator=g) for n in patterns}, samples=1)


def of_unit(tensor, unit, dims, dim):
    """All entries whose place in dimension `dim` belongs to a head, entry by entry, sorted."""
    found = []
    for place in torch.cartesian_prod(*[torch.arange(n) for n in tensor.shape]).view(-1, tensor.ndim).tolist():
        if place[dim] // dims == unit:
            found.append(float(tensor[tuple(place)]))
    return sorted(found)


@settings(max_examples=20, deadline=None)
@given(heads=st.integers(1, 4), dims=st.integers(1, 3), width=st.integers(1, 5), seed=st.integers(0, 99))
def test_pairs_hold_every_weight_of_a_unit_beside_its_statistic(heads, dims, width, seed):
    model, layout, stats = small(heads, dims, width, seed)
    found = list(pairs(model, layout, stats, "heads.0", GRAM))
    assert len(found) == 3
    for (weights, values), (name, dim) in zip(found, [("q.weight", 0), ("q.bias", 0), ("o.weight", 1)], strict=True):
        for unit in range(heads):
            assert sorted(weights[unit].tolist()) == of_unit(model[name], unit, dims, dim)
            assert sorted(values[unit].tolist()) == of_unit(stats[name, GRAM], unit, dims, dim)
    products = sum(float((w * v).sum()) for w, v in found)
    assert products == pytest.approx(sum(float((model[n] * stats[n, GRAM]).sum()) for n in model.shapes), abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(heads=st.integers(1, 4), dims=st.integers(1, 3), seed=st.integers(0, 99))
def test_inputs_are_those_of_the_readers_by_unit(heads, dims, seed):
    _, layout, _ = small(heads, dims, 2, seed)
    inputs = torch.randn(heads * dims, generator=torch.Generator().manual_seed(seed))
    (found,) = taken_in(layout, Stats({("o.weight", GRAM): inputs}), "heads.0", GRAM)
    assert found.tolist() == [[float(inputs[u * dims + d]) for d in range(dims)] for u in range(heads)]


def test_a_convolution_with_groups_reads_each_unit_once_in_every_group():
    name = "grouped.weight"
    pattern = resolve(parse("6 (heads.0 2) 3"), (6, 4, 3), {"heads.0": 2}, name)
    axes = {"heads.0": Axis(name="heads.0", size=2, state="free")}
    layout = Layout(patterns={name: pattern}, axes=axes, reads={name: (1,)})
    inputs = torch.arange(12.0)  # three groups of four
    (found,) = taken_in(layout, Stats({(name, GRAM): inputs}), "heads.0", GRAM)
    for unit in range(2):
        wanted = [group * 4 + unit * 2 + channel for group in range(3) for channel in range(2)]
        assert sorted(found[unit].tolist()) == wanted
    with pytest.raises(DataError, match=r"grouped.weight reads 4 inputs and its statistic has 11; collect it again"):
        list(taken_in(layout, Stats({(name, GRAM): inputs[:11]}), "heads.0", GRAM))


def test_a_parameter_that_holds_an_axis_twice_gives_two_pairs():
    model, layout, stats = small(3, 1, 2, 0, {"square.weight": "heads.0 heads.0"})
    (first, _), (second, _) = pairs(model, layout, stats, "heads.0", GRAM)
    assert torch.equal(first, model["square.weight"])
    assert torch.equal(second, model["square.weight"].T)


def test_buffers_tied_copies_and_what_is_never_used_are_left_out():
    patterns = {"q.weight": "(heads.0 2) width.0", "q.running_mean": "(heads.0 2)", "o.weight": "width.0 (heads.0 2)"}
    _, layout, _ = small(2, 2, 3, 0, patterns, unreached=("o.weight",))
    assert sources(layout, "heads.0") == ["q.weight"]
    _, layout, _ = small(2, 2, 3, 0, aliases={"q.bias": "o.weight"})
    assert sources(layout, "heads.0") == ["q.weight", "o.weight"]


def test_a_tied_parameter_is_read_under_the_name_that_is_stored():
    model, layout, stats = small(2, 2, 3, 0, aliases={"lm.weight": "q.weight"})
    stored = Tensors({"lm.weight": model["q.weight"], **{n: model[n] for n in ("q.bias", "o.weight")}}, {})
    ours, theirs = (list(pairs(m, layout, stats, "heads.0", GRAM)) for m in (stored, model))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(ours, theirs, strict=True))


def test_weights_are_counted_once_whatever_axes_share_them():
    _, layout = llama(blocks=1, width=16, neurons=24)
    assert weights_of(layout, ["neurons.0"]) == 3 * 16 * 24
    attention = 2 * (16 * 16 + 16 * 8)
    assert weights_of(layout, ["heads.0", "queries.0"]) == attention
    assert weights_of(layout, ["neurons.0", "heads.0"]) == 3 * 16 * 24 + attention


def test_what_is_missing_is_refused():
    model, layout, _ = small(2, 2, 3, 0)
    with pytest.raises(DataError, match=r"statistic 'statistic' of q\.weight was not collected"):
        list(pairs(model, layout, Stats(), "heads.0", GRAM))
    with pytest.raises(UnsupportedError, match="occurs in no parameter"):
        list(pairs(model, layout, Stats(), "neurons.9", GRAM))
    with pytest.raises(UnsupportedError, match="no weight reads axis"):
        list(taken_in(layout, Stats(), "neurons.9", GRAM))
