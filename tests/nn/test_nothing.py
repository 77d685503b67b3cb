"""A sublayer left out computes what the model does whose sublayer writes zeros, with and without a cache."""

import copy

import pytest
import torch
from tests.surgery import tables

import penjing
from penjing.core import Keep, Plan, Replace, Spec
from penjing.errors import PenjingError
from penjing.io import open_checkpoint
from penjing.running.live import Running
from penjing.surgery import apply, masked, stream, verify

GPT2 = {
    "vocab_size": 61, "n_embd": 24, "n_head": 3, "n_layer": 3, "n_positions": 64, "n_inner": 40, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
CASES = {
    "llama": ("LlamaForCausalLM", tables.LLAMA, "model.layers", "self_attn", ("o_proj", "down_proj")),
    "gpt2": ("GPT2LMHeadModel", GPT2, "transformer.h", "attn", ("c_proj",)),
}


def naive(module, paths, last):
    """The model with zeros for what the sublayers write."""
    copied = copy.deepcopy(module)
    for name, tensor in copied.state_dict().items():
        if any(name.startswith(f"{p}.") for p in paths) and name.split(".")[-2] in last:
            tensor.zero_()
    return copied


@pytest.mark.parametrize("case", CASES)
def test_it_equals_the_model_whose_sublayers_write_zeros(case, tmp_path):
    name, settings, blocks, attention, last = CASES[case]
    module = tables.make(name, tmp_path / "whole", **settings)
    paths = [f"{blocks}.0.{attention}", f"{blocks}.2.mlp"]
    plan = Plan(tuple(Replace(p, Spec("nothing")) for p in paths))
    checkpoint, layout = tables.opened(tmp_path / "whole")
    told = verify(checkpoint, layout, plan)
    opened = penjing.load(stream(checkpoint, layout, plan, tmp_path / "out", verified=told))
    wanted, ids = naive(module, paths, last), tables.tokens()
    with torch.no_grad():
        assert torch.equal(opened(ids).logits, wanted(ids).logits)
        assert torch.equal(apply(module, layout, plan)(ids).logits, wanted(ids).logits)
        assert torch.equal(masked(module, layout, plan)(ids).logits, wanted(ids).logits)
    more = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    assert torch.equal(opened.generate(ids, **more), wanted.generate(ids, **more))
    assert told.after.parameters == sum(p.numel() for p in opened.parameters())
    assert told.after.macs < told.before.macs


def test_what_is_left_is_cut_on_and_the_axes_that_have_gone_are_refused(tmp_path):
    module = tables.llama(tmp_path / "whole")
    checkpoint, layout = tables.opened(tmp_path / "whole")
    plan = Plan((Replace("model.layers.1.mlp", Spec("nothing")),))
    with pytest.raises(PenjingError, match=r"no axis is named 'neurons\.1'"):
        verify(checkpoint, layout, plan + Plan((Keep("neurons.1", (0, 1)),)))
    both = plan + Plan((*(Keep(f"neurons.{i}", tuple(range(20))) for i in (0, 2)), Keep("blocks", (0, 1))))
    opened = penjing.load(stream(checkpoint, layout, both, tmp_path / "out"))
    ids = tables.tokens()
    with torch.no_grad():
        torch.testing.assert_close(opened(ids).logits, masked(module, layout, both)(ids).logits)
    with open_checkpoint(tmp_path / "out") as again:
        assert again.config["penjing_modules"] == {"model.layers.1.mlp": {"kind": "nothing", "settings": {}}}


def test_a_count_of_outputs_that_is_none_is_refused(tmp_path):
    tables.llama(tmp_path / "whole")
    checkpoint, layout = tables.opened(tmp_path / "whole")
    with pytest.raises(PenjingError, match="a whole number from 0"):
        verify(checkpoint, layout, Plan((Replace("model.layers.1.mlp", Spec("nothing", {"outputs": -1})),)))


def test_the_running_model_runs_all_blocks_again_when_a_sublayer_is_out(tmp_path):
    """What blocks gave before may be kept, and a sublayer without tensors changes none that tells where it is."""
    module = tables.llama(tmp_path / "whole")
    _, layout = tables.opened(tmp_path / "whole")
    path = "model.layers.0.mlp"
    live = Running(module, [{"input_ids": tables.tokens(), "labels": tables.tokens()}], layout)
    whole = [live.value(Plan()) for _ in range(3)]
    out = [live.value(Plan((Replace(path, Spec("nothing")),))) for _ in range(2)]
    wanted = Running(naive(module, [path], ("down_proj",)), live.batches, layout).value(Plan())
    assert whole[0] == whole[2] != wanted
    assert out == [wanted, wanted]
