"""Dead units, against a naive loop over weights."""

from dataclasses import replace

import pytest
import torch
from tests.methods.tiny import Tensors, llama

from penjing.core import Axis, Budget, Keep, Stats, Update, View
from penjing.methods.prune.zeros import DEFAULT, Method, decide, score
from penjing.select.dead import Constants


def naive_unread(down: torch.Tensor) -> list[int]:
    """The neurons whose column is zero."""
    return [u for u in range(down.shape[1]) if all(float(w) == 0 for w in down[:, u])]


def naive_bias(weight: torch.Tensor, bias: torch.Tensor, constants: dict[int, float]) -> list[float]:
    """The paper's rule: each bias grows by weight x constant of every neuron that goes."""
    out = []
    for row, old in zip(weight.tolist(), bias.tolist(), strict=True):
        out.append(old + sum(row[u] * c for u, c in constants.items()))
    return out


def pruned(dead: dict[int, tuple[int, ...]]):
    model, layout = llama(neurons=24)
    values = dict(model.values)
    for block, units in dead.items():
        name = f"model.layers.{block}.mlp.down_proj.weight"
        values[name] = values[name].clone()
        values[name][:, list(units)] = 0
    return Tensors(values, {}), layout


def plan(model, layout, budget=DEFAULT, **settings):
    return Method(**settings).plan(View(model, layout, Stats(), budget))


def test_a_dead_unit_ranks_below_all_others():
    assert score(torch.tensor([False, True]), torch.tensor([0.0, 9.0])).tolist() == [0.0, -1.0]


def test_what_nobody_reads_goes_and_nothing_else():
    model, layout = pruned({0: (1, 5), 1: (0, 2, 23)})
    found = plan(model, layout, even=False)
    for block in (0, 1):
        gone = set(range(24)) - set(found.keeps()[f"neurons.{block}"])
        assert sorted(gone) == naive_unread(model[f"model.layers.{block}.mlp.down_proj.weight"])
    assert found.made["taken away"] == {"dead": 5, "of these constant": 0}


def test_nothing_dead_gives_no_edits():
    assert plan(*pruned({})).edits == ()


def test_axes_of_one_config_entry_stay_equally_wide_and_are_filled_up_with_dead_units():
    model, layout = pruned({0: (1, 5), 1: (0, 2, 23)})
    axes = {n: replace(a, entries=("intermediate_size",) if a.kind == "neurons" else a.entries)
            for n, a in layout.axes.items()}  # fmt: skip
    found = plan(model, replace(layout, axes=axes))
    assert {len(u) for a, u in found.keeps().items() if a.startswith("neurons")} == {22}
    assert found.made["stay"]["they fill up a width"] == 1
    assert plan(model, replace(layout, axes=axes), protect=("neurons.0",)).edits == ()


def test_widths_are_rounded_up():
    found = plan(*pruned({0: (1, 5, 6), 1: (0,)}), even=False, multiple=4)
    assert {a: len(u) for a, u in found.keeps().items()} == {}
    found = plan(*pruned({0: (1, 5, 6, 7, 8), 1: (0,)}), even=False, multiple=4)
    assert {a: len(u) for a, u in found.keeps().items()} == {"neurons.0": 20}


def test_a_budget_takes_dead_units_first():
    model, layout = pruned({0: tuple(range(12))})
    assert plan(model, layout, Budget(keep=0.5)).keeps()["neurons.0"] == tuple(range(12, 24))


@pytest.mark.parametrize("padded", [False, True])
def test_a_constant_goes_into_the_bias_where_it_can(padded):
    model, layout = llama(neurons=24)
    name, bias = "model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.down_proj.bias"
    values = dict(model.values)
    values["model.layers.0.mlp.gate_proj.weight"] = values["model.layers.0.mlp.gate_proj.weight"].clone()
    values["model.layers.0.mlp.gate_proj.weight"][[3, 7]] = 0
    values[bias] = torch.linspace(-1, 1, len(values[name]))
    model = Tensors(values, {})

    def probe(silent):
        assert set(silent["neurons.0"].nonzero().flatten().tolist()) <= {3, 7}
        told = torch.full((24,), torch.nan)
        told[3] = 0.5
        return Constants(values={name: told}, unfoldable={name: "it pads"} if padded else {})

    found = decide(Method(axes="neurons.*", even=False), model, layout, DEFAULT, probe)
    if padded:
        assert found.edits == ()
        assert found.made["stay"] == {"it pads": 1}
        return
    update, keep = found.edits
    assert isinstance(update, Update)
    assert isinstance(keep, Keep)
    assert set(range(24)) - set(keep.units) == {3}
    assert update.tensor == bias
    wanted = torch.tensor(naive_bias(values[name], values[bias], {3: 0.5}))
    torch.testing.assert_close(update.values.float(), wanted)


def test_an_axis_needs_its_least_size():
    model, layout = pruned({0: tuple(range(24))})
    axis: Axis = replace(layout.axes["neurons.0"], least=3)
    found = plan(model, replace(layout, axes={**layout.axes, "neurons.0": axis}), even=False)
    assert len(found.keeps()["neurons.0"]) == 3
