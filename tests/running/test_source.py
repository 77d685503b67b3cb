"""A folder that penjing reads and stock code does not is converted before anything is asked of stock code."""

import json
from pathlib import Path

import pytest
import transformers

import penjing

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 99}


def otherwise_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")


def without_metadata(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": json.loads(index.read_text())["weight_map"]}))


@pytest.mark.parametrize(("shards", "spoil"), [("1GB", otherwise_named), ("20KB", without_metadata)])
def test_what_stock_code_does_not_open_comes_out_so_that_it_does(shards, spoil, tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    kind = transformers.LlamaForCausalLM
    kind(transformers.LlamaConfig(**SIZES)).save_pretrained(tmp_path / "model", max_shard_size=shards)
    spoil(tmp_path / "model")
    plan = penjing.plan(tmp_path / "model", method="magnitude", keep=0.5)
    penjing.apply(tmp_path / "model", plan, tmp_path / "out")
    small, told = kind.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not told["missing_keys"]
    assert small.config.intermediate_size == 24
