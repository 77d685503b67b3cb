"""Activation energy and the least-squares repair, against loops over samples and units."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.tiny import Tensors, layout_of, llama
from torch import nn

import penjing
from penjing.core import Axis, Budget, Stats, Update, View, Wants
from penjing.errors import DataError, UnsupportedError
from penjing.maths.drift import refit
from penjing.maths.least_squares import repair
from penjing.methods.prune.activation import ENERGY, MOMENT, TARGET, WINDOW, Method, score


def naive(inputs, weight):
    """The mean, over samples, of the squared norm of what unit i alone adds to the output: |W[:, i] h_i|^2."""
    scores = []
    for i in range(weight.shape[1]):
        added = [(weight[:, i] * x[i]).square().sum() for x in inputs]
        scores.append(sum(added) / len(added))
    return torch.stack(scores).double()


def moments(inputs):
    return inputs.T @ inputs / len(inputs)


def stats_for(model, layout, axes, samples=64, seed=5):
    """Inputs drawn at random for every reader of the axes: (stats, tensor -> inputs [samples in])."""
    g = torch.Generator().manual_seed(seed)
    drawn = {}
    for axis in axes:
        for tensor, dim in layout.readers(axis):
            drawn[tensor] = torch.randn(samples, model.shapes[tensor][dim], generator=g) * 1.5
    return Stats({(t, MOMENT): moments(x) for t, x in drawn.items()}, samples), drawn


@given(out=st.integers(1, 5), units=st.integers(1, 7), samples=st.integers(1, 9), seed=st.integers(0, 99))
def test_equals_the_loop(out, units, samples, seed):
    g = torch.Generator().manual_seed(seed)
    weight, x = torch.randn(out, units, generator=g), torch.randn(samples, units, generator=g)
    energy, norms = moments(x).diagonal()[:, None], weight.square().sum(0)[:, None]
    torch.testing.assert_close(score([(energy, norms)]), naive(x, weight), rtol=1e-5, atol=1e-6)  # float32 moments


def test_the_plan_keeps_the_most_energy_and_refits_the_reader():
    model, layout = llama()
    stats, drawn = stats_for(model, layout, ["neurons.0", "neurons.1"])
    plan = Method(ridge=0.02, multiple=1).plan(View(model, layout, stats, Budget(keep=0.5)))
    updates = {e.tensor: e.values for e in plan if isinstance(e, Update)}
    for i in range(2):
        down = f"model.layers.{i}.mlp.down_proj.weight"
        order = naive(drawn[down], model[down]).argsort(descending=True)
        assert plan.keeps()[f"neurons.{i}"] == tuple(sorted(order[:12].tolist()))
        kept = torch.tensor(plan.keeps()[f"neurons.{i}"])
        wanted = repair(model[down], stats[down, MOMENT], kept, ridge=0.02)
        torch.testing.assert_close(updates[down], wanted.float())


def test_without_repair_nothing_is_updated():
    model, layout = llama()
    stats, _ = stats_for(model, layout, ["neurons.0", "neurons.1"])
    plan = Method(repair=False).plan(View(model, layout, stats, Budget(keep=0.5)))
    assert not [e for e in plan if isinstance(e, Update)]


def test_keeping_all_units_updates_nothing():
    model, layout = llama()
    stats, _ = stats_for(model, layout, ["neurons.0", "neurons.1"])
    plan = Method().plan(View(model, layout, stats, Budget(keep=1.0)))
    assert not [e for e in plan if isinstance(e, Update)]


def test_heads_are_scored_and_refitted_over_all_their_dims():
    model, layout = llama()
    stats, drawn = stats_for(model, layout, ["heads.0", "heads.1"])
    plan = Method(axes="heads").plan(View(model, layout, stats, Budget(keep=0.5)))
    out = "model.layers.0.self_attn.o_proj.weight"
    energies = naive(drawn[out], model[out]).reshape(2, 8).sum(1)
    kept = plan.keeps()["heads.0"]
    assert kept == (int(energies.argmax()),)
    inputs = torch.arange(16).reshape(2, 8)[list(kept)].flatten()
    update = next(e for e in plan if isinstance(e, Update) and e.tensor == out)
    torch.testing.assert_close(update.values, repair(model[out], stats[out, MOMENT], inputs, ridge=0.01).float())


def test_heads_and_queries_cut_together_give_one_update_of_the_final_shape():
    model, layout = llama()
    stats, _ = stats_for(model, layout, ["heads.0", "heads.1"])
    plan = Method(axes="heads,queries").plan(View(model, layout, stats, Budget(keep=0.5)))
    shapes = {e.tensor: tuple(e.values.shape) for e in plan if isinstance(e, Update)}
    assert shapes == {f"model.layers.{i}.self_attn.o_proj.weight": (16, 4) for i in range(2)}


def test_a_reader_stored_input_first_is_refitted_in_its_own_orientation():
    g = torch.Generator().manual_seed(0)
    values = {"up": torch.randn(4, 6, generator=g), "down": torch.randn(6, 3, generator=g)}
    model = Tensors(values, {})
    axes = [Axis(name="neurons.0", size=6, state="free")]
    layout = layout_of(model, {"up": "4 neurons.0", "down": "neurons.0 3"}, axes, {"up": (0,), "down": (0,)})
    stats, drawn = stats_for(model, layout, ["neurons.0"])
    plan = Method().plan(View(model, layout, stats, Budget(keep=0.5)))
    order = naive(drawn["down"], values["down"].T).argsort(descending=True)
    kept = torch.tensor(sorted(order[:3].tolist()))
    assert plan.keeps()["neurons.0"] == tuple(kept.tolist())
    update = next(e for e in plan if isinstance(e, Update))
    torch.testing.assert_close(
        update.values, repair(values["down"].T, stats["down", MOMENT], kept, ridge=0.01).T.float()
    )


def test_a_convolution_with_a_window_is_scored_and_named_but_not_refitted():
    values = {"a": torch.randn(6, 2, 3, 3), "b": torch.randn(4, 6, 3, 3)}
    model = Tensors(values, {})
    axes = [Axis(name="channels.0", size=6, state="free")]
    layout = layout_of(model, {"a": "channels.0 2 3 3", "b": "4 channels.0 3 3"}, axes, {"a": (1,), "b": (1,)})
    stats, drawn = stats_for(model, layout, ["channels.0"])
    plan = Method(axes="channels", windows=False).plan(View(model, layout, stats, Budget(keep=0.5)))
    scores = naive(drawn["b"], values["b"].movedim(1, -1).reshape(-1, 6))
    assert plan.keeps()["channels.0"] == tuple(sorted(scores.argsort(descending=True)[:3].tolist()))
    assert len(plan.edits) == 1
    assert plan.made["notes"] == [
        "b reads windows of units that were cut, which were not refitted; windows=True (--set windows=true) refits "
        "them, at several times the work"
    ]


def test_with_windows_a_convolution_is_refitted_over_whole_windows():
    g = torch.Generator().manual_seed(3)
    values = {"a": torch.randn(6, 2, 3, 3, generator=g), "b": torch.randn(4, 6, 3, 2, generator=g)}
    model = Tensors(values, {})
    axes = [Axis(name="channels.0", size=6, state="free")]
    layout = layout_of(model, {"a": "channels.0 2 3 3", "b": "4 channels.0 3 2"}, axes, {"a": (1,), "b": (1,)})
    x = torch.randn(90, 36, generator=g)
    held = Stats({("b", ENERGY): x.view(90, 6, 6)[:, :, 0].square().mean(0), ("b", WINDOW): moments(x)}, 90)
    method = Method(axes="channels", multiple=1)
    plan = method.plan(View(model, layout, held, Budget(keep=0.5)))
    kept = plan.keeps()["channels.0"]
    places = torch.tensor([6 * unit + place for unit in kept for place in range(6)])
    new = next(e.values for e in plan if isinstance(e, Update))
    wanted = repair(values["b"].reshape(4, 36), moments(x), places, ridge=0.01)
    torch.testing.assert_close(new, wanted.float().reshape(4, 3, 3, 2))
    assert not plan.made["notes"]
    assert method.wants(layout).statistics == {"b": frozenset({ENERGY, WINDOW})}
    assert Method(axes="channels", repair=False).wants(layout).statistics == {"b": frozenset({ENERGY})}


def test_windows_refit_a_network_better_than_the_cut_alone():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 3, padding=1), nn.Flatten(), nn.Linear(180, 3))
    x = torch.randn(40, 2, 8, 8)
    gaps = []
    for windows in (False, True):
        settings = {"axes": "channels.0", "windows": windows, "multiple": 1}
        plan = penjing.plan(net, method="activation", keep=0.5, settings=settings, data=[x], example=x[:1])
        smaller = penjing.apply(net, plan, example=x[:1])
        with torch.no_grad():
            gaps.append(float((smaller(x) - net(x)).square().mean()))
    assert gaps[1] < gaps[0]


def test_a_convolution_with_groups_is_scored_by_what_each_group_takes_in():
    values = {"a": torch.randn(12, 2), "b": torch.randn(6, 4, 3, 3)}  # three groups of four channels
    model = Tensors(values, {})
    axes = [Axis(name="channels.0", size=4, state="free")]
    layout = layout_of(model, {"a": "(3 channels.0) 2", "b": "6 channels.0 3 3"}, axes, {"a": (1,), "b": (1,)})
    assert Method(axes="channels").wants(layout).statistics == {"b": frozenset({ENERGY, WINDOW})}
    energy = torch.rand(12)
    stats = Stats({("b", ENERGY): energy, ("b", WINDOW): torch.zeros(0, 0)}, 9)  # of groups, windows are not known
    plan = Method(axes="channels").plan(View(model, layout, stats, Budget(keep=0.5)))
    scores = [0.0] * 4
    for out in range(6):
        for channel in range(4):
            scores[channel] += float(energy[out // 2 * 4 + channel] * values["b"][out, channel].square().sum())
    best = sorted(range(4), key=lambda c: -scores[c])[:2]
    assert plan.keeps()["channels.0"] == tuple(sorted(best))
    assert plan.made["notes"][0].endswith("not refitted: convolutions in groups, of a class of their own, or over too "
                                          "many channels")  # fmt: skip


def test_a_window_too_wide_is_scored_only():
    model = Tensors({"a": torch.randn(1025, 2), "b": torch.randn(2, 1025, 3, 3)}, {})
    axes = [Axis(name="channels.0", size=1025, state="free")]
    layout = layout_of(model, {"a": "channels.0 2", "b": "2 channels.0 3 3"}, axes, {"a": (1,), "b": (1,)})
    assert Method(axes="channels").wants(layout).statistics == {"b": frozenset({ENERGY})}


def test_few_samples_hold_on_to_the_old_weights_more():
    model, layout = llama()
    down = "model.layers.0.mlp.down_proj.weight"
    moved = []
    for samples in (1, 1000):
        values = stats_for(model, layout, ["neurons.0", "neurons.1"], samples=200)[0].values
        plan = Method(repair=True).plan(View(model, layout, Stats(values, samples), Budget(keep=0.5)))
        assert bool(plan.made["notes"]) == (samples == 1)
        new = next(e.values for e in plan if isinstance(e, Update) and e.tensor == down)
        moved.append((new - model[down][:, list(plan.keeps()["neurons.0"])]).norm())
    assert moved[0] < moved[1]


def test_each_reader_is_refitted_as_strongly_as_its_own_samples_allow():
    model, layout = llama()
    first, second = (f"model.layers.{i}.mlp.down_proj.weight" for i in range(2))
    values = stats_for(model, layout, ["neurons.0", "neurons.1"], samples=200)[0].values
    few = Stats(values, 1)
    uneven = Stats(values, 1, {(first, MOMENT): 1000, (second, MOMENT): 1})
    plans = [Method().plan(View(model, layout, s, Budget(keep=0.5))) for s in (few, uneven)]
    new = [{e.tensor: e.values for e in p if isinstance(e, Update)} for p in plans]
    assert not torch.equal(new[0][first], new[1][first])
    assert torch.equal(new[0][second], new[1][second])
    told = "and 1 more: 1 samples"
    assert [told in p.made["notes"][0] for p in plans] == [True, False]
    assert [len(p.made["notes"]) for p in plans] == [1, 1]


def test_wants_the_second_moment_of_each_reader_and_nothing_else():
    _, layout = llama()
    wanted = {"model.layers.1.mlp.down_proj.weight": frozenset({MOMENT})}
    assert Method(protect=("neurons.0",)).wants(layout).statistics == wanted


def test_missing_statistics_are_named():
    model, layout = llama()
    with pytest.raises(DataError, match=r"down_proj.weight was not collected"):
        Method().plan(View(model, layout, Stats(), Budget(keep=0.5)))


def test_an_axis_that_nothing_reads_is_refused():
    model = Tensors({"a": torch.randn(6, 2)}, {})
    layout = layout_of(model, {"a": "neurons.0 2"}, [Axis(name="neurons.0", size=6, state="free")], {})
    with pytest.raises(UnsupportedError, match=r"no weight reads axis 'neurons.0'"):
        Method().plan(View(model, layout, Stats(), Budget(keep=0.5)))


class Script:
    """A model block by block that hands out statistics made beforehand, one axis after another."""

    def __init__(self, stats):
        self.stats, self.asked = stats, None

    def edits(self, axes, statistics, decide):
        self.asked = statistics
        return [e for a in axes for e in decide([a], self.stats)]


@pytest.mark.parametrize("drift", [True, False])
def test_block_by_block_readers_are_fitted_to_the_target_where_there_is_one(drift):
    model, layout = llama()
    stats, _ = stats_for(model, layout, ["neurons.0", "neurons.1"])
    target = torch.randn(16, 24, generator=torch.Generator().manual_seed(3))
    down = [f"model.layers.{i}.mlp.down_proj.weight" for i in range(2)]
    blocks = Script(Stats({**stats.values, **({(t, TARGET): target for t in down} if drift else {})}, 64))
    method = Method(block_by_block=True, drift=drift, multiple=1)
    assert method.wants(layout) == Wants(blocks=True)
    plan = method.plan(View(model, layout, Stats(), Budget(keep=0.5), blocks=blocks))
    assert blocks.asked == ({MOMENT, TARGET} if drift else {MOMENT})
    assert plan.made["samples"] == 64
    for i, tensor in enumerate(down):
        kept = torch.tensor(plan.keeps()[f"neurons.{i}"])
        fitted = refit(model[tensor], stats[tensor, MOMENT], target, kept, ridge=0.01)
        wanted = fitted if drift else repair(model[tensor], stats[tensor, MOMENT], kept, ridge=0.01)
        update = next(e for e in plan if isinstance(e, Update) and e.tensor == tensor)
        torch.testing.assert_close(update.values, wanted.float())
