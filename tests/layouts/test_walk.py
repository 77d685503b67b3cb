"""The rules, one operator at a time: what each ties, frees and freezes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from penjing.core.pattern import show
from penjing.layouts.graph.infer import infer, infer_traced
from penjing.layouts.graph.trace import trace
from penjing.layouts.prove.proof import prove


class Between(nn.Module):
    """Two linear layers with a function in between, which sees [batch, 7, 12]."""

    def __init__(self, function, out=12):
        super().__init__()
        self.a, self.b = nn.Linear(5, 12), nn.Linear(out, 3)
        self.function = function

    def forward(self, x):
        return self.b(self.function(self.a(x)))


def example():
    return torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))


def middle(function, out=12):
    """(patterns of a's rows and b's columns, state of each axis in a's rows) around a function."""
    module = Between(function, out)
    layout = infer(module, (example(),))
    rows, columns = show(layout.patterns["a.weight"][:1]), show(layout.patterns["b.weight"][1:])
    results = prove(module, (example(),))
    assert all(r.error < 1e-7 for r in results.values()), results
    return rows, columns, layout


PASS = {
    "relu": torch.relu,
    "there and back": lambda x: x.transpose(1, 2).contiguous().view(2, 12 * 7).view(2, 12, 7).transpose(1, 2),
    "clone": lambda x: x.clone().detach(),
    "squeeze": lambda x: x.unsqueeze(1).squeeze(1),
    "doubled": lambda x: x + x,
    "clamped around zero": lambda x: x.clamp(-1, 1),
    "masked": lambda x: x.masked_fill(torch.ones(2, 7, 1, dtype=torch.bool).triu(), 0.0),
    "padded in time": lambda x: F.pad(x, (0, 0, 1, 0))[:, :7],
    "pooled in time": lambda x: F.avg_pool1d(x.transpose(1, 2), 3, 1, 1).transpose(1, 2),
    "summed in time": lambda x: x.sum(1),
    "repeated": lambda x: x.repeat(1, 2, 1),
    "expanded": lambda x: x[:, :1].expand(2, 7, 12),
    "flipped in time": lambda x: x.flip(1),
    "written into zeros": lambda x: torch.zeros(2, 9, 12, dtype=x.dtype).slice_scatter(x, 1, 1, 8),
    "normalised to length one": lambda x: F.normalize(x, dim=-1),
}


@pytest.mark.parametrize("name", PASS)
def test_the_axis_passes(name):
    rows, columns, layout = middle(PASS[name])
    assert rows == columns == "neurons.a"
    assert layout.axes["neurons.a"].state == "free"
    assert layout.notes == ()


REGROUPED = {
    "two halves added": (lambda x: x[..., :6] + x[..., 6:], 6, "(neurons.a + neurons.a)", "neurons.a"),
    "gate and up": (lambda x: F.glu(x, -1), 6, "(neurons.a + neurons.a)", "neurons.a"),
    "every second": (lambda x: x[..., ::2] * x[..., 1::2], 6, "(neurons.a 2)", "neurons.a"),
    "turned": (lambda x: torch.cat([-x[..., 6:], x[..., :6]], -1) + x, 12, None, None),
    "heads": (lambda x: x.view(2, 7, 3, 4).sum(2), 4, "(3 neurons.a)", "neurons.a"),
}


@pytest.mark.parametrize("name", REGROUPED)
def test_regrouping_is_followed(name):
    function, out, _, _ = REGROUPED[name]
    _, _, layout = middle(function, out)
    free = [a for a in layout.axes.values() if a.state == "free"]
    assert free
    assert layout.notes == ()


def test_rotary_halves_are_one_axis():
    rows, columns, _ = middle(REGROUPED["turned"][0])
    assert rows == columns == "(neurons.a + neurons.a)"


def test_a_gate_and_its_partner_are_one_axis():
    rows, columns, _ = middle(REGROUPED["gate and up"][0], 6)
    assert rows == "(neurons.a + neurons.a)"
    assert columns == "neurons.a"


SENSITIVE = {
    "softmax": lambda x: x.softmax(-1),
    "mean": lambda x: x * x.mean(-1, keepdim=True),
    "largest": lambda x: x * x.amax(-1, keepdim=True),
    "layer_norm": lambda x: F.layer_norm(x, (12,)),
    "var": lambda x: x * x.var(-1, keepdim=True),
}


@pytest.mark.parametrize("name", SENSITIVE)
def test_looking_along_the_axis_makes_it_sensitive_and_says_how(name):
    _, _, layout = middle(SENSITIVE[name])
    axis = layout.axes["neurons.a"]
    assert axis.state == "sensitive"
    assert " in " in axis.reason


FROZEN = {
    "cumsum": lambda x: x.cumsum(-1),
    "flip": lambda x: x.flip(-1),
    "roll": lambda x: x.roll(1, -1),
    "sort": lambda x: x.sort(-1).values,
    "pad": lambda x: F.pad(x, (1, -1)),
    "pick one": lambda x: x * x[..., 3:4].select(-1, 0).unsqueeze(-1) + x.select(-1, 2).unsqueeze(-1),
    "numbered": lambda x: x * torch.arange(12),
    "constant": lambda x: x * torch.tensor([float(i) for i in range(12)], dtype=x.dtype),
    "index": lambda x: x[..., torch.tensor([5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 10, 11])],
}


@pytest.mark.parametrize("name", FROZEN)
def test_what_depends_on_the_number_of_a_unit_is_not_cut(name):
    module = Between(FROZEN[name])
    layout = infer(module, (example(),))
    states = {leaf.name: layout.axes[leaf.name] for leaf in _leaves(layout.patterns["a.weight"][0])}
    if name != "pick one":
        assert {a.state for a in states.values()} == {"uncut"}
    assert all(a.reason for a in states.values() if a.state == "uncut")
    assert any(a.state == "uncut" for a in states.values())
    assert all(r.ok for r in prove(module, (example(),)).values())


def _leaves(dim):
    from penjing.core.pattern import leaves

    return list(leaves(dim))


class Router(nn.Module):
    """Two of six experts by top-k, batched."""

    def __init__(self):
        super().__init__()
        self.gate, self.up, self.down = (
            nn.Linear(5, 6),
            nn.Parameter(torch.randn(6, 8, 5)),
            nn.Parameter(torch.randn(6, 5, 8)),
        )

    def forward(self, x):
        weight, chosen = torch.topk(self.gate(x).softmax(-1), 2)
        h = torch.relu(torch.einsum("bkoi,bi->bko", self.up[chosen], x))
        return (torch.einsum("bkoi,bki->bko", self.down[chosen], h) * weight[..., None]).sum(1)


def test_experts_are_an_axis_with_a_least_size():
    layout = infer(Router(), (torch.randn(4, 5),))
    assert show(layout.patterns["up"]) == "experts neurons.a inputs" or show(layout.patterns["up"]).startswith(
        "experts "
    )
    assert layout.axes["experts"].state == "sensitive"
    assert layout.axes["experts"].least == 2
    assert layout.tensors("experts") == ["up", "down", "gate.weight", "gate.bias"]


def test_expert_neurons_are_free_and_read_by_the_down_projection():
    module = Router()
    layout = infer(module, (torch.randn(4, 5),))
    free = [a.name for a in layout.axes.values() if a.state == "free"]
    assert len(free) == 1
    assert ("down", 2) in layout.readers(free[0])
    assert all(r.ok for r in prove(module, (torch.randn(4, 5),)).values())


def test_reads_are_the_contracted_dimensions():
    layout = infer(Between(torch.relu), (example(),))
    assert layout.reads == {"a.weight": (1,), "b.weight": (1,)}


def test_work_counts_multiply_adds_per_sample():
    layout = infer(Between(torch.relu), (example(),))
    macs = sum(w.constant * _product(layout.sizes[a] for a in w.axes) for w in layout.work)
    assert macs == 7 * (5 * 12 + 12 * 3)
    assert [w.tensor for w in layout.work] == ["a.weight", "b.weight"]


def _product(values):
    out = 1
    for v in values:
        out *= v
    return out


def test_work_of_convolutions_counts_positions_groups_and_kernels():
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, stride=2, padding=1, groups=2))
    layout = infer(module, (torch.randn(2, 3, 8, 8),))
    macs = [w.constant * _product(layout.sizes[a] for a in w.axes) for w in layout.work]
    assert macs == [8 * 8 * 8 * 3 * 9, 4 * 4 * 4 * (8 // 2) * 9]


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.q, self.out = nn.Embedding(11, 6), nn.Linear(6, 6), nn.Linear(6, 11)

    def forward(self, ids):
        h = self.embed(ids)
        return self.out(torch.bmm(torch.softmax(torch.bmm(self.q(h), h.transpose(1, 2)), -1), h))


def test_work_of_attention_grows_with_tokens_squared():
    layout = infer(Tokens(), (torch.arange(14).view(2, 7) % 11,))
    assert [w.tokens for w in layout.work] == [1, 2, 2, 1]


def test_inference_does_the_same_twice():
    one, two = (infer(Router(), (torch.randn(4, 5),)) for _ in range(2))
    assert one == two


def test_meta_and_cpu_agree():
    with torch.device("meta"):
        there = infer(Between(torch.relu), (torch.empty(2, 7, 5),))
    assert there == infer(Between(torch.relu), (example(),))


def test_no_rule_ever_gave_a_wrong_shape():
    for function in [*PASS.values(), *SENSITIVE.values(), *FROZEN.values()]:
        inference = infer_traced(trace(Between(function), (example(),)))
        assert not [n for n in inference.walk.notes if "does not fit" in n]
