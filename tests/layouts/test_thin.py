"""A trace of three blocks of each kind gives the layout that a trace of all blocks gives."""

import pytest
import torch
from tests.layouts.zoo import ZOO
from torch import nn

from penjing.layouts.config.stock import build
from penjing.layouts.graph.infer import infer
from penjing.layouts.graph.inputs import example
from penjing.layouts.graph.thin import infer_thin, renumber, thinned


class Cell(nn.Module):
    """A residual convolution, with a drop rate that differs in every block and changes no layout."""

    def __init__(self, width: int, hidden: int, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.expand, self.norm = nn.Conv2d(width, hidden, 1), nn.BatchNorm2d(hidden)
        self.project = nn.Conv2d(hidden, width, 3, padding=1)

    def forward(self, x):
        return x + self.project(torch.relu(self.norm(self.expand(x))))


class Net(nn.Module):
    """Blocks of two kinds in turn, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.cells = nn.ModuleList(Cell(8, 10 if k % 2 else 12, k / 9) for k in range(8))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        for cell in self.cells:
            x = cell(x)
        return self.head(x.amax(dim=(2, 3)))


class Chain(nn.Module):
    """Layers of one kind, each of which ties only to the next: three of them do not tell what the others are."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(6))

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


def assert_same(module, args, kwargs):
    thin, full = infer_thin(module, args, kwargs, infer), infer(module, args, kwargs)
    assert dict(thin.patterns) == dict(full.patterns)
    assert {n: (a.size, a.state) for n, a in thin.axes.items()} == {n: (a.size, a.state) for n, a in full.axes.items()}
    assert dict(thin.reads) == dict(full.reads)
    assert dict(thin.aliases) == dict(full.aliases)
    assert thin.unreached == full.unreached
    assert sorted(thin.work, key=str) == sorted(full.work, key=str)
    assert set(thin.writers) == set(full.writers)
    assert {(n.module, n.axis, n.readers, n.foldable) for n in thin.norms} == {
        (n.module, n.axis, n.readers, n.foldable) for n in full.norms
    }


def deep(name, blocks, **changes):
    config = {**ZOO[name].config, **changes}
    return {**config, next(k for k in ("num_hidden_layers", "n_layer") if k in config): blocks}


@pytest.mark.parametrize(
    "config",
    [
        deep("llama", 8),
        pytest.param(deep("gemma2", 8), marks=pytest.mark.slow),
        pytest.param(deep("gpt2", 8), marks=pytest.mark.slow),
        pytest.param({**ZOO["swin"].config, "depths": [2, 6]}, marks=pytest.mark.slow),
        pytest.param({**ZOO["t5"].config, "num_layers": 6, "num_decoder_layers": 6}, marks=pytest.mark.slow),
    ],
    ids=["llama", "gemma2", "gpt2", "swin", "t5"],
)
def test_equals_the_full_trace(config):
    module = build(config)
    assert_same(module, (), example(module))


def test_equals_the_full_trace_for_a_network_of_two_kinds_of_blocks():
    with torch.device("meta"):
        assert_same(Net().eval(), (torch.empty(2, 3, 9, 9),), {})


def test_blocks_that_do_not_tell_are_all_traced():
    with torch.device("meta"):
        assert_same(Chain(), (torch.empty(2, 6),), {})


def test_keeps_first_second_and_last_and_puts_all_back():
    module = build(deep("llama", 6))
    before = [n for n, _ in module.named_parameters()]
    with thinned(module) as groups:
        assert [(g.kept, g.rest) for g in groups] == [((0, 1, 5), (2, 3, 4))]
        assert len(module.model.layers) == 3
    assert [n for n, _ in module.named_parameters()] == before


def test_the_number_of_its_own_list_is_replaced():
    assert renumber("neurons.2.1.fc", 1, "7") == "neurons.2.7.fc"
