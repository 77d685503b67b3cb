"""Blocks before those that a plan changes do not run again, and nobody can tell by the values."""

from typing import Any

import pytest
import torch
from tests.running.prefixed import DEEP, blocks, fresh, masks, model
from tests.world import STOCK
from torch import Tensor, nn

from penjing.calibrate.batches import run
from penjing.core import Blocks, Plan
from penjing.running import live as live_file
from penjing.running.cached_prefix import Prefix
from penjing.running.live import Running


@pytest.mark.parametrize("objective", ["loss", "divergence"])
@pytest.mark.parametrize("name", STOCK)
def test_values_are_those_of_the_whole_model_bit_for_bit(name, objective):
    module, layout, data = model(name)
    plans = [Plan(), *masks(name), *reversed(masks(name)), Plan(), *masks(name)]
    before = {n: t.clone() for n, t in module.state_dict().items()}
    live = Running(module, data, layout)
    for plan in plans:
        assert torch.equal(live.values(plan, objective=objective), fresh(name, plan, objective))
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    assert bool(live._prefix.nbytes) == (name in (*DEEP, "mixtral"))


@pytest.mark.parametrize("name", DEEP)
def test_blocks_before_the_cut_do_not_run_again(name, runs):
    module, layout, data = model(name)
    live, (first, middle, last) = Running(module, data, layout), masks(name)
    for plan in (Plan(), last, last):
        live.values(plan)
    counted = runs(blocks(name))
    live.values(last)
    assert counted == {2: 2}
    live.values(middle)
    assert counted == {1: 2, 2: 4}
    live.values(first)
    assert counted == {0: 2, 1: 4, 2: 6}


def test_three_plans_cost_less_than_three_forwards(runs):
    module, layout, data = model("llama")
    live, (_, middle, last) = Running(module, data[:1], layout), masks("llama")
    counted = runs(blocks("llama"))
    for plan in (middle, last, last):
        live.values(plan)
    assert counted.total() == 3 + 3 + 1


def test_a_record_reaches_further_when_a_later_plan_asks_for_it(runs):
    module, layout, data = model("llama")
    live, (_, middle, last) = Running(module, data[:1], layout), masks("llama")
    counted = runs(blocks("llama"))
    for plan, wanted in ((middle, 3), (middle, 3), (last, 2), (last, 1), (Plan(), 1)):
        counted.clear()
        found = live.values(plan)
        assert counted.total() == wanted
        counted.clear()
        assert torch.equal(found, Running(module, data[:1], layout).values(plan))


def test_nothing_is_kept_where_one_plan_is_tried():
    module, layout, data = model("llama")
    live, (first, _, last) = Running(module, data, layout), masks("llama")
    for plan in (Plan(), Plan(), first, first, last):
        live.values(plan)
    assert live._prefix.nbytes == 0


@pytest.mark.parametrize("objective", ["loss", "divergence"])
def test_named_examples_profit_too(objective, runs):
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    for _ in range(3):
        found = live.values(last, objective=objective, examples=range(8))
        assert torch.equal(found, fresh("llama", last, objective, examples=range(8)))
    counted = runs(blocks("llama"))
    live.value(last, examples=range(8))
    assert counted == {2: 2}


def test_the_memory_is_bounded(monkeypatch, runs):
    module, layout, data = model("llama")
    rows = [{k: v[i : i + 2] for k, v in b.items()} for b in data for i in (0, 2, 4)]
    state = rows[0]["input_ids"].numel() * module.config.hidden_size * 4
    monkeypatch.setattr(live_file, "KEPT", 5 * state)
    live, last = Running(module, rows, layout), masks("llama")[2]
    for _ in range(3):
        assert torch.equal(live.values(last), Running(module, rows, layout).values(last))
    assert live._prefix.nbytes == 5 * state
    counted = runs(blocks("llama"))
    live.values(last)
    assert counted == {0: 3, 1: 4, 2: 6}
    monkeypatch.setattr(live_file, "KEPT", 0)
    live = Running(module, rows, layout)
    assert all(torch.equal(live.values(last), fresh("llama", last)) for _ in range(3))
    assert live._prefix.nbytes == 0


def test_what_is_kept_holds_no_graph():
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    for _ in range(2):
        live.values(last)
    kept = [k.given for held in live._prefix._kept.values() for k in held]
    assert len(kept) == 4
    assert not any(t.requires_grad or t.grad_fn for t in kept)


class Block(nn.Module):
    """Adds a product, writing into what it is given if `writes`, and with noise if `noise`."""

    def __init__(self, *, writes: bool = False, noise: bool = False, pair: bool = False) -> None:
        super().__init__()
        self.linear, self.writes, self.noise, self.pair = nn.Linear(4, 4), writes, noise, pair

    def forward(self, x: Any) -> Any:
        x = x[0] if self.pair else x
        h = torch.tanh(self.linear(x))
        h = h + torch.rand(()) if self.noise else h
        out = x.add_(h) if self.writes else x + h
        return (out, None) if self.pair else out


class Chain(nn.Module):
    """Blocks one after another, in an order that may be another than theirs, whose outputs are written into."""

    def __init__(self, order: tuple[int, ...] = (0, 1, 2), **settings: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers, self.order = nn.ModuleList(Block(**settings) for _ in range(3)), order
        self.stem, self.out, self.pair = nn.Linear(4, 4), nn.Linear(4, 2), settings.get("pair", False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        h = (h, None) if self.pair else h
        for k in self.order:
            h = self.layers[k](h)
            (h[0] if self.pair else h).add_(1)
        return self.out(h[0] if self.pair else h)


LIST = (Blocks(axis="blocks", path="layers", size=3),)


@pytest.mark.parametrize(
    ("settings", "profits"),
    [
        ({}, True),
        ({"pair": True}, True),
        ({"writes": True}, False),
        ({"noise": True}, False),
        ({"order": (2, 1, 0)}, False),
        ({"order": (0, 1, 2, 0)}, False),
        ({"order": (0, 2)}, False),
    ],
)
@torch.no_grad()
def test_blocks_of_ones_own_profit_where_that_is_sure(settings, profits, runs):
    module, x = Chain(**settings).eval(), torch.randn(5, 4)
    prefix = Prefix(module, LIST, room=lambda: 1 << 20)
    counted = runs(list(module.layers))
    for first in (2, 2, 1, 2, 3):
        torch.manual_seed(1)
        wanted = run(module, x)
        after = torch.rand(())
        torch.manual_seed(1)
        prefix.check()
        counted.clear()
        assert torch.equal(prefix.run("x", x, first), wanted)
        assert torch.equal(torch.rand(()), after)
        whole = counted.total() == len(module.order)
        assert not any("forward" in vars(b) for b in module.layers)
    assert whole != profits
    assert bool(prefix.nbytes) == profits


def test_a_tensor_that_is_used_elsewhere_too_leaves_nothing_out():
    module = Chain()
    prefix = Prefix(module, LIST, room=lambda: 1 << 20)
    weights = [b.linear.weight for b in module.layers]
    assert [prefix.first([w]) for w in weights] == [0, 1, 2]
    assert prefix.first(weights[1:]) == 1
    assert prefix.first([]) == 3
    assert prefix.first([weights[2], module.out.weight]) == 0
    module.layers[2].linear.weight = module.layers[1].linear.weight
    assert prefix.first([module.layers[2].linear.weight]) == 1
    module.layers[2].linear.weight = nn.Parameter(module.stem.weight.detach())  # another tensor on the same memory
    assert prefix.first([module.layers[2].linear.weight]) == 0


@pytest.mark.parametrize(
    "lists",
    [
        (),
        (*LIST, Blocks(axis="others", path="layers", size=3)),
        (Blocks(axis="blocks", path="elsewhere", size=3),),
        (Blocks(axis="blocks", path="layers", size=4),),
    ],
)
def test_without_one_list_of_blocks_nothing_is_left_out(lists):
    module, x = Chain(), torch.randn(5, 4)
    prefix = Prefix(module, lists, room=lambda: 1 << 20)
    assert prefix.first([module.layers[2].linear.weight]) == 0
    with torch.no_grad():
        assert all(torch.equal(prefix.run("x", x, prefix.first([])), module(x)) for _ in range(3))
    assert prefix.nbytes == 0


@torch.no_grad()
def test_a_block_that_was_exchanged_is_run():
    module, x = Chain().eval(), torch.randn(5, 4)
    prefix = Prefix(module, LIST, room=lambda: 1 << 20)
    for _ in range(3):
        prefix.check()
        prefix.run("x", x, 2)
    module.layers[0] = Block(pair=False).eval()
    for _ in range(3):
        prefix.check()
        assert torch.equal(prefix.run("x", x, 2), module(x))
    assert prefix.nbytes
