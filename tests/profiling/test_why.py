"""Where the cost of a tiny Llama goes, held to closed forms; zeros planted on purpose are found."""

import json

import pytest
import torch
from tests.profiling.roofline import machine

from penjing.core import Layout
from penjing.profiling.speed.settings import Speed
from penjing.profiling.why import explain, measure_parts
from penjing.profiling.zeros import count_zeros
from penjing.running.source import resolve

D, F, LAYERS, V, HEADS, KV = 32, 96, 4, 61, 4, 2
HEAD = D // HEADS


def llama(tied=False):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=V, hidden_size=D, intermediate_size=F, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
            num_key_value_heads=KV, max_position_embeddings=128, tie_word_embeddings=tied, bos_token_id=1,
            eos_token_id=2, initializer_range=0.2,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("why") / "dense"
    llama().save_pretrained(where)
    return where


@pytest.fixture(scope="module")
def zeroed(tmp_path_factory):
    """Half of all MLP weights are zero, and all of 24 neurons of block 1: what reads 16, and what writes 8."""
    where = tmp_path_factory.mktemp("why") / "zeroed"
    module = llama()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "mlp" in name:
                weight.mul_(torch.rand(weight.shape, generator=generator) < 0.5)
        mlp = module.model.layers[1].mlp
        mlp.down_proj.weight[:, :16] = 0
        for written in (mlp.gate_proj, mlp.up_proj):
            written.weight[40:48] = 0
    module.save_pretrained(where)
    return where, sum(int((p == 0).sum()) for p in module.parameters())


@pytest.fixture(scope="module")
def seen(folder):
    return explain(resolve(folder, weights=False), context=50, tokens=20)


def parts(found):
    return {p.part: p for p in found.parts}


def test_bytes_and_multiply_adds_are_those_of_the_closed_form(seen):
    found = parts(seen)
    attention = LAYERS * (2 * D * D + 2 * D * KV * HEAD)
    assert found["mlp"].parameters == found["mlp"].decode_macs == LAYERS * 3 * D * F
    assert found["mlp"].decode_bytes == 4 * LAYERS * 3 * D * F
    assert found["mlp"].prefill_macs == 20 * LAYERS * 3 * D * F
    assert found["attention"].decode_bytes == 4 * attention
    assert found["head"].decode_macs == V * D
    assert found["embedding"].parameters == V * D
    assert found["embedding"].decode_bytes is None
    assert found["attention scores"].decode_bytes == 50 * LAYERS * 2 * KV * HEAD * 4
    assert found["attention scores"].decode_macs == pytest.approx(LAYERS * 2 * 50 * D, rel=0.05)
    assert found["attention scores"].prefill_macs == pytest.approx(LAYERS * 2 * 20 * 20 * D, rel=0.05)
    total = sum(p.decode_bytes or 0 for p in seen.parts)
    assert seen.step_bytes == total
    assert sum(p.decode_share for p in seen.parts) == pytest.approx(1)
    assert sum(p.prefill_share for p in seen.parts) == pytest.approx(1)


def test_a_cut_gives_what_the_smaller_model_reads(seen):
    cuts = {c.kind: c for c in seen.cuts}
    gone = 4 * LAYERS * 3 * D * F / 2
    assert cuts["neurons"].what == "48 of 96 neurons in each block"
    assert cuts["neurons"].decode_ratio == pytest.approx((seen.step_bytes - gone) / seen.step_bytes)
    assert cuts["blocks"].what == "1 of 4 blocks"
    assert cuts["blocks"].state == "sensitive"
    inside = seen.step_bytes - 4 * (V * D + D)
    assert cuts["blocks"].decode_ratio == pytest.approx(1 - inside / 4 / seen.step_bytes, rel=0.01)
    heads = 4 * LAYERS * (D * D + D * KV * HEAD) + 50 * LAYERS * KV * HEAD * 4
    assert cuts["heads"].decode_ratio == pytest.approx(1 - heads / seen.step_bytes, rel=0.01)
    ratios = [c.decode_ratio for c in seen.cuts]
    assert ratios == sorted(ratios)


def test_a_config_alone_is_enough(folder, tmp_path, seen):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    bare = explain(resolve(tmp_path, weights=False), context=50, tokens=20)
    assert bare.zeros is None
    assert bare.step_bytes == seen.step_bytes
    assert [c.decode_ratio for c in bare.cuts] == [c.decode_ratio for c in seen.cuts]


def test_a_tied_head_is_one_part(tmp_path):
    llama(tied=True).save_pretrained(tmp_path / "tied")
    found = parts(explain(resolve(tmp_path / "tied", weights=False)))
    assert "embedding" not in found
    assert found["head"].parameters == found["head"].decode_macs == V * D


def test_dense_weights_have_no_zeros_and_no_idle_units(seen):
    assert seen.zeros.zeros == 0 or seen.zeros.share < 1e-3
    assert seen.zeros.units == {}
    assert seen.cut_out is None


def test_planted_zeros_are_counted_and_idle_units_found(zeroed):
    path, count = zeroed
    found = explain(resolve(path, weights=False), context=50, tokens=20)
    assert found.zeros.zeros == count
    assert found.zeros.units == {"neurons.1": 24}
    gone = 4 * 3 * D * 24
    assert found.cut_out.decode_ratio == pytest.approx((found.step_bytes - gone) / found.step_bytes)
    assert found.cut_out.parameters_ratio < 1


def naive(state, layer):
    """Neuron by neuron: does nothing read it, or does nothing write it?"""
    mlp = f"model.layers.{layer}.mlp"
    idle = 0
    for u in range(F):
        read = any(float(w) != 0 for w in state[f"{mlp}.down_proj.weight"][:, u])
        for_gate = any(float(w) != 0 for w in state[f"{mlp}.gate_proj.weight"][u])
        for_up = any(float(w) != 0 for w in state[f"{mlp}.up_proj.weight"][u])
        idle += not read or not (for_gate or for_up)
    return idle


def test_idle_units_are_those_of_a_loop(zeroed):
    from safetensors.torch import load_file

    source = resolve(zeroed[0], weights=False)
    state = load_file(zeroed[0] / "model.safetensors")
    found = count_zeros(source.weights(), source.layout).units
    assert {f"neurons.{k}": n for k in range(LAYERS) if (n := naive(state, k))} == found


def test_a_profile_gives_milliseconds_and_other_ratios(folder):
    profile = machine.profile()
    found = explain(resolve(folder, weights=False), context=50, tokens=20, profile=profile, zeros=False)
    assert all(p.decode_seconds is not None for p in found.parts if p.decode_macs)
    assert parts(found)["mlp"].bound == "calls"  # a model this small waits for calls alone
    assert {c.predicted_from for c in found.cuts} == {"this machine's profile"}
    neurons = next(c for c in found.cuts if c.kind == "neurons")
    assert neurons.decode_ratio > 0.95
    assert "held-out" in found.machine


def test_a_run_tells_the_time_of_each_part(folder, tmp_path):
    source = resolve(folder, weights=False)
    inside = measure_parts(source, tmp_path, Speed(context=16, tokens=16, dtype="float32", threads=1), timeout=120)
    assert set(inside) == {"prefill", "decode"}
    assert all(seconds >= 0 for run in inside.values() for seconds in run.values())
    found = parts(explain(source, measured=inside, zeros=False))
    for part in ("mlp", "attention", "attention scores", "head", "norm"):
        assert found[part].measured_decode_seconds > 0
        assert found[part].measured_prefill_seconds > 0


def test_it_is_plain_data(seen, zeroed):
    for found in (seen, explain(resolve(zeroed[0], weights=False))):
        assert json.loads(json.dumps(found.to_json(), allow_nan=False))["parts"]


def test_a_layout_without_products_has_no_times(folder):
    from dataclasses import replace

    source = resolve(folder, weights=False)
    layout: Layout = replace(source.layout, work=())
    found = explain(replace(source, layout=layout), zeros=False)
    assert any("no products" in note for note in found.notes)
