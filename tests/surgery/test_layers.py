"""Layers of different widths: refused where stock loaders must open the result, and else built by penjing.load."""

import json
import shutil

import pytest
import torch
import transformers
from tests.surgery import tables

import penjing
from penjing.core import Keep, Plan, Replace, Spec
from penjing.errors import CheckpointError, PlanError
from penjing.io import open_checkpoint
from penjing.layouts import costs, from_config
from penjing.surgery import apply, masked, reopen, stream, verify

WIDTHS = {0: 20, 1: 20, 2: 30}
PLAN = Plan((
    *(Keep(f"neurons.{k}", tuple(range(k, k + n))) for k, n in WIDTHS.items()), Keep("heads.1", (0, 2)),
))  # fmt: skip
LAYERS = {
    "0": {"intermediate_size": 20},
    "1": {"intermediate_size": 20, "num_attention_heads": 4, "num_key_value_heads": 2},
    "2": {"intermediate_size": 30},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def llama(whole):
    return tables.llama(whole)


@pytest.fixture(scope="module")
def result(llama, whole, tmp_path_factory):
    checkpoint, layout = tables.opened(whole)
    told = verify(checkpoint, layout, PLAN, by_layer=True)
    return stream(checkpoint, layout, PLAN, tmp_path_factory.mktemp("result") / "out", verified=told), told, layout


def logits(module):
    with torch.no_grad():
        return module(tables.tokens()).logits


def test_without_asking_they_are_refused_and_the_option_is_named(llama, whole):
    checkpoint, layout = tables.opened(whole)
    with pytest.raises(PlanError, match="--opens-with penjing"):
        verify(checkpoint, layout, PLAN)
    with pytest.raises(PlanError, match="opens_with='penjing'"):
        penjing.apply(llama, PLAN, example={"input_ids": tables.tokens()})


def test_the_folder_holds_them_and_equals_the_mask(llama, result):
    out, told, layout = result
    opened = penjing.load(out)
    assert json.loads((out / "config.json").read_text())["per_layer_config"] == LAYERS
    assert json.loads((out / "penjing.json").read_text())["layers"] == LAYERS
    assert {k: opened.model.layers[k].mlp.up_proj.out_features for k in WIDTHS} == WIDTHS
    torch.testing.assert_close(logits(opened), logits(masked(llama, layout, PLAN)), rtol=1e-5, atol=1e-6)
    in_memory = apply(llama, layout, PLAN, verified=told)
    assert torch.equal(logits(opened), logits(in_memory))
    settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    assert torch.equal(opened.generate(tables.tokens(), **settings), in_memory.generate(tables.tokens(), **settings))


def test_costs_told_are_those_of_the_folder(result):
    out, told, _ = result
    with open_checkpoint(out) as checkpoint:
        derived = from_config(checkpoint.config, stored=checkpoint.shapes)
    assert told.after.macs == costs.macs(derived)
    assert told.after.parameters == sum(p.numel() for p in penjing.load(out).parameters())
    assert told.opens_with == "penjing"


def test_stock_code_refuses_the_folder_rather_than_opening_something_else(result):
    with pytest.raises(Exception, match="per-layer attribute"):
        transformers.AutoModelForCausalLM.from_pretrained(result[0])


@pytest.mark.slow  # a process of its own
def test_a_fresh_process_opens_it(llama, result):
    out, told, layout = result
    found = reopen(out, tables.tokens(), logits(apply(llama, layout, PLAN, verified=told)))
    assert found.ok
    assert found.loader == "penjing.load"


def test_it_is_cut_on_with_blocks_dropped_and_a_sublayer_left_out(result, tmp_path):
    out, _, _ = result
    with open_checkpoint(out) as checkpoint:
        layout = from_config(checkpoint.config, stored=checkpoint.shapes)
        more = Plan((
            *(Keep(f"neurons.{k}", tuple(range(9 + k))) for k in WIDTHS), Keep("blocks", (0, 2)),
            Replace("model.layers.2.self_attn", Spec("nothing")),
        ))  # fmt: skip
        told = verify(checkpoint, layout, more)
        again = penjing.load(stream(checkpoint, layout, more, tmp_path / "again", verified=told))
    assert told.config["penjing_layers"] == {"0": {"intermediate_size": 9}, "1": {"intermediate_size": 11}}
    reference = masked(penjing.load(out), layout, more)
    torch.testing.assert_close(logits(again), logits(reference), rtol=1e-5, atol=1e-6)


CHANGES = {
    "a width": (lambda t: t["layers"]["0"].update(intermediate_size=24), "digest of its 'layers'"),
    "a text": (lambda t: t["layers"]["0"].update(intermediate_size="x"), "its entries were needed"),
    "a number": (lambda t: t["layers"].update({"x": {}}), "the number of a layer"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_record_changed_by_hand_is_refused(case, result, tmp_path):
    change, said = CHANGES[case]
    shutil.copytree(result[0], tmp_path / "copy")
    path = tmp_path / "copy/penjing.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match=said):
        penjing.load(tmp_path / "copy")


def test_a_width_that_is_outside_the_layers_is_refused(whole):
    from penjing.layouts import build

    checkpoint, _ = tables.opened(whole)
    with pytest.raises(CheckpointError, match=r"which changes model\.embed_tokens\.weight too"):
        build({**checkpoint.config, "penjing_layers": {"1": {"hidden_size": 12}}})


def test_an_entry_that_is_left_open_is_written_out_for_each_layer(tmp_path):
    settings = {"vocab_size": 61, "n_embd": 24, "n_head": 3, "n_layer": 2, "n_positions": 32, "n_inner": None}
    module = tables.make("GPT2LMHeadModel", tmp_path / "in", **settings)
    checkpoint, layout = tables.opened(tmp_path / "in")
    plan = Plan((Keep("neurons.0", tuple(range(64))),))
    told = verify(checkpoint, layout, plan, by_layer=True)
    out = stream(checkpoint, layout, plan, tmp_path / "out", verified=told)
    opened = penjing.load(out)
    assert opened.transformer.h[0].mlp.c_fc.weight.shape == (24, 64)
    assert opened.transformer.h[1].mlp.c_fc.weight.shape == (24, 96)
    torch.testing.assert_close(logits(opened), logits(masked(module, layout, plan)), rtol=1e-5, atol=1e-5)
