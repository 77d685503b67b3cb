"""torch's attention by the sizes of its tensors: as torch's while whole, as its mask when heads have gone."""

import copy
from itertools import product

import pytest
import torch
from torch import nn

import penjing
from penjing.core import Keep, Plan
from penjing.errors import PlanError
from penjing.nn import KINDS
from penjing.nn.attention import Attention, Settings, build, freed
from penjing.surgery import apply, masked

SHAPES = [{}, {"kdim": 6, "vdim": 10}, {"bias": False}, {"add_bias_kv": True, "add_zero_attn": True}]


def drawn(module):
    """Every weight anew: torch starts biases at zero."""
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * 0.4)
    return module.eval()


def inputs(part, *, batched=True, queries=3, keys=5, seed=1):
    g = torch.Generator().manual_seed(seed)
    widths = ((queries, part.embed_dim), (keys, part.kdim), (keys, part.vdim))
    if not batched:
        return [torch.randn(n, w, generator=g) for n, w in widths]
    return [torch.randn(*((2, n, w) if part.batch_first else (n, 2, w)), generator=g) for n, w in widths]


def masks(part, kind, batched, queries=3, keys=5):
    g = torch.Generator().manual_seed(2)
    hidden = torch.rand(queries, keys, generator=g) > 0.7
    padded = torch.zeros(2, keys, dtype=torch.bool)
    padded[1, 3:] = True
    hidden[:, 0] = False
    return {
        "none": {},
        "bool": {"attn_mask": hidden},
        "float": {"attn_mask": torch.randn(queries, keys, generator=g), "need_weights": False},
        "heads": {"attn_mask": hidden.repeat(2 * part.num_heads, 1, 1) if batched else hidden.repeat(4, 1, 1)},
        "padding": {"key_padding_mask": padded if batched else padded[1], "attn_mask": hidden},
        "each": {"average_attn_weights": False},
    }[kind]


@pytest.mark.parametrize(
    ("shape", "kind"), [*product(SHAPES, ["none", "bool", "float", "heads", "padding", "each"])]
)
@pytest.mark.parametrize(("first", "batched"), [(True, True), (False, True), (True, False), (False, False)])
def test_whole_it_is_torchs(shape, kind, first, batched):
    part = drawn(nn.MultiheadAttention(8, 4, batch_first=first, **shape))
    ours = build(part, Settings(heads=4))
    given, more = inputs(part, batched=batched), masks(part, kind, batched)
    wanted, found = part(*given, **more), ours(*given, **more)
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-4, atol=1e-5)
    assert (found[1] is None) == (wanted[1] is None)
    if wanted[1] is not None:
        torch.testing.assert_close(found[1], wanted[1], rtol=1e-4, atol=1e-5)


def naive(part, x, heads, scale):
    """Head by head, by the tensors of a packed projection."""
    wide = part.out_proj.weight.shape[1] // heads
    each = (part.in_proj_weight.shape[0] - wide * heads) // 2 // heads
    w, b = part.in_proj_weight, part.in_proj_bias
    out = part.out_proj.bias
    for h in range(heads):
        q, k = (torch.arange(each) + h * each + s * heads * each for s in (0, 1))
        v = torch.arange(wide) + h * wide + 2 * heads * each
        scores = torch.softmax((x @ w[q].T + b[q]) @ (x @ w[k].T + b[k]).transpose(1, 2) * scale, -1)
        out = out + scores @ (x @ w[v].T + b[v]) @ part.out_proj.weight[:, torch.arange(wide) + h * wide].T
    return out


def test_narrow_heads_are_those_of_a_loop():
    part = build(drawn(nn.MultiheadAttention(8, 4, batch_first=True)), Settings(heads=3))
    part.in_proj_weight = nn.Parameter(torch.randn(3 * (1 + 1 + 2), 8))
    part.in_proj_bias = nn.Parameter(torch.randn(12))
    part.out_proj.weight = nn.Parameter(torch.randn(8, 6))
    x = torch.randn(2, 5, 8)
    wanted = naive(part, x, 3, 2**-0.5)
    for need in (True, False):
        torch.testing.assert_close(part(x, x, x, need_weights=need)[0], wanted, rtol=1e-4, atol=1e-4)


def test_freed_for_a_while_it_is_put_back():
    net = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 12, batch_first=True))
    before = dict(vars(net[0].self_attn))
    with freed(net):
        assert type(net[0].self_attn) is Attention
    assert type(net[0].self_attn) is nn.MultiheadAttention
    assert vars(net[0].self_attn) == before


def test_it_is_refused_where_it_cannot_be():
    with pytest.raises(PlanError, match="a Linear is no MultiheadAttention"):
        build(nn.Linear(2, 2), Settings(heads=1))
    with pytest.raises(PlanError, match="whole number from 1"):
        KINDS.build("attention", {"heads": 0})


class Attending(nn.Module):
    """torch's own attention in a stream; `kind` says how it is called."""

    def __init__(self, kind="plain", **shape):
        super().__init__()
        self.kind, self.into, self.out = kind, nn.Linear(5, 16), nn.Linear(16, 3)
        self.attend = nn.MultiheadAttention(16, 4, batch_first=True, **shape)

    def forward(self, x):
        h = self.into(x)
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if self.kind == "causal" else None
        mixed = self.attend(h, h, h, need_weights=self.kind == "weights", attn_mask=mask)[0]
        return self.out(h + mixed)


class Alone(nn.Module):
    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(16, 4, batch_first=True)

    def forward(self, x):
        return self.attend(x, x, x)[0]


def encoder(**more):
    layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, **more)
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=not more)
    return nn.Sequential(nn.Linear(5, 16), stack, nn.Linear(16, 3))


class Padded(nn.Module):
    """Whole batches of sequences, some of which end before the others: torch may nest them in its own kernel."""

    def __init__(self):
        super().__init__()
        self.into, self.layers, self.out = encoder()

    def forward(self, x):
        padded = torch.arange(x.shape[1])[None] >= torch.tensor([[x.shape[1]], [4]])
        return self.out(self.layers(self.into(x), src_key_padding_mask=padded[: x.shape[0]])[:, :4])


class Decoding(nn.Module):
    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Linear(5, 16), nn.Linear(16, 3)
        self.layers = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 4, 24, batch_first=True), 2)

    def forward(self, x):
        h = self.into(x)
        return self.out(self.layers(h, h.flip(1)))


NETS = {
    "plain": lambda: Attending(),
    "with weights that nobody uses": lambda: Attending("weights"),
    "causal": lambda: Attending("causal"),
    "keys of its own": lambda: Attending(add_bias_kv=True, add_zero_attn=True),
    "encoder": encoder,
    "encoder, norm first": lambda: encoder(norm_first=True),
    "padded encoder": Padded,
    "decoder": Decoding,
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("name", NETS)
def test_heads_of_torchs_attention_are_cut_and_equal_their_mask(name):
    net, x = drawn(NETS[name]()), torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    layout = penjing.layout(net, example=x)
    heads = [a for a in layout.axes.values() if a.kind == "heads"]
    inner = [a for a in layout.axes.values() if a.kind in ("heads", "head_dims", "value_dims")]
    assert heads
    assert all(a.state == "free" for a in inner), [(a.name, a.state, a.reason) for a in inner]
    for group in (heads, inner):
        plan = Plan(tuple(Keep(a.name, tuple(range(a.size))[1::2]) for a in group))
        smaller, other = apply(net, layout, plan, example=x), torch.randn(2, 7, 5)
        wanted = masked(net, layout, plan).eval()
        for given in (x, other):
            torch.testing.assert_close(smaller(given), wanted(given), rtol=1e-4, atol=1e-5)
        assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in net.parameters())


def test_a_shrunk_encoder_is_saved_exported_and_rebuilt_without_us(tmp_path):
    net, x = drawn(encoder()), torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    given = {"keep": 0.5, "settings": {"axes": "heads.*", "multiple": 1}, "progress": False, "measure": False}
    done = penjing.shrink(net, example=x, method="magnitude", **given)
    wanted = done.module(x)
    torch.save(done.module.state_dict(), tmp_path / "small.pt")
    assert "penjing" not in done.code
    space = {}
    exec(done.code, space)
    rebuilt = space["smaller"](copy.deepcopy(net))
    rebuilt.load_state_dict(torch.load(tmp_path / "small.pt"))
    torch.testing.assert_close(rebuilt.eval()(x), wanted)
    assert not any(type(m).__module__.startswith("penjing") for m in rebuilt.modules())
    program = torch.export.export(done.module, (x,))
    torch.testing.assert_close(program.module()(x), wanted)


def test_the_default_way_takes_heads_where_nothing_else_is_free():
    net, x = drawn(Alone()), torch.randn(8, 6, 16, generator=torch.Generator().manual_seed(0))
    done = penjing.shrink(net, example=x, data=[x], keep=0.5, progress=False, measure=False)
    assert [*done.plan.keeps()] == ["heads"]
    assert done.module.attend.num_heads == 2
    mask = masked(net, penjing.layout(net, example=x), Plan(tuple(e for e in done.plan if isinstance(e, Keep))))
    with torch.no_grad():
        errors = [float((m(x) - net(x)).square().mean()) for m in (done.module, mask)]
    assert errors[0] < errors[1]


def test_heads_of_a_padded_encoder_are_measured():
    net, x = drawn(Padded()), torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))
    given = {"keep": 0.5, "settings": {"axes": "heads.*", "multiple": 1}, "progress": False, "measure": False}
    done = penjing.shrink(net, example=x, data=[x], **given)
    assert [layer.self_attn.num_heads for layer in done.module.layers.layers] == [2, 2]
    assert torch.backends.mha.get_fastpath_enabled()
