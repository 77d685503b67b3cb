"""What an axis that stays is told of: constants by their names, lines of one's own files, random numbers."""

import importlib.util

import pytest
import torch
import torch.nn.functional as F
from tests.layouts.test_rehearse import cut
from torch import nn

import penjing
from penjing.layouts import from_module

BATCH = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))


def reasons(layout):
    return {a.name: a.reason for a in layout.axes.values() if a.state != "free"}


class Scaled(nn.Module):
    """Widths that meet tensors which are neither parameters nor buffers."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 10), nn.Linear(10, 3)
        self.b.gain = torch.linspace(1, 2, 8)

    def forward(self, x):
        made = torch.tensor([float(k) for k in range(10)])
        return self.c(self.b(self.a(x) * self.b.gain) * made)


def test_a_constant_is_told_by_its_name_or_where_it_is_made():
    found = reasons(from_module(Scaled(), BATCH))
    assert found["dims.a"] == "bound to the constant b.gain"
    assert found["dims.b"] == "bound to a constant in the model"


SOURCE = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.b(self.a(x).view(-1, 2, 4).flatten(1).relu(){})
"""


@pytest.mark.parametrize(
    ("more", "found"), [("", "at net.py:10: view"), (" if x.max() > 0 else x", "data at net.py:10")]
)
def test_a_file_in_a_folder_named_torch_is_ones_own(tmp_path, more, found):
    place = tmp_path / "torch" / "net.py"
    place.parent.mkdir()
    place.write_text(SOURCE.format(more), "utf-8")
    spec = importlib.util.spec_from_file_location("net_of_somebody", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if more:
        with pytest.raises(penjing.PenjingError, match=found):
            from_module(module.Net(), BATCH)
    else:
        assert any(found in reason for reason in reasons(from_module(module.Net(), BATCH)).values())


class Noisy(nn.Module):
    """Draws random numbers whatever its mode: what they meet cannot be cut, and the rest can."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = nn.Linear(6, 8), nn.Linear(8, 10), nn.Linear(10, 12), nn.Linear(12, 3)

    def forward(self, x):
        x = F.dropout(torch.relu(self.a(x)), 0.5, training=True)
        x = torch.relu(self.b(x))
        out = self.d(torch.tanh(self.c(x)) + torch.randn(12))
        return out + torch.rand_like(out)


def test_what_random_numbers_meet_stays_and_the_rest_is_cut():
    layout = cut(Noisy(), BATCH)
    assert [a.name for a in layout.axes.values() if a.state == "free"] == ["neurons.b.a"]
    found = reasons(layout)
    assert found["dims.a"] == "native_dropout in the model draws random numbers"
    assert found["dims.c"] == "made by randn"
    assert found["dims.d"] == "rand_like in the model draws random numbers"
    assert layout.notes == ()


class Attention(nn.Module):
    """Two attributes hold a width: one that of a head, the other that of all heads together."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.width, self.each, self.heads = width, width // heads, heads
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))

    def forward(self, q, k, v):
        many = (q.size(0), -1, self.heads, self.each)
        q, k, v = (f(x).view(many).transpose(1, 2) for f, x in zip((self.q, self.k, self.v), (q, k, v), strict=True))
        mixed = torch.softmax(q @ k.transpose(2, 3) / q.size(-1) ** 0.5, -1) @ v
        return self.o(mixed.transpose(1, 2).contiguous().view(q.size(0), -1, self.width))


def test_a_width_and_what_it_is_made_of_are_one_axis_each():
    x = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    layout = cut(Attention(), (x, x, x))
    assert [a.name for a in layout.axes.values() if a.state == "free"] == ["heads"]
    assert "a number follows its size" in reasons(layout)["head_dims"]


class OneMemory(nn.Module):
    """Weights that are parameters of their own over the same memory: each is cut by itself."""

    def __init__(self):
        super().__init__()
        held = torch.linspace(-1, 1, 36).reshape(6, 6)
        self.weights = nn.ParameterList(nn.Parameter(held) for _ in range(3))

    def forward(self, x):
        for weight in self.weights:
            x = torch.relu(x @ weight)
        return x


def test_parameters_that_share_memory_are_cut_apart():
    module, given = OneMemory(), {"keep": 0.5, "settings": {"multiple": 1}, "progress": False, "measure": False}
    cut(module, BATCH)
    done = penjing.shrink(module, example=BATCH, method="magnitude", **given)
    assert [tuple(w.shape) for w in done.module.weights] == [(6, 3), (3, 3), (3, 6)]
