"""A module of transformers in memory has the config entries of its config."""

import torch
import transformers

import penjing
from penjing.running.of_module import layout_of

CONFIG = transformers.LlamaConfig(
    hidden_size=32, intermediate_size=16, num_hidden_layers=1, num_attention_heads=4, vocab_size=40
)


def test_a_stock_module_needs_no_example_and_has_entries():
    module = transformers.LlamaForCausalLM(CONFIG)
    assert layout_of(module, None).axes["neurons.0"].entries == ("intermediate_size",)
    assert layout_of(module, {"input_ids": torch.arange(5)[None]}).axes["neurons.0"].entries == ("intermediate_size",)


def test_one_that_is_no_longer_what_its_config_says_is_traced():
    module = transformers.LlamaForCausalLM(CONFIG)
    mlp = module.model.layers[0].mlp
    mlp.gate_proj, mlp.up_proj = torch.nn.Linear(32, 12, bias=False), torch.nn.Linear(32, 12, bias=False)
    mlp.down_proj = torch.nn.Linear(12, 32, bias=False)
    axis = layout_of(module, {"input_ids": torch.arange(5)[None]}).axes["neurons.0"]
    assert (axis.size, axis.entries) == (12, ())


def test_shrink_of_a_stock_module_takes_the_usual_axes():
    done = penjing.shrink(transformers.LlamaForCausalLM(CONFIG), method="magnitude", keep=0.5, measure=False)
    assert done.module.model.layers[0].mlp.up_proj.out_features == 8
