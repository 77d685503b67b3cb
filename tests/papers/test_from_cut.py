"""The quick running model gives what the usual one gives."""

import pytest
import torch
from papers.assets.from_cut import FromCut
from transformers import Dinov2Config, Dinov2Model

from penjing.core import Keep, Plan
from penjing.layouts import from_module
from penjing.running.live import Running


@pytest.fixture
def small():
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=12, num_hidden_layers=3, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14
    )
    return Dinov2Model(config).eval()


@pytest.mark.parametrize("cut", [(), (2,), (1, 2), (0, 1, 2), (0,)])
def test_the_entropy_is_that_of_the_running_model(small, cut):
    pictures = torch.randn(5, 3, 28, 28)
    plan = Plan(tuple(Keep(f"neurons.{i}", (1, 4, 5 + i)) for i in cut))
    expected = Running(small, [pictures], from_module(small, pictures[:2])).value(plan, objective="entropy")
    quick = FromCut(small, pictures)
    assert quick.value(plan, examples=range(5)) == pytest.approx(expected, abs=1e-6)
    assert not any(m._forward_pre_hooks for m in small.modules())


def test_what_it_does_not_have_is_refused(small):
    quick = FromCut(small, torch.randn(3, 3, 28, 28))
    with pytest.raises(ValueError, match="'loss'"):
        quick.value(Plan(), objective="loss")
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        quick.value(Plan(), examples=[0, 1])
