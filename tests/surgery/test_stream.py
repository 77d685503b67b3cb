"""Streamed, in memory and masked agree."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.surgery import tables

from penjing.core import Keep, Mask, Plan, Update
from penjing.surgery import apply, masked, reopen, stream, verify

GPT2 = {
    "vocab_size": 61,
    "n_embd": 24,
    "n_head": 3,
    "n_layer": 2,
    "n_inner": 37,
    "n_positions": 32,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PHI3 = {**{k: v for k, v in tables.LLAMA.items() if k != "head_dim"}, "pad_token_id": 0}
TIED = {**tables.LLAMA, "tie_word_embeddings": True, "dtype": torch.bfloat16}
CASES = {
    "llama": ("LlamaForCausalLM", tables.LLAMA, "neurons", range(0, 37, 2)),
    "llama tied, bfloat16": ("LlamaForCausalLM", TIED, "neurons", range(1, 37, 3)),
    "llama heads": ("LlamaForCausalLM", tables.LLAMA, "heads", [0, 2]),
    "gpt2": ("GPT2LMHeadModel", GPT2, "neurons", range(0, 37, 2)),
    "phi3": ("Phi3ForCausalLM", PHI3, "neurons", range(3, 37)),
}


def state(folder):
    out = {}
    for path in sorted(folder.glob("*.safetensors")):
        out |= load_file(path)
    return out


@pytest.mark.parametrize("case", CASES)
def test_streamed_equals_memory_and_its_mask(case, tmp_path):
    name, settings, kind, units = CASES[case]
    module = tables.make(name, tmp_path / "in", **settings)
    checkpoint, layout = tables.opened(tmp_path / "in")
    plan = tables.every(layout, kind, list(units))
    stream(checkpoint, layout, plan, tmp_path / "out")
    smaller = apply(module, layout, plan)
    written, held = state(tmp_path / "out"), smaller.state_dict()
    assert all(torch.equal(written[n], held[n]) and written[n].dtype == held[n].dtype for n in written)
    with torch.no_grad():
        given = smaller(tables.tokens()).logits
        wanted = masked(module, layout, plan)(tables.tokens()).logits
        full = module(tables.tokens()).logits
    bound = 5e-2 if given.dtype == torch.bfloat16 else 1e-5  # rounding of one to two bfloat16 steps through the blocks
    assert (given - wanted).abs().max() <= bound * wanted.abs().max()
    assert (full - wanted).abs().max() > 10 * (given - wanted).abs().max()


def test_the_result_opens_where_penjing_cannot_be_imported(tmp_path):
    module = tables.llama(tmp_path / "in")
    checkpoint, layout = tables.opened(tmp_path / "in")
    plan = tables.every(layout, "neurons", list(range(16)))
    stream(checkpoint, layout, plan, tmp_path / "out")
    with torch.no_grad():
        expected = apply(module, layout, plan)(tables.tokens()).logits
    found = reopen(tmp_path / "out", tables.tokens(), expected)
    assert found.ok
    assert found.max_abs_difference == 0
    assert found.loader == "LlamaForCausalLM"
    assert reopen(tmp_path / "out", tables.tokens(), None).ok
    damaged = tmp_path / "out" / "model.safetensors"
    tensors = load_file(damaged)
    tensors["model.layers.1.mlp.down_proj.weight"].neg_()
    save_file(tensors, damaged, {"format": "pt"})
    assert not reopen(tmp_path / "out", tables.tokens(), expected).ok


def test_shards_stay_shards(tmp_path):
    tables.llama(tmp_path / "in", shard="25kB")
    checkpoint, layout = tables.opened(tmp_path / "in")
    assert len(checkpoint.shards) >= 3
    plan = tables.every(layout, "neurons", list(range(0, 37, 2)))
    seen: list[int] = []
    verified = verify(checkpoint, layout, plan)
    stream(checkpoint, layout, plan, tmp_path / "out", verified=verified, progress=seen.append)
    after, _ = tables.opened(tmp_path / "out")
    assert after.shards == checkpoint.shards
    assert sum(seen) == verified.after.bytes == sum(t.length for t in after.tensors.values())
    assert json.loads((tmp_path / "out" / "penjing.json").read_text())["made"] == {"method": "by hand"}


def test_edits_are_done_in_the_order_of_the_plan(tmp_path):
    module = tables.llama(tmp_path / "in")
    checkpoint, layout = tables.opened(tmp_path / "in")
    name = "model.layers.0.mlp.down_proj.weight"
    first = tables.every(layout, "neurons", list(range(20)))
    values = torch.randn(24, 20)
    kept = torch.rand(24, 10) > 0.5
    second = tables.every(layout, "neurons", list(range(1, 20, 2)))
    plan = first + Plan((Update(name, values),)) + second + Plan((Mask(name, kept),))
    stream(checkpoint, layout, plan, tmp_path / "out")
    written = state(tmp_path / "out")
    assert torch.equal(written[name], torch.where(kept, values[:, 1::2], 0))
    other = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(written[other], module.state_dict()[other][:20][1::2])
    assert torch.equal(apply(module, layout, plan).state_dict()[name], written[name])


def test_dropped_blocks_are_renumbered(tmp_path):
    module = tables.llama(tmp_path / "in")
    checkpoint, layout = tables.opened(tmp_path / "in")
    plan = Plan((Keep(layout.blocks[0].axis, (0, 2)),)) + tables.every(layout, "neurons", list(range(30)))
    verified = verify(checkpoint, layout, plan)
    stream(checkpoint, layout, plan, tmp_path / "out", verified=verified)
    written = state(tmp_path / "out")
    name = "model.layers.{}.mlp.up_proj.weight"
    assert torch.equal(written[name.format(1)], module.state_dict()[name.format(2)][:30])
    assert name.format(2) not in written
    assert verified.config["num_hidden_layers"] == 2
    smaller = apply(module, layout, plan)
    with torch.no_grad():
        given, wanted = smaller(tables.tokens()).logits, masked(module, layout, plan)(tables.tokens()).logits
    torch.testing.assert_close(given, wanted)
    assert reopen(tmp_path / "out", tables.tokens(), given).ok
    assert verified.after.parameters == sum(p.numel() for p in smaller.parameters())
