"""Recording one run: what becomes of writes, constants, branches and the module itself."""

import pytest
import torch
import torch.nn.functional as F
from tests.layouts import modules
from torch import nn

from penjing.core.pattern import leaves
from penjing.errors import LayoutError
from penjing.layouts import from_module
from penjing.layouts.graph.infer import infer
from penjing.layouts.graph.trace import trace
from penjing.layouts.graph.walk import op_name
from penjing.layouts.prove.proof import prove


class Body(nn.Module):
    """`a`, what is between, `o`."""

    def __init__(self):
        super().__init__()
        self.a, self.o = nn.Linear(5, 12), nn.Linear(12, 3)

    def forward(self, x):
        return self.o(self.between(torch.relu(self.a(x))))

    def between(self, h):
        return h


def states(module, example=None):
    """(size, state) of each axis that is not the input's or the output's; each free one is shown to equal its mask."""
    example = (modules.tokens(5),) if example is None else example
    results = prove(module, example)
    assert all(r.ok for r in results.values()), results
    axes = infer(module, example).axes.values()
    return sorted((a.size, a.state) for a in axes if a.reason != "output" and not a.name.startswith("inputs"))


class InPlace(Body):
    def between(self, h):
        h = h.clone()
        h[:, 0] = 0.0
        h[:, 1:3].mul_(2.0)
        h += 1e-3 * h
        out = torch.zeros_like(h)
        out.copy_(h)
        return out


class Detached(Body):
    def between(self, h):
        return h.data * h.detach()


class Looping(Body):
    """Control flow on numbers, some of them held in tensors that are no buffers."""

    def __init__(self):
        super().__init__()
        self.steps, self.gain = torch.tensor(2), torch.tensor([0.5, 2.0])

    def between(self, h):
        for k in range(int(self.steps)):
            if self.gain[k].item() > 1 and h.shape[-1] > 1:
                h = torch.tanh(h)
        for place in (self.gain > 1).nonzero().flatten().tolist():
            h = h * torch.linspace(0, 1, 5)[place + 1].item()
        return h * torch.tensor([3.0]) * self.gain[1]


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        return grad


class Derived(Body):
    def between(self, h):
        return Square.apply(h)


class Mapped(Body):
    def between(self, h):
        return torch.vmap(lambda row: row * 2)(h)


class Elsewhere(Body):
    """The same weight by another way than the registered one."""

    def __init__(self):
        super().__init__()
        self.held = [self.a.weight]

    def forward(self, x):
        return self.o(torch.relu(F.linear(x, self.held[0], self.a.bias)))


@pytest.mark.parametrize("make", [InPlace, Detached, Looping, Derived, Mapped, Elsewhere])
def test_what_a_forward_may_do_is_recorded_and_true(make):
    assert states(make()) == [(12, "free")]


class Caching(Body):
    def __init__(self):
        super().__init__()
        self.cache, self.seen, self.count = {}, [], 0
        self.register_buffer("table", torch.zeros(3), persistent=False)

    def between(self, h):
        self.cache["h"], self.count = h, self.count + 1
        self.seen.append(h)
        self.extra = h
        self.table = torch.ones(3)
        self.register_forward_hook(lambda *_: None)
        return h


def test_the_module_is_left_as_it_was():
    module = Caching()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    weight, table = module.a.weight, module.table
    infer(module, (modules.tokens(5),))
    assert module.a.weight is weight
    assert module.table is table
    assert (module.cache, module.seen, module.count) == ({}, [], 0)
    assert not hasattr(module, "extra")
    assert not module._forward_hooks
    assert module.training
    torch.testing.assert_close(dict(module.state_dict()), before)


def test_a_module_that_fails_is_left_as_it_was_too():
    module = modules.Branching()
    weight = module.a.weight
    with pytest.raises(LayoutError):
        infer(module, (modules.rows(5),))
    assert module.a.weight is weight
    assert type(module(modules.rows(5))) is torch.Tensor


class Asking(Body):
    def between(self, h):
        return h * float(h.max())


class Counting(Body):
    def between(self, h):
        return h[h > 0].sum() * h


@pytest.mark.parametrize("make", [Asking, Counting])
def test_a_value_asked_for_is_refused_with_its_line(make):
    with pytest.raises(LayoutError, match=r"test_record\.py:\d+"):
        infer(make(), (modules.tokens(5),))


class Exported(Body):
    """As stock code that makes no mask of its own where it is exported, and then needs the one that it is given."""

    def between(self, h):
        mask = None if torch.compiler.is_compiling() else torch.ones(7, 1)
        return h * mask[:, :]


def test_code_for_export_that_needs_more_gives_way_to_the_usual():
    traced = trace(Exported(), (modules.tokens(5),))
    assert not traced.exporting
    assert trace(Body(), (modules.tokens(5),)).exporting
    found = from_module(Exported(), modules.tokens(5))
    assert found.axes["neurons.a"].state == "free"


class NoRegisters(nn.Module):
    """Tokens with registers before them, of which there are none."""

    def __init__(self):
        super().__init__()
        self.a, self.o, self.registers = nn.Linear(5, 12), nn.Linear(12, 3), nn.Parameter(torch.empty(1, 0, 12))

    def forward(self, x):
        h = self.a(x)
        return self.o(torch.cat([self.registers.expand(len(h), -1, -1), h], dim=1))


def test_parts_without_length_are_as_wide_as_the_others():
    layout = infer(NoRegisters(), (modules.tokens(5),))
    assert {leaf.name for leaf in leaves(layout.patterns["registers"])} >= {"neurons.a"}
    assert all(r.ok for r in prove(NoRegisters(), (modules.tokens(5),)).values())


class Grouped(nn.Module):
    """Rows in groups by expert, as long as their router says."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(5, 3)
        self.up, self.down = nn.Parameter(torch.randn(3, 8, 5)), nn.Parameter(torch.randn(3, 4, 8))
        self.again = nn.Linear(4, 5)

    def forward(self, x):
        return self.once(self.again(self.once(x)))

    def once(self, x):
        chosen = self.router(x).argmax(-1)
        sizes = nn.functional.one_hot(chosen, 3).sum(0).tolist()
        order = chosen.sort().indices
        parts = x[order].split(sizes)
        mixed = torch.cat([torch.relu(p @ u.T) @ d.T for p, u, d in zip(parts, self.up, self.down, strict=True)])
        return torch.zeros_like(mixed).index_add(0, order, mixed)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_counts_taken_from_the_data_are_those_of_one_run_and_said(device):
    found = infer(Grouped().to(device), (modules.tokens(5)[0].to(device),))
    axis = next(a for a in found.axes.values() if a.size == 8)
    assert axis.state == "free"
    assert any("takes counts from its data" in note for note in found.notes)


def test_what_takes_counts_from_its_data_is_proved_on_one_run():
    results = prove(Grouped(), (modules.tokens(5)[0],))
    assert results
    assert all(r.ok for r in results.values())


class Unlucky(Grouped):
    def once(self, x):
        return super().once(x) * (2 if self.router(x).sum() > 0 else 3)


def test_a_branch_on_data_is_still_refused():
    with pytest.raises(LayoutError, match="branches on data"):
        infer(Unlucky(), (modules.tokens(5)[0],))


class Masked(Body):
    """Asks whether a mask that it made of numbers alone hides anything; the mask is as long as a window."""

    def between(self, h):
        mask = nn.functional.pad(torch.ones(h.shape[0], 7, device=h.device), (0, 93))
        square = (mask[:, None, :] * mask[:, :, None]).unsqueeze(1)
        return h * 2 if (square[:, 0, 0, :] > 0).any().item() and not square.bool().all() else h


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_mask_made_of_numbers_alone_is_known_whatever_its_device(device):
    module = Masked().to(device)
    found = infer(module, (modules.tokens(5).to(device),))
    assert found.axes == infer(Body().to(device), (modules.tokens(5).to(device),)).axes
    nodes = trace(module, (modules.tokens(5).to(device),)).recording.live
    assert any(op_name(n) == "mul" for n in nodes)


def test_every_node_knows_its_module_and_its_shape():
    traced = trace(modules.Encoder().eval(), (modules.tokens(24),))
    calls = [n for n in traced.recording.live if n.op == "call_function"]
    assert {n.meta["module"] for n in calls} >= {"layer.self_attn", "layer.linear1", "layer.norm2", "out"}
    assert all("val" in n.meta for n in calls)
    assert not any("scaled_dot" in op_name(n) or op_name(n).endswith("_") for n in calls)


def test_inputs_are_named_and_found_by_identity():
    traced = trace(modules.TiedAutoencoder(), (modules.rows(9),))
    kinds = [(s.kind, s.name) for s in traced.recording.sources.values()]
    assert kinds == [("parameter", "weight"), ("example", "args_0")]
    assert all(s.value is not None for s in traced.recording.sources.values())
