"""Stock models are built from configs alone, on `meta`, and what is unknown is named."""

import pytest
import torch
from tests.layouts.zoo import ZOO

from penjing.errors import CheckpointError, LayoutError
from penjing.layouts.config.stock import build, full_config
from penjing.layouts.graph.inputs import example


def test_the_class_that_the_config_names_is_built_without_weights():
    module = build(ZOO["llama"].config)
    assert type(module).__name__ == "LlamaForCausalLM"
    assert {p.device.type for p in module.parameters()} == {"meta"}
    assert not module.training


def test_without_architectures_the_bare_model_is_built():
    config = {k: v for k, v in ZOO["bert"].config.items() if k != "architectures"}
    assert type(build(config)).__name__ == "BertModel"


def test_experts_are_computed_in_one_batch():
    assert build(ZOO["mixtral"].config).config._experts_implementation == "batched_mm"


def test_an_unknown_type_names_the_nearest():
    with pytest.raises(CheckpointError, match="no model type 'lama'; did you mean 'llama'"):
        build({"model_type": "lama"})


def test_a_missing_type_is_told():
    with pytest.raises(CheckpointError, match="no 'model_type'"):
        build({"hidden_size": 8})


def test_an_unknown_class_names_the_nearest():
    with pytest.raises(CheckpointError, match="no class 'LlamaForCausalLN'; did you mean 'LlamaForCausalLM'"):
        build({**ZOO["llama"].config, "architectures": ["LlamaForCausalLN"]})


def test_a_config_that_stock_code_refuses_is_told_why():
    with pytest.raises(CheckpointError, match="not a multiple of the number of attention heads"):
        build({**ZOO["llama"].config, "num_attention_heads": 5})


def test_defaults_are_written_out_and_what_was_given_stays():
    full = full_config(ZOO["llama"].config)
    assert full["intermediate_size"] == 44
    assert full["head_dim"] == 8
    assert full["architectures"] == ["LlamaForCausalLM"]


@pytest.mark.parametrize("name", ["llama", "t5", "clip", "vit", "whisper", "wav2vec2", "patchtst"])
def test_the_example_runs_on_the_model(name):
    module = build(ZOO[name].config, device="cpu")
    with torch.no_grad():
        out = module(**example(module, device="cpu"))
    assert out is not None


def test_a_model_without_a_known_input_says_which_are_known():
    module = build(ZOO["llama"].config)
    type(module).main_input_name, before = "input_smells", type(module).main_input_name
    try:
        with pytest.raises(LayoutError, match=r"starts from 'input_smells'.*input_ids"):
            example(module)
    finally:
        type(module).main_input_name = before
