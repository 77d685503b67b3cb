"""Codes are told from weights, by the config or by their names and types; weights are not taken for codes."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from penjing.errors import CheckpointError
from penjing.io import quantisation, refuse_quantised

FP8, I8, U8, I32, F32 = torch.float8_e4m3fn, torch.int8, torch.uint8, torch.int32, torch.float32


def checkpoint(config: dict[str, Any], **dtypes: torch.dtype) -> Any:
    return SimpleNamespace(config=config, dtypes={k.replace("__", "."): v for k, v in dtypes.items()})


@pytest.mark.parametrize(
    ("dtypes", "found"),
    [
        ({"up__weight": FP8, "up__weight_scale_inv": F32}, "up.weight is float8_e4m3fn beside up.weight_scale_inv"),
        ({"up__qweight": I32, "up__qzeros": I32, "up__scales": F32, "up__g_idx": I32}, "up.qweight is int32 beside"),
        ({"up__weight": U8, "up__weight__absmax": F32}, "up.weight is uint8 beside up.weight.absmax"),
        ({"up__weight": I8, "up__SCB": F32}, "up.weight is int8 beside up.SCB"),
        ({"up__weight_packed": I32, "up__weight_scale": F32}, "up.weight_packed is int32 beside up.weight_scale"),
        ({"experts__up_blocks": U8, "experts__up_scales": U8}, "experts.up_blocks is uint8 beside experts.up_scales"),
        ({"up__weight___data": I8, "up__weight___scale": F32}, "up.weight._data is int8 beside up.weight._scale"),
    ],
)
def test_codes_are_known_by_what_decodes_them(dtypes: dict[str, torch.dtype], found: str) -> None:
    told = quantisation(checkpoint({}, **{"norm__weight": F32, **dtypes}))
    assert told.startswith(found)
    with pytest.raises(CheckpointError, match="dequantise it first"):
        refuse_quantised(checkpoint({}, **dtypes), "m")


@pytest.mark.parametrize(
    "dtypes",
    [
        {"up__weight": FP8, "up__bias": F32},  # numbers of a narrow type that stand for themselves
        {"attn__relative_position_index": torch.int64, "attn__logit_scale": F32},
        {"attn__bias": torch.bool, "attn__scale": F32},
        {"layer__weight": F32, "layer__weight_scale": F32},
    ],
)
def test_weights_are_no_codes(dtypes: dict[str, torch.dtype]) -> None:
    assert quantisation(checkpoint({}, **dtypes)) == ""


def test_the_config_names_the_quantisation_and_its_facts() -> None:
    told = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    model = checkpoint({"text_config": {"quantization_config": told}}, up__weight=FP8, up__weight_scale_inv=F32)
    with pytest.raises(CheckpointError, match=r"m is quantised \(fp8, blocks of 128 x 128; up\.weight is.*FineGrained"):
        refuse_quantised(model, "m")


def test_an_entry_that_outlived_the_codes_is_told_of() -> None:
    with pytest.raises(CheckpointError, match=r"gptq, bits 4; though no tensor .* take the entry out"):
        refuse_quantised(checkpoint({"quantization_config": {"quant_method": "gptq", "bits": 4}}, a=F32), "m")
