"""Blocks before those that a plan changes do not run again, and nobody can tell by the values."""

from collections import Counter
from functools import cache
from typing import Any

import pytest
import torch
from tests.methods.architectures import STOCK, subject
from torch import Tensor, nn

from penjing.calibrate.batches import run
from penjing.core import Blocks, Mask, Plan
from penjing.layouts import from_config
from penjing.layouts.stock import build
from penjing.pipeline import live as live_file
from penjing.pipeline.live import Running
from penjing.pipeline.prefix import Prefix

DEEP = ("llama", "qwen2", "bert", "vit", "dinov2")
"""Those whose layout has one list of blocks; they are made three blocks deep."""


@cache
def model(name: str) -> tuple[nn.Module, Any, list[Any]]:
    """(module, layout, two batches)."""
    given = subject(name)
    if name not in DEEP:
        return given.module, given.layout, given.data
    config = {**STOCK[name], "num_hidden_layers": 3}
    torch.manual_seed(0)
    module = build(config, device="cpu").eval()
    return module, from_config(config), given.data


def masks(name: str) -> list[Plan]:
    """A plan for the first, the middle and the last block, or where there are none for such tensors."""
    module, layout, _ = model(name)
    weights = {n: t for n, t in module.state_dict().items() if t.ndim > 1 and n in layout.patterns}
    if name in DEEP:
        path = layout.blocks[0].path
        chosen = [[n for n in weights if n.startswith(f"{path}.{k}.")][-1] for k in range(3)]
    else:
        names = list(weights)
        chosen = [names[0], names[len(names) // 2], names[-1]]
    g = torch.Generator().manual_seed(3)
    return [Plan((Mask(n, torch.rand(weights[n].shape, generator=g) > 0.5),)) for n in chosen]


def blocks(name: str) -> list[nn.Module]:
    module, layout, _ = model(name)
    return list(module.get_submodule(layout.blocks[0].path).children())


@pytest.fixture
def runs(monkeypatch):
    """Count the forwards of each block, by its number; a hook would be heeded, and change what is counted."""

    def watch(watched: list[nn.Module]) -> Counter:
        found: Counter = Counter()
        numbers = {id(b): k for k, b in enumerate(watched)}
        forward = type(watched[0]).forward

        def counting(self, *args, **kwargs):
            found[numbers[id(self)]] += 1
            return forward(self, *args, **kwargs)

        monkeypatch.setattr(type(watched[0]), "forward", counting)
        return found

    return watch


def fresh(name: str, plan: Plan, objective: str = "loss", **more: Any) -> Tensor:
    module, layout, data = model(name)
    return Running(module, data, layout).values(plan, objective=objective, **more)


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
    assert bool(live._prefix.nbytes) == (name in DEEP)


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


def _in_place(weight: Tensor) -> None:
    with torch.no_grad():
        weight.mul_(1.5)


def _by_data(weight: Tensor) -> None:
    weight.data.mul_(1.5)


def _by_numpy(weight: Tensor) -> None:
    weight.detach().numpy()[:] *= 1.5


def _exchanged(weight: Tensor) -> None:
    weight.data.copy_(weight.data.flip(1))


@pytest.mark.parametrize("change", [_in_place, _by_data, _by_numpy, _exchanged])
@pytest.mark.parametrize("of", ["model.embed_tokens.weight", "model.layers.0.mlp.gate_proj.weight"])
def test_after_a_change_of_the_weights_all_is_run_again(change, of):
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    weight = module.get_parameter(of)
    before, old = weight.detach().clone(), [live.values(last) for _ in range(3)][-1]
    try:
        change(weight)
        for _ in range(2):
            assert torch.equal(live.values(last), fresh("llama", last))
        assert not torch.equal(live.values(last), old)
    finally:
        weight.data.copy_(before)
    assert torch.equal(live.values(last), old)


def test_after_a_change_of_a_part_or_its_attributes_all_is_run_again():
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    old = [live.values(last) for _ in range(3)][-1]
    attention, mlp = blocks("llama")[0].self_attn, blocks("llama")[0].mlp
    scaling, activation = attention.scaling, mlp.act_fn
    try:
        attention.scaling = 2 * scaling
        assert torch.equal(live.values(last), fresh("llama", last))
        attention.scaling, mlp.act_fn = scaling, nn.Tanh()
        found = live.values(last)
        assert torch.equal(found, fresh("llama", last))
        assert not torch.equal(found, old)
    finally:
        attention.scaling, mlp.act_fn = scaling, activation


def test_after_a_change_of_a_batch_it_is_run_again():
    module, layout, data = model("llama")
    own = [{k: v.clone() for k, v in b.items()} for b in data]
    live, last = Running(module, own, layout), masks("llama")[2]
    old = [live.values(last) for _ in range(3)][-1]
    own[1]["input_ids"][:, 2] = 5
    for _ in range(3):
        found = live.values(last)
        assert torch.equal(found, Running(module, own, layout).values(last))
    assert torch.equal(found[:6], old[:6])
    assert not torch.equal(found[6:], old[6:])


def test_under_another_edit_all_is_run():
    module, layout, data = model("llama")
    live, (first, _, last) = Running(module, data, layout), masks("llama")
    old = [live.values(last) for _ in range(3)][-1]
    with live.edited(first):
        for _ in range(3):
            assert torch.equal(live.values(last), fresh("llama", first + last))
    assert torch.equal(live.values(last), old)
    name = "model.layers.2.mlp.down_proj.weight"
    for _ in live.gradients([name], first, examples=[0]):
        assert torch.equal(live.values(last), fresh("llama", first + last))
    assert torch.equal(live.values(last), old)


def test_the_edits_of_another_running_model_are_seen():
    module, layout, data = model("llama")
    live, other, (first, _, last) = Running(module, data, layout), Running(module, data, layout), masks("llama")
    old = [live.values(last) for _ in range(3)][-1]
    with other.edited(first):
        for _ in range(3):
            assert torch.equal(live.values(last), fresh("llama", first + last))
    assert torch.equal(live.values(last), old)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("calls", [1, 2, 3])
def test_blocks_are_put_back_when_the_work_is_stopped(error, calls, monkeypatch):
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    old = fresh("llama", last)
    for _ in range(calls):
        live.values(last)
    with monkeypatch.context() as patch:

        def failing(*args, **kwargs):
            raise error

        patch.setattr(module.model.norm, "forward", failing)
        with pytest.raises((error, live_file.DataError)):
            live.values(last)
    assert all("forward" not in vars(b) for b in blocks("llama"))
    assert torch.equal(live.values(last), old)


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


@pytest.mark.parametrize("at", [0, 2])
def test_a_hook_is_heeded(at):
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    for _ in range(3):
        live.values(last)
    seen: list[int] = []
    handle = blocks("llama")[at].mlp.register_forward_hook(lambda m, args, out: seen.append(1) or 2 * out)
    try:
        assert torch.equal(live.values(last), fresh("llama", last))
        assert len(seen) == 4
    finally:
        handle.remove()
    assert torch.equal(live.values(last), fresh("llama", last))


@pytest.mark.parametrize("more", [{"use_cache": True}, {"output_hidden_states": True}, {"output_attentions": True}])
def test_caches_and_further_outputs_change_nothing(more):
    module, layout, data = model("llama")
    rows = [{**b, **more} for b in data]
    live, (_, middle, last) = Running(module, rows, layout), masks("llama")
    for plan in (last, middle, last, middle, last):
        assert torch.equal(live.values(plan), Running(module, rows, layout).values(plan))


def test_under_other_casts_all_is_run_again():
    module, layout, data = model("llama")
    live, last = Running(module, data, layout), masks("llama")[2]
    for _ in range(3):
        live.values(last)
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(2):
            assert torch.equal(live.values(last), fresh("llama", last))
    assert torch.equal(live.values(last), fresh("llama", last))


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
