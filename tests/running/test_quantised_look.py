"""A model whose weights lie as codes under other names is told from one whose files lack tensors, also in looking."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.layouts.zoo import ZOO

import penjing
from penjing.errors import CheckpointError
from penjing.layouts.config.stock import build


@pytest.fixture
def coded(tmp_path, monkeypatch):
    """A folder with codes and scales in the place of projections, as GPTQ leaves them."""
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    build(ZOO["llama"].config, device="cpu").save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    for name in [n for n in tensors if "proj" in n]:
        rows, columns = tensors.pop(name).shape
        tensors[name.replace("weight", "qweight")] = torch.zeros(columns // 8, rows, dtype=torch.int32)
        tensors[name.replace("weight", "scales")] = torch.ones(1, rows)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("step", [penjing.layout, penjing.look, penjing.profile, penjing.plan])
def test_the_quantisation_is_named(coded, step):
    with pytest.raises(CheckpointError, match=r"gptq, bits 4.*dequantise it first"):
        step(coded)


def test_files_that_lack_tensors_without_codes_are_still_said_to(coded):
    (coded / "model.safetensors").unlink()
    save_file({"lm_head.weight": torch.zeros(99, 32)}, coded / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((coded / "config.json").read_text())
    del config["quantization_config"]
    (coded / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="the files lack"):
        penjing.layout(coded)
