"""Folders as other tools write them: tied tensors twice, tensors too many or too few, configs with gaps."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import penjing
from penjing.core import Keep, Plan
from penjing.surgery import reopen

SIZES = {"hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 40}
KIND, HEAD, EMBEDDING = transformers.LlamaForCausalLM, "lm_head.weight", "model.embed_tokens.weight"
IDS = torch.arange(7)[None]
EIGHT = Plan((Keep("neurons.0", tuple(range(8))),))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENJING_CACHE", str(tmp_path / "cache"))


def saved(folder, **more):
    torch.manual_seed(0)
    model = KIND(transformers.LlamaConfig(**SIZES, **more)).eval()
    model.save_pretrained(folder)
    return model


def changed(folder, config=None, **tensors):
    path = folder / "model.safetensors"
    save_file({**load_file(path), **{k.replace("__", "."): v for k, v in tensors.items()}}, path, {"format": "pt"})
    if config:
        found = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**found, **config}))


def opened(out):
    small, told = KIND.from_pretrained(out, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["mismatched_keys"]
    return small.eval()


@pytest.mark.parametrize("added", [0.0, 0.5])
def test_a_tied_tensor_stored_twice_is_one_if_the_copies_are_equal_and_two_if_not(added, tmp_path):
    saved(tmp_path / "in", tie_word_embeddings=True)
    twin = load_file(tmp_path / "in" / "model.safetensors")[EMBEDDING].clone() + added
    changed(tmp_path / "in", lm_head__weight=twin)
    kept = tuple(range(0, 16, 2))
    penjing.apply(tmp_path / "in", Plan((Keep("neurons.0", kept),)), tmp_path / "out", reopening=False)
    small, big = opened(tmp_path / "out"), KIND.from_pretrained(tmp_path / "in").eval()
    assert small.config.tie_word_embeddings is (not added)
    assert (HEAD in load_file(tmp_path / "out" / "model.safetensors")) is bool(added)
    with torch.no_grad():
        big.model.layers[0].mlp.down_proj.weight[:, 1::2] = 0
        torch.testing.assert_close(small(IDS).logits, big(IDS).logits)


def test_tied_copies_count_once(tmp_path):
    saved(tmp_path / "in", tie_word_embeddings=True)
    before = penjing.look(tmp_path / "in").parameters
    changed(tmp_path / "in", lm_head__weight=load_file(tmp_path / "in" / "model.safetensors")[EMBEDDING].clone())
    assert penjing.look(tmp_path / "in").parameters == before


def test_a_tensor_that_the_class_does_not_know_is_told_of_and_kept(tmp_path):
    saved(tmp_path / "in")
    changed(tmp_path / "in", v_head__weight=torch.ones(1, 32))
    done = penjing.apply(tmp_path / "in", EIGHT, tmp_path / "out", reopening=False)
    assert any("v_head.weight, unknown to LlamaForCausalLM" in n for n in done.verified.notes)
    assert "v_head.weight" in load_file(tmp_path / "out" / "model.safetensors")
    assert not reopen(tmp_path / "out", IDS, None).ok
    assert reopen(tmp_path / "out", IDS, None, strangers=done.verified.strangers).ok
    assert opened(tmp_path / "out").config.intermediate_size == 8


def test_a_width_that_such_a_tensor_seems_to_read_is_not_cut(tmp_path):
    saved(tmp_path / "in")
    changed(tmp_path / "in", v_head__weight=torch.ones(1, 32))
    with pytest.raises(penjing.PenjingError, match=r"v_head.weight \[1, 32\] is not known .* 'residual'"):
        penjing.apply(
            tmp_path / "in", Plan((Keep("residual", tuple(range(16))),)), tmp_path / "out", allow_sensitive=True
        )
    assert not (tmp_path / "out").exists()


def test_a_config_that_names_no_class_is_carried_out_as_the_bare_model(tmp_path):
    saved(tmp_path / "in")
    changed(tmp_path / "in", {"architectures": None})
    done = penjing.apply(tmp_path / "in", EIGHT, tmp_path / "out", reopening=False)
    assert any("config names no class" in n for n in done.verified.notes)
    assert opened(tmp_path / "out").config.intermediate_size == 8


def test_a_width_left_to_the_default_is_written(tmp_path):
    torch.manual_seed(0)
    kind = transformers.GPT2LMHeadModel
    kind(transformers.GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=16)).save_pretrained(
        tmp_path / "in"
    )
    penjing.apply(tmp_path / "in", Plan((Keep("neurons.0", tuple(range(24))),)), tmp_path / "out", reopening=False)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["n_inner"] == 24
    penjing.apply(tmp_path / "in", Plan(), tmp_path / "same", reopening=False)
    assert not json.loads((tmp_path / "same" / "config.json").read_text()).get("n_inner")


def test_an_entry_that_published_configs_leave_out_is_written(tmp_path):
    torch.manual_seed(0)
    kind = transformers.Qwen2ForCausalLM
    sizes = {**SIZES, "hidden_size": 24, "num_attention_heads": 6, "num_key_value_heads": 2}
    kind(transformers.Qwen2Config(**sizes)).save_pretrained(tmp_path / "in")
    penjing.apply(tmp_path / "in", Plan((Keep("heads.0", (1,)),)), tmp_path / "out", reopening=False)
    small, told = kind.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not told["missing_keys"]
    assert (small.config.head_dim, small.config.num_attention_heads) == (4, 3)


def test_a_tied_tensor_may_be_kept_under_another_name_than_the_module_has_it(tmp_path):
    torch.manual_seed(0)
    kind = transformers.CamembertForCausalLM
    config = transformers.CamembertConfig(**SIZES, max_position_embeddings=20, is_decoder=True)
    kind(config).save_pretrained(tmp_path / "in")
    penjing.apply(tmp_path / "in", EIGHT, tmp_path / "out", reopening=False)
    assert kind.from_pretrained(tmp_path / "out").config.intermediate_size == 8
