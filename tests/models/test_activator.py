"""Activator."""

import pytest
import torch

import penjing
from penjing.core import Budget
from penjing.layers.gated import GatedUnit
from penjing.layouts import from_module
from penjing.layouts.costs import macs
from penjing.layouts.graph.inputs import example
from penjing.models import MODELS, create

FILE = MODELS.load("activator")


def patches_shuffled(pixels, side, order):
    """The patches of square pictures in another order, by a loop."""
    out, count = pixels.clone(), pixels.shape[-1] // side
    for new, old in enumerate(order):
        r, c, y, x = new // count, new % count, old // count, old % count
        out[:, :, r * side : (r + 1) * side, c * side : (c + 1) * side] = pixels[
            :, :, y * side : (y + 1) * side, x * side : (x + 1) * side
        ]
    return out


def test_a_gated_unit_is_the_formula_with_one_norm_for_both_factors():
    torch.manual_seed(0)
    unit, x = GatedUnit(5, 7).double(), torch.randn(2, 3, 5, dtype=torch.float64)
    torch.nn.init.normal_(unit.norm.weight)
    got = unit(x)
    for b in range(2):
        for t in range(3):
            factors = []
            for part, act in ((unit.gate, torch.nn.functional.gelu), (unit.value, lambda z: z)):
                z = act(part.weight @ x[b, t] + part.bias)
                z = (z - z.mean()) / (z.var(unbiased=False) + 1e-5).sqrt()
                factors.append(z * unit.norm.weight + unit.norm.bias)
            want = unit.out.weight @ (factors[0] * factors[1]) + unit.out.bias
            torch.testing.assert_close(got[b, t], want)


def test_the_order_of_patches_makes_no_difference_unless_they_are_mixed_or_have_positions():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8)
    y = patches_shuffled(x, 2, torch.randperm(16).tolist())
    assert not torch.equal(x, y)
    moved = {}
    for name, settings in (("plain", {}), ("mixer", {"mixer": "conv3"}), ("positions", {"positions": True})):
        model = create("activator", "tiny", **settings)
        with torch.no_grad():
            if model.positions is not None:
                model.positions.normal_()
            moved[name] = (model(x).logits - model(y).logits).abs().max()
    assert moved["plain"] < 1e-5
    assert moved["mixer"] > 1e-3
    assert moved["positions"] > 1e-3


def test_without_the_mlp_a_block_is_its_gated_unit():
    model = create("activator", "tiny", mlp_size=0)
    block, x = model.blocks[0], torch.randn(1, 16, 10)
    torch.testing.assert_close(block(x), x + block.gated(block.norm(x)))


def test_both_branches_share_a_norm_as_published_or_have_one_each():
    assert create("activator", "tiny").blocks[0].mlp_norm is None
    assert create("activator", "tiny", share_norm=False).blocks[0].mlp_norm is not None


@pytest.mark.parametrize(("settings", "found"), [({"mlp_size": [3]}, "lists 1 widths"), ({"mixer": "x"}, "'x'")])
def test_settings_that_fit_no_model_are_refused(settings, found):
    with pytest.raises(ValueError, match=found):
        FILE.Model(FILE.Config(**{**FILE.CARD.sizes["tiny"], **settings}))


def test_the_multiply_adds_are_those_of_the_formula():
    model = create("activator", "tiny")
    want = 16 * (12 * 10 + 3 * 10 * (12 + 20) + 2 * 10 * (14 + 18)) + 10 * 4
    assert macs(from_module(model, example(model, device="cpu"))) == want


def test_cut_to_half_of_its_multiply_adds_it_opens_again(tmp_path):
    model = create("activator", "tiny", mlp_size=[60, 60])
    model.save_pretrained(tmp_path / "whole")
    before = macs(from_module(model, example(model, device="cpu")))
    budget = Budget(macs=before // 2)
    penjing.shrink(tmp_path / "whole", tmp_path / "half", method="magnitude", budget=budget, measure=False)
    small = penjing.load(tmp_path / "half")
    assert macs(from_module(small, example(small, device="cpu"))) <= before // 2
    assert small(**example(small, device="cpu")).logits.shape == (2, 4)
