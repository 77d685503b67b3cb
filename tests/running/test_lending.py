"""A model is opened once and lent: the same to all, as it lies in its folder, and gone when it is released."""

import weakref

import pytest
import torch
from tests.evaluate.models import llama

from penjing.running.lending import Lender, usual_dtype
from penjing.running.stock import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("lent") / "model"
    llama().save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    place = tmp_path_factory.mktemp("half") / "model"
    llama().to(torch.bfloat16).save_pretrained(place)
    return place


def same(one, other):
    first, second = dict(one.named_parameters()), dict(other.named_parameters())
    buffers = dict(one.named_buffers()), dict(other.named_buffers())
    assert list(first) == list(second)
    assert list(buffers[0]) == list(buffers[1])
    pairs = [(first[n], second[n]) for n in first] + [(buffers[0][n], buffers[1][n]) for n in buffers[0]]
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs) and one.config.dtype == other.config.dtype


def test_a_model_is_opened_once_for_all(folder):
    with Lender() as lender:
        with lender.lend(folder) as first, lender.lend(folder) as second:
            assert first is second
        with lender.lend(folder, torch.float32) as third:
            assert third is first
        assert lender.openings == {folder: 1}


def test_what_is_released_is_gone_and_opened_again(folder):
    with Lender() as lender:
        with lender.lend(folder) as module:
            seen = weakref.ref(module)
        del module
        lender.release(folder)
        assert seen() is None
        with lender.lend(folder):
            pass
        assert lender.openings == {folder: 2}


def test_nothing_is_kept_after_the_end(folder):
    with Lender() as lender, lender.lend(folder) as module:
        seen = weakref.ref(module)
        del module
    assert seen() is None


def test_edits_that_were_put_back_cost_no_opening(folder):
    with Lender() as lender:
        with lender.lend(folder, edits=True) as module, torch.no_grad():
            before = module.lm_head.weight.clone()
            module.lm_head.weight.zero_()
            module.lm_head.weight.copy_(before)
        with lender.lend(folder) as again:
            assert again is module
        assert lender.openings == {folder: 1}


@pytest.mark.parametrize("left", ["weight", "mode", "hook"])
def test_edits_that_were_left_are_not_lent_on(folder, left):
    with Lender() as lender:
        with lender.lend(folder, edits=True) as module, torch.no_grad():
            if left == "weight":
                module.lm_head.weight[3, 2] += 1e-3
            elif left == "mode":
                module.train()
            else:
                module.lm_head.register_forward_hook(lambda *a: None)
        with lender.lend(folder) as again:
            assert same(again, load(folder))
            assert not again.training
            assert not again.lm_head._forward_hooks
        assert lender.openings == {folder: 2}


def test_an_error_within_a_loan_gives_the_model_back(folder):
    with Lender() as lender:
        with pytest.raises(ValueError, match="wrong"), lender.lend(folder, edits=True):
            raise ValueError("wrong")
        with lender.lend(folder):
            pass
        assert lender.openings == {folder: 1}


def test_nobody_edits_what_another_has(folder):
    with Lender() as lender, lender.lend(folder) as first, lender.lend(folder, edits=True) as second:
        assert second is not first
        assert lender.openings == {folder: 2}


@pytest.mark.parametrize("order", [(torch.float32, None, torch.float32), (None, torch.float32, None)])
def test_another_type_is_what_opening_gives_without_opening(half, order):
    with Lender() as lender:
        for dtype in order:
            with lender.lend(half, dtype) as module:
                assert same(module, load(half, dtype=dtype))
        assert lender.openings == {half: 1}


def test_a_type_that_loses_digits_is_not_cast_back(folder):
    with Lender() as lender:
        for dtype in (torch.bfloat16, torch.float32):
            with lender.lend(folder, dtype) as module:
                assert same(module, load(folder, dtype=dtype))
        assert lender.openings == {folder: 2}


def test_another_type_is_not_cast_under_one_who_has_the_model(half):
    with Lender() as lender, lender.lend(half) as first, lender.lend(half, torch.float32) as second:
        assert next(first.parameters()).dtype == torch.bfloat16
        assert next(second.parameters()).dtype == torch.float32


FAMILIES = {
    "GPT2LMHeadModel": {"n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 64, "n_inner": 48},
    "BertForMaskedLM": {},
    "Gemma3ForCausalLM": {"num_key_value_heads": 2, "head_dim": 8, "layer_types": ["full_attention"]},
    "T5ForConditionalGeneration": {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1, "num_heads": 4},
    "ConvNextForImageClassification": {
        "hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "image_size": 32, "patch_size": 4
    },
    "ResNetForImageClassification": {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1]},
    "MixtralForCausalLM": {"num_key_value_heads": 2, "num_local_experts": 2},
    "CLIPModel": {},
}  # fmt: skip
USUAL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 50}


@pytest.mark.parametrize("family", FAMILIES)
def test_casting_is_as_opening_for_all_families(family, tmp_path):
    import transformers

    kind = getattr(transformers, family)
    own = kind.config_class().to_dict().keys()
    if family == "CLIPModel":
        FAMILIES[family] |= {"text_config": dict(USUAL), "vision_config": {**USUAL, "image_size": 32}}
    settings = {**{k: v for k, v in USUAL.items() if k in own}, **FAMILIES[family]}
    torch.manual_seed(0)
    kind(kind.config_class(**settings)).to(torch.bfloat16).save_pretrained(tmp_path / "model")
    with Lender() as lender:
        for dtype in (torch.float32, None):
            with lender.lend(tmp_path / "model", dtype) as module:
                assert same(module, load(tmp_path / "model", dtype=dtype))


def test_the_usual_type_is_what_the_loader_takes(folder, half):
    for each in (folder, half):
        assert usual_dtype(each) == next(load(each).parameters()).dtype
