"""Low-rank additions: nothing else moves, they are merged to the product, and the model is as it was in form."""

import pytest
import torch
from tests.healers.conftest import blocks_of, run_of
from tests.world import subject
from torch import nn

from penjing.core.copies import copy_of
from penjing.errors import UnsupportedError
from penjing.healers import HEALERS
from penjing.train import Pair, heal
from penjing.train.lora import hold, insert, merge


def naive(weight, down, up, scale):
    """Each entry of W plus the scaled product, summed over the rank."""
    out = weight.clone()
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            out[i, j] += scale * sum(up[i, r] * down[r, j] for r in range(down.shape[0]))
    return out


def test_the_merged_weight_is_the_sum_and_the_names_are_those_of_before():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    before, names, x = [p.detach().clone() for p in net.parameters()], list(net.state_dict()), torch.randn(2, 5)
    wanted = net(x)
    assert insert(net, 2, scale=3) == ["0", "2"]
    torch.testing.assert_close(net(x), wanted)  # additions begin at zero
    parts = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
    assert {n.split(".")[1] for n, _ in parts} == {"lora_A", "lora_B"}
    with torch.no_grad():
        for _, p in parts:
            p.copy_(torch.randn_like(p))
    down, up = (dict(parts)[f"0.lora_{x}.penjing.weight"].detach().clone() for x in "AB")
    wanted = net(x).detach()
    merge(net)
    assert list(net.state_dict()) == names
    assert type(net[0]) is nn.Linear
    torch.testing.assert_close(net[0].weight.detach(), naive(before[0], down, up, 3.0))
    assert torch.equal(net[0].bias, before[1])
    torch.testing.assert_close(net(x), wanted, rtol=1e-4, atol=1e-5)  # another order of sums


def test_masked_entries_stay_zero_and_training_sees_what_merging_makes():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    kept = torch.rand(4, 5) > 0.5
    with torch.no_grad():
        net[0].weight.mul_(kept)
    before, masks, x = [p.detach().clone() for p in net.parameters()], {}, torch.randn(2, 5)
    insert(net, 2, scale=3)
    hold(net, masks.get)
    masks["0.weight"] = kept  # put in force later, as a run does
    parts = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
    with torch.no_grad():
        for _, p in parts:
            p.copy_(torch.randn_like(p))
    down, up = (dict(parts)[f"0.lora_{x}.penjing.weight"].detach().clone() for x in "AB")
    seen = net(x)
    seen.sum().backward()
    assert all(p.grad is not None and p.grad.any() for n, p in parts)
    merge(net, masks.get)
    torch.testing.assert_close(net[0].weight.detach(), naive(before[0], down, up, 3.0) * kept)
    assert not net[0].weight[~kept].any()
    assert net[2].weight.detach().ne(before[2]).all()
    torch.testing.assert_close(net(x), seen, rtol=1e-4, atol=1e-5)


def test_a_run_moves_the_additions_alone_and_the_head_gets_none():
    found, blocks = subject("decoder"), blocks_of("decoder")
    run = run_of("decoder", steps=10)
    whole = copy_of(run.module)
    layers = insert(run.module, 2)
    assert layers
    assert not [n for n in layers if "lm_head" in n]
    assert all("lora" in n for n in run.trained())
    heal(HEALERS.build("sft"), run, found.data, pair=Pair(blocks=blocks))
    assert run.losses[-1] < run.losses[0]
    merge(run.module)
    before, after = whole.state_dict(), run.module.state_dict()
    assert list(before) == list(after)
    moved = {n.removesuffix(".weight") for n in before if not torch.equal(before[n], after[n])}
    assert moved == set(layers)
    assert set(run.changed()) == {f"{n}.weight" for n in layers}


def test_what_has_no_linear_layer_is_refused():
    with pytest.raises(UnsupportedError, match="no linear layer"):
        insert(nn.Sequential(nn.Conv2d(1, 1, 1)), 2)
