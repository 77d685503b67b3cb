"""The recorded graph cut instead of the module: sizes in the code are rewritten, constants made of sizes stay."""

import pytest
import torch
from tests.layouts import modules
from tests.layouts.test_rehearse import Flat, Heads, Packed, Parts
from torch import nn

import penjing
from penjing.core import Keep, Plan
from penjing.errors import LayoutError, PlanError, RequestError
from penjing.io import open_checkpoint
from penjing.layouts import from_module
from penjing.surgery import as_graph, masked, verify
from penjing.surgery.outputs import run

CASES = {
    "a size in a view": (Flat, modules.image(), (8, 12, 32, 20)),
    "sizes in slices and splits": (Parts, modules.rows(5), (6, 10, 12, 7)),
    "a scale made of a size": (Heads, modules.tokens(10), (4, 4, 4)),
    "equal parts": (Packed, modules.tokens(10), (4, 5, 5)),
    "packed heads": (modules.Attention, modules.tokens(5), (24, 4, 6, 24)),
    "stretches": (modules.UNet, modules.image(), (4, 3, 2, 10, 8)),
}


def graph_of(module, example, plan, layout=None):
    layout = layout or from_module(module, example, graph=True)
    return as_graph(module, layout, plan, verify(open_checkpoint(module), layout, plan), example=example)


@pytest.mark.parametrize("name", CASES)
def test_the_cut_graph_equals_its_mask(name):
    make, example, sizes = CASES[name]
    torch.manual_seed(0)
    module = make().eval()
    layout = from_module(module, example, graph=True)
    free = [a for a in layout.axes.values() if a.state == "free"]
    assert {a.size for a in free} <= set(sizes)
    assert len(free) >= 3
    plan = Plan(tuple(Keep(a.name, tuple(range(0, a.size, 2))) for a in free))
    graph = graph_of(module, example, plan, layout)
    assert sum(p.numel() for p in graph.parameters()) < sum(p.numel() for p in module.parameters())
    assert dict(graph.named_parameters()).keys() <= dict(module.named_parameters()).keys()
    many = example if name == "packed heads" else torch.cat([example, 2 * example[:1]])
    torch.testing.assert_close(run(graph, many), run(masked(module, layout, plan), many), rtol=1e-4, atol=1e-5)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.o, self.p = nn.Linear(5, 8), nn.Linear(8, 3), nn.Linear(8, 2)

    def forward(self, x, gate=None):
        h = torch.relu(self.a(x)) * (1 if gate is None else gate)
        return {"one": self.o(h), "two": self.p(h)}


def test_arguments_keep_their_names_and_several_outputs_are_a_tuple():
    module, example = Two().eval(), {"x": modules.rows(5), "gate": torch.rand(8, 1)}
    axis = from_module(module, example, graph=True).match("*")[0].name
    graph = graph_of(module, example, Plan((Keep(axis, (1, 2, 5)),)))
    one, two = graph(gate=example["gate"], x=example["x"])
    assert (one.shape, two.shape) == ((8, 3), (8, 2))
    assert torch.export.export(graph, (), example, strict=False)


class Nested(Two):
    def forward(self, pair):
        return super().forward(*pair)["one"]


def test_a_nested_example_is_refused():
    module, example = Nested().eval(), ([modules.rows(5), torch.rand(8, 1)],)
    axis = from_module(module, example, graph=True).match("*")[0].name
    with pytest.raises(LayoutError, match="within a list or dict"):
        graph_of(module, example, Plan((Keep(axis, (1, 2, 5)),)))


def test_an_axis_that_the_graph_has_not_is_refused():
    module, example = Flat().eval(), modules.image()
    layout = from_module(module, example, graph=True)
    plan = Plan((Keep("channels.a", (0, 1)),))
    verified = verify(open_checkpoint(module), layout, plan)
    with pytest.raises(PlanError, match="derive the layout from this module"):
        as_graph(module, layout, Plan((Keep("channels.z", (0, 1)),)), verified, example=example)


def test_shrink_gives_a_graph_with_a_report():
    torch.manual_seed(0)
    module, example = Flat().eval(), modules.image()
    asked = {"axes": "channels.b", "multiple": 1}
    with pytest.raises(penjing.PenjingError, match=r"channels\.b"):
        penjing.shrink(module, example=example, method="magnitude", keep=0.5, settings=asked, measure=False)
    done = penjing.shrink(module, example=example, method="magnitude", keep=0.5, settings=asked, graph=True)
    assert isinstance(done.module, torch.fx.GraphModule)
    assert done.module.b.weight.shape[0] == 6
    assert done.report is not None
    assert module.b.weight.shape[0] == 12
    with pytest.raises(RequestError, match="graph=True"):
        penjing.shrink("folder", "out", graph=True)
