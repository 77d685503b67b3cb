import os
from pathlib import Path
from random import Random

import gguf
import numpy as np
import pytest
import torch

from penjing.errors import CheckpointError
from penjing.io import fetch_asset, open_checkpoint


def make(path: Path, *, heads: int = 6, groups: int = 3, head: int = 32, arch: str = "llama") -> dict[str, np.ndarray]:
    """A tiny model in the way llama.cpp stores it: q and k in pairs, some tensors quantised."""
    width, random = heads * head, np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(path), arch)
    for add, value in (
        (writer.add_block_count, 1), (writer.add_context_length, 64), (writer.add_embedding_length, width),
        (writer.add_feed_forward_length, 64), (writer.add_head_count, heads), (writer.add_head_count_kv, groups),
        (writer.add_layer_norm_rms_eps, 1e-5), (writer.add_rope_dimension_count, head),
    ):  # fmt: skip
        add(value)
    writer.add_token_list(["a", "b"])
    shapes = {
        "token_embd.weight": (7, width), "output_norm.weight": (width,), "blk.0.attn_norm.weight": (width,),
        "blk.0.attn_q.weight": (width, width), "blk.0.attn_k.weight": (groups * head, width),
        "blk.0.attn_v.weight": (groups * head, width), "blk.0.attn_output.weight": (width, width),
        "blk.0.ffn_norm.weight": (width,), "blk.0.ffn_gate.weight": (64, width), "blk.0.ffn_up.weight": (64, width),
        "blk.0.ffn_down.weight": (width, 64),
    }  # fmt: skip
    held = {name: random.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    for name, value in held.items():
        stored = value
        if arch == "llama" and name.split(".")[-2] in ("attn_q", "attn_k"):
            count = heads if "attn_q" in name else groups
            rows = [value[h * head + j * head // 2 + i] for h in range(count) for i in range(head // 2) for j in (0, 1)]
            stored = np.stack(rows)
        if name.endswith("ffn_up.weight"):
            raw = gguf.quants.quantize(stored, gguf.GGMLQuantizationType.Q8_0)
            held[name] = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, raw, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


@pytest.mark.parametrize("arch", ["llama", "qwen2"])
def test_tensors_come_back_under_the_names_and_in_the_order_of_transformers(arch: str, tmp_path: Path) -> None:
    held = make(tmp_path / "m.gguf", arch=arch)
    opened = open_checkpoint(tmp_path / "m.gguf")
    block = "model.layers.0."
    for stored, name in {
        "token_embd": "model.embed_tokens", "blk.0.attn_q": block + "self_attn.q_proj",
        "blk.0.attn_k": block + "self_attn.k_proj", "blk.0.ffn_up": block + "mlp.up_proj",
        "blk.0.ffn_norm": block + "post_attention_layernorm",
    }.items():  # fmt: skip
        assert torch.equal(opened[f"{name}.weight"], torch.from_numpy(held[f"{stored}.weight"])), name
    assert opened.config["tie_word_embeddings"] is True
    assert opened.config["rms_norm_eps"] == 1e-5
    assert "Q8_0" in opened.notes[0]
    assert opened.span("model.norm.weight")
    assert opened.span(block + "mlp.up_proj.weight") is None


def test_other_architectures_are_refused_with_those_that_can_be_opened(tmp_path: Path) -> None:
    make(tmp_path / "m.gguf", arch="mamba")
    with pytest.raises(CheckpointError, match="'mamba'; llama, qwen2, qwen3 can be opened"):
        open_checkpoint(tmp_path / "m.gguf")


def test_truncated_anywhere_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "m.gguf")
    whole = (tmp_path / "m.gguf").read_bytes()
    random = Random(0)
    for cut in [0, 3, 4, 8, 20, len(whole) - 64, *(random.randrange(2000) for _ in range(60))]:
        (tmp_path / "cut.gguf").write_bytes(whole[:cut])
        with pytest.raises(CheckpointError, match=r"cut\.gguf"):
            open_checkpoint(tmp_path / "cut.gguf")


def test_flipped_bits_in_the_header_raise_nothing_but_checkpoint_errors(tmp_path: Path) -> None:
    make(tmp_path / "m.gguf")
    whole = (tmp_path / "m.gguf").read_bytes()
    random = Random(1)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        data[random.randrange(1300)] ^= 1 << random.randrange(8)
        (tmp_path / "bad.gguf").write_bytes(data)
        try:
            open_checkpoint(tmp_path / "bad.gguf")
        except CheckpointError:
            refused += 1
    assert refused > 100


@pytest.mark.nightly
def test_the_real_file_gives_the_logits_of_transformers_own_path() -> None:
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    try:
        path = fetch_asset("smollm2")
    except CheckpointError as error:
        pytest.skip(str(error))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    opened = open_checkpoint(path)
    ours = LlamaForCausalLM(LlamaConfig(**opened.config)).eval()
    ours.load_state_dict({n: opened[n] for n in opened.shapes}, strict=False)
    theirs = AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32).eval()
    tokens = torch.tensor([[504, 3575, 282, 4649, 314]])
    with torch.no_grad():
        assert torch.equal(ours(tokens).logits, theirs(tokens).logits)
    assert sum(t.numel() for t in ours.parameters()) == 134_515_008
