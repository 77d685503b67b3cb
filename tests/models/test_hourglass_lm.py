"""The hourglass language model."""

import pytest
import torch

import penjing
from penjing.models import MODELS, create


def test_the_stack_is_narrow_mlps_one_after_the_other():
    torch.manual_seed(0)
    layer = create("hourglass_lm", "tiny").model.layers[0]
    x = torch.randn(2, 5, 16)
    got = x
    for narrow in layer.stack:
        y = got / (got.square().mean(-1, keepdim=True) + narrow.norm.variance_epsilon).sqrt() * narrow.norm.weight
        gate = y @ narrow.gate_proj.weight.T
        got = got + (gate * torch.sigmoid(gate) * (y @ narrow.up_proj.weight.T)) @ narrow.down_proj.weight.T
        x = narrow(x)
    torch.testing.assert_close(x, got)


def test_it_generates_with_the_cache_what_it_generates_without():
    torch.manual_seed(0)
    model, ids = create("hourglass_lm", "tiny"), torch.randint(1, 61, (1, 5))
    how = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(model.generate(ids, use_cache=True, **how), model.generate(ids, use_cache=False, **how))


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_a_cut_model_generates_and_adapts(tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    create("hourglass_lm", "tiny").save_pretrained(tmp_path / "whole")
    plan = penjing.plan(tmp_path / "whole", method="magnitude", keep=0.5)
    penjing.apply(tmp_path / "whole", plan, tmp_path / "half", reopening=False)
    small = penjing.load(tmp_path / "half")
    assert list(small.config.intermediate_sizes) == [5, 7]
    ids = torch.randint(1, 61, (2, 6))
    assert small.generate(ids, max_new_tokens=3, do_sample=False, pad_token_id=0).shape == (2, 9)
    adapted = get_peft_model(small, LoraConfig(r=2, target_modules=["gate_proj", "q_proj"]))
    adapted(input_ids=ids, labels=ids).loss.backward()
    assert any(p.grad is not None for p in adapted.parameters())


def test_what_writes_to_the_stream_begins_smaller():
    torch.manual_seed(0)
    model = MODELS.load("hourglass_lm").Model(
        MODELS.load("hourglass_lm").Config(**{**MODELS.load("hourglass_lm").CARD.sizes["tiny"], "hidden_size": 128})
    )
    narrow = model.model.layers[0].stack[1]
    ratio = narrow.up_proj.weight.detach().std() / narrow.down_proj.weight.detach().std()
    assert abs(float(ratio) - 6**0.5) < 0.25
