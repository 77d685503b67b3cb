"""The rules of the maximal update parametrisation, against their table, and whether networks grow well by them."""

import math

import pytest
import torch
from torch import nn

from penjing.errors import DataError, UnsupportedError
from penjing.train.mup import Change, Linear, Scale, changes, groups, scales, set_up, slopes
from penjing.train.mup.groups import factor


def mlp(width, seed=0, depth=2, inputs=12, classes=5):
    torch.manual_seed(seed)
    layers = [nn.Linear(inputs, width), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, classes))


def known(width, base=8):
    return scales(mlp(width), mlp(base), mlp(2 * base))


def test_each_kind_of_parameter_is_told_from_shapes():
    found = known(32)
    assert found["0.weight"] == Scale(kind="input", out=4.0)
    assert found["0.bias"] == Scale(kind="input", out=4.0)
    assert found["2.weight"] == Scale(kind="hidden", into=4.0, out=4.0)
    assert found["4.weight"] == Scale(kind="output", into=4.0)
    assert found["4.bias"] == Scale(kind="scalar")


def test_embeddings_and_matrices_stored_the_other_way_are_turned():
    from transformers.pytorch_utils import Conv1D

    def net(width):
        out = nn.Module()
        out.table, out.inner, out.head = nn.Embedding(7, width), Conv1D(3 * width, width), nn.Linear(width, 7)
        return out

    found = scales(net(24), net(8), net(16))
    assert found["table.weight"] == Scale(kind="input", out=3.0)
    assert found["inner.weight"] == Scale(kind="hidden", into=3.0, out=3.0)
    assert found["head.weight"] == Scale(kind="output", into=3.0)


TABLE = {
    "hidden": {"adamw": 1 / 4, "sgd": 1.0},
    "input": {"adamw": 1.0, "sgd": 4.0},
    "output": {"adamw": 1.0, "sgd": 4.0},
    "scalar": {"adamw": 1.0, "sgd": 1.0},
}


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_rates_are_those_of_the_table(optimiser):
    found = known(32)
    for name, scale in found.items():
        assert factor(name, found, optimiser) == TABLE[scale.kind][optimiser], name


def test_a_matrix_that_is_not_square_goes_by_out_over_in():
    one = {"w": Scale(kind="hidden", into=4.0, out=2.0)}
    assert factor("w", one, "sgd") == 0.5
    assert factor("w", one, "adamw") == 0.25


def test_groups_hold_every_parameter_once_and_decay_times_rate_is_the_same():
    module, found = mlp(32), known(32)
    made = groups(module, found, learning_rate=0.1, weight_decay=0.01)
    assert sorted(id(p) for g in made for p in g["params"]) == sorted(id(p) for p in module.parameters())
    assert all(g["lr"] * g["weight_decay"] == pytest.approx(0.001) for g in made)
    assert [g["lr"] for g in made] == pytest.approx([0.025, 0.1])
    torch.optim.AdamW(made).step()


def test_at_the_base_width_it_is_the_plain_network():
    plain, same, inputs = mlp(8), mlp(8), torch.randn(3, 12, generator=torch.Generator().manual_seed(0))
    found = known(8)
    set_up(same, mlp(8), found)
    assert torch.equal(plain(inputs), same(inputs))
    assert [g["lr"] for g in groups(same, found, learning_rate=0.1, optimiser="sgd")] == [0.1]


def test_first_values_have_the_variances_of_the_table():
    wide, plain = mlp(512), mlp(512)
    set_up(wide, mlp(8), known(512))
    own = dict(wide.named_parameters())
    ratio = {n: float(own[n].detach().std() / p.detach().std()) for n, p in plain.named_parameters()}
    assert ratio["0.weight"] == pytest.approx(1)
    assert ratio["2.weight"] == pytest.approx(1), "1 / what goes in is torch's own"
    assert ratio["2.bias"] == pytest.approx(8), "a bias does not shrink with the width"
    assert ratio["4.weight"] == pytest.approx(8), "nor does a readout, which its multiplier makes small"
    fixed = mlp(512)
    set_up(fixed, mlp(8), known(512), fixed=True)
    assert float(fixed[2].weight.detach().std() / plain[2].weight.detach().std()) == pytest.approx(1 / 8)


def test_a_readout_of_zeros_says_nothing_at_first():
    wide = set_up(mlp(32), mlp(8), known(32), zero_readout=True)
    assert torch.equal(wide(torch.ones(2, 12)), wide[4].bias.expand(2, 5))


def test_a_head_that_shares_the_embedding_reads_out_over_the_growth():
    from transformers import LlamaConfig, LlamaForCausalLM

    def llama(width, seed=0):
        torch.manual_seed(seed)
        return LlamaForCausalLM(LlamaConfig(
            vocab_size=11, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, tie_word_embeddings=True,
        )).eval()  # fmt: skip

    base, wide, plain = llama(8), llama(32), llama(32)
    found = scales(wide, base, llama(16))
    set_up(wide, base, found, fixed=True)
    ids, halves = torch.arange(6)[None], plain.model.layers[0].self_attn.scaling / 2
    assert wide.model.layers[0].self_attn.scaling == pytest.approx(halves), "a head is four times as wide"
    with torch.no_grad():
        states = wide.model(ids).last_hidden_state
        expected = states @ wide.model.embed_tokens.weight.T / 4
        torch.testing.assert_close(wide(ids).logits, expected)


def batch(seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(32, 12, generator=g), torch.randint(5, (32,), generator=g)


def looked(width, seed, mup, steps=3):
    module, (inputs, labels) = mlp(width, seed), batch()
    found = known(width)
    if mup:
        set_up(module, mlp(8), found)
        optimiser = torch.optim.AdamW(groups(module, found, learning_rate=0.01))
    else:
        optimiser = torch.optim.AdamW(module.parameters(), lr=0.01, weight_decay=0.0)

    def step(net):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(inputs), labels).backward()
        optimiser.step()

    return changes(module, width, step, lambda net: net(inputs), steps=steps)


def test_states_keep_their_size_by_the_rules_and_not_without_them():
    """Widths 64 to 1024, three seeds; 0.15 is the slope that a check allows; plain states grow with a root at least."""
    wide = {m: [c for w in (64, 128, 256, 512, 1024) for s in range(3) for c in looked(w, s, m)] for m in (True, False)}
    good, plain = slopes(wide[True]), slopes(wide[False])
    for (module, step), (_, change) in good.items():
        assert math.isnan(change) if step == 0 else abs(change) <= 0.15, (module, step, change)
    assert plain["2", 3][1] > 0.4
    assert plain["4", 3][1] > 0.6


def test_a_slope_is_that_of_a_power():
    found = [
        Change(module="m", step=1, width=w, size=3 * w**0.5 * f, change=2 * w**-1.0)
        for w in (8, 16, 64) for f in (0.5, 1.5)
    ]  # fmt: skip
    assert slopes(found)["m", 1] == pytest.approx((0.5, -1.0))
    with pytest.raises(DataError, match="found 1 widths"):
        slopes(found[:1])


def test_what_would_be_wrong_in_silence_is_refused():
    with pytest.raises(UnsupportedError, match="do not have the same parameters"):
        scales(mlp(32), mlp(8), mlp(16, depth=3))
    with pytest.raises(UnsupportedError, match="differs in every width"):
        scales(mlp(32), mlp(8), mlp(8))
    wide = set_up(mlp(32), mlp(8), known(32))
    with pytest.raises(UnsupportedError, match="scaled twice"):
        set_up(wide, mlp(8), known(32))


def trained(module, inputs, targets, steps, rate):
    optimiser = torch.optim.SGD(module.parameters(), lr=rate)
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = (module(inputs) - targets).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def test_wide_linear_networks_train_as_their_limit_does():
    g = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(20, 4, generator=g), torch.randn(20, 3, generator=g)
    rule = Linear(inputs=4, outputs=3, out=0.5)
    exact = trained(rule.limit(), inputs, targets, 20, 0.2)
    gaps = {}
    for width in (64, 1024, 16384):
        drawn = [rule.sample(width, torch.Generator().manual_seed(s)) for s in range(10)]
        gaps[width] = sum(abs(trained(one, inputs, targets, 20, 0.2)[-1] - exact[-1]) for one in drawn) / 10
    assert exact[-1] < exact[0]
    assert gaps[16384] < 0.02 * exact[0]
    slope = math.log(gaps[16384] / gaps[64]) / math.log(256)
    assert slope == pytest.approx(-0.5, abs=0.2), "the distance falls with the root of the width"
