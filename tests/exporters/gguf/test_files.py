"""A folder as a GGUF file: what llama.cpp computes from it is what transformers computes from the folder."""

import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize, quantize
from tests.exporters.gguf import families

import penjing
from penjing.core import Keep, Plan, Replace, Spec
from penjing.errors import ExportError
from penjing.exporters.gguf.types import TYPES
from penjing.exporters.llama.model import LlamaModel
from penjing.io import open_checkpoint
from penjing.layouts import from_config
from penjing.surgery import stream, verify

QUICK = ("llama", "gemma3")
PROMPT = [5, 17, 3, 80, 41, 2, 9, 33]


@pytest.mark.parametrize(
    "family", [f if f in QUICK else pytest.param(f, marks=pytest.mark.nightly) for f in families.FAMILIES]
)
def test_logits_and_tokens_are_those_of_transformers(family, tmp_path):
    module = families.make(family, tmp_path / "model")
    done = penjing.export(tmp_path / "model", "gguf", tmp_path / "m.gguf")
    assert done.notes[0] == "192 of 192 tokens written one after another are the model's"
    ids = torch.tensor([PROMPT])
    with torch.no_grad():
        wanted = module(ids).logits[0]
    tokens = module.generate(ids, max_new_tokens=64, do_sample=False, pad_token_id=0, eos_token_id=None)
    with LlamaModel(done.path, context=96) as model:
        found = model.logits(PROMPT)
        assert model.greedy(PROMPT, 64) == tokens[0, len(PROMPT) :].tolist()
    gelu = family.startswith(("gemma", "gpt2"))  # which ggml looks up in a table of half precision
    assert float((found - wanted).abs().max() / wanted.abs().max()) < (2e-3 if gelu else 1e-5)


@pytest.mark.parametrize("kind", ["q8_0", "q4_0", "q5_1", "bf16", "f16"])
def test_the_numbers_are_those_of_the_package_gguf(kind, tmp_path):
    module = families.make("llama", tmp_path / "model")
    done = penjing.export(tmp_path / "model", f"gguf:{kind}", tmp_path / "m.gguf")
    file = GGUFReader(done.path)
    tensors = {t.name: t for t in file.tensors}
    down = tensors["blk.1.ffn_down.weight"]
    weight = module.model.layers[1].mlp.down_proj.weight.detach()
    number = GGMLQuantizationType[kind.upper()]
    assert down.tensor_type == number
    if kind == "f16":
        assert torch.equal(torch.from_numpy(down.data.copy()), weight.half())
    elif kind == "q8_0":
        assert (down.data == quantize(weight.numpy(), number)).all()
    else:
        wanted = dequantize(quantize(weight.numpy(), number), number)
        # At ties ggml and the package may round to other neighbours.
        assert (dequantize(down.data, number) - wanted).__abs__().max() < 0.1
        assert (dequantize(down.data, number) == wanted).mean() > 0.9
    assert tensors["output_norm.weight"].tensor_type == GGMLQuantizationType.F32
    ends = TYPES[kind].ends or kind
    assert tensors["token_embd.weight"].tensor_type == GGMLQuantizationType[ends.upper()]


def test_what_it_wrote_it_reads_back(tmp_path):
    families.make("llama_tied", tmp_path / "model")
    done = penjing.export(tmp_path / "model", "gguf", tmp_path / "m.gguf")
    with open_checkpoint(done.path) as back, open_checkpoint(tmp_path / "model") as whole:
        assert set(back.shapes) == set(whole.shapes)
        assert all(torch.equal(back[name], whole[name]) for name in whole.shapes)


def cut(folder, plan, out, **more):
    with open_checkpoint(folder) as checkpoint:
        layout = from_config(checkpoint.config, stored=checkpoint.shapes)
        told = verify(checkpoint, layout, plan, **more)
        return stream(checkpoint, layout, plan, out, verified=told)


def out(*paths):
    return tuple(Replace(f"model.layers.{p}", Spec("nothing")) for p in paths)


UNEVEN = {"llama": "deci", "llama_biases": "deci", "mistral": "deci", "qwen2": "deci", "qwen3": "openelm"}


@pytest.mark.parametrize(
    ("family", "edits"),
    [
        ("llama", (*out("0.self_attn", "1.mlp", "2.self_attn", "2.mlp"), Keep("neurons.3", tuple(range(37))))),
        pytest.param("llama", out("0.self_attn", "0.mlp", "3.self_attn"), marks=pytest.mark.nightly),
        pytest.param("llama_biases", (*out("1.mlp"), Keep("heads.2", (1,))), marks=pytest.mark.nightly),
        ("qwen2", (*out("1.self_attn"), Keep("neurons.0", tuple(range(5, 70))))),
        pytest.param("mistral", (Keep("heads.1", (1,)), Keep("neurons.0", (3, 5))), marks=pytest.mark.nightly),
        pytest.param("qwen3", (Keep("heads.1", (1,)), Keep("neurons.3", tuple(range(37)))), marks=pytest.mark.nightly),
        ("qwen3", (*out("0.self_attn", "1.mlp", "2.self_attn", "2.mlp"), Keep("neurons.3", tuple(range(37))))),
    ],
)
def test_layers_of_different_widths_and_sublayers_left_out_are_the_same_there(family, edits, tmp_path):
    families.make(family, tmp_path / "model", num_hidden_layers=4, tie_word_embeddings=family == "qwen3")
    folder = cut(tmp_path / "model", Plan(edits), tmp_path / "cut", by_layer=True)
    done = penjing.export(folder, "gguf:f32", tmp_path / "m.gguf")
    assert done.notes[0].startswith("192 of 192")
    assert done.difference < 1e-5
    assert GGUFReader(done.path).fields["general.architecture"].contents() == UNEVEN[family]


@pytest.mark.parametrize(
    ("family", "settings", "to", "said"),
    [
        ("llama", {"intermediate_size": 20}, "q8_0", r"have 20 values, and q8_0 holds blocks of 32; export as f16"),
        ("llama", {"intermediate_size": 37}, "q8_0", r"down_proj.weight have 37 values, and q8_0 holds blocks of 32"),
        ("llama", {"hidden_size": 80}, "q4_k_m", r"have 80 values, and q4_k_m holds blocks of 32; cut to 64"),
        ("llama", {}, "q4_k", r"did you mean 'q4_k_[sm]'"),
        ("llama", {"hidden_act": "gelu"}, "f32", "the activation is 'gelu'"),
        ("gemma2", {"query_pre_attn_scalar": 8}, "f32", "scaled for 8 values, heads have 32"),
        ("gemma2", {"layer_types": ["full_attention"] * 2}, "f32", "layer 0 has full_attention"),
        ("gpt2", {"activation_function": "relu"}, "f32", "llama.cpp's 'gpt2' has gelu_new"),
        ("llama", {}, "q7", "names the type 'q7'"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "f32", "'dynamic'"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_before_the_model_is_opened(
    family, settings, to, said, tmp_path, monkeypatch
):
    families.make(family, tmp_path / "model", **settings)

    def opened(*args, **more):
        raise AssertionError("the model was opened")

    monkeypatch.setattr("penjing.running.stock.load", opened)
    with pytest.raises(ExportError, match=said):
        penjing.export(tmp_path / "model", f"gguf:{to}", tmp_path / "m.gguf")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_layers_that_differ_where_the_architecture_holds_one_width_are_refused(tmp_path):
    families.make("gemma", tmp_path / "model")
    folder = cut(tmp_path / "model", Plan((Keep("neurons.1", tuple(range(32))),)), tmp_path / "cut", by_layer=True)
    with pytest.raises(ExportError, match=r"layer 1 has .* and 32 neurons.*'gemma' holds one width"):
        penjing.export(folder, "gguf", tmp_path / "m.gguf")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tie_word_embeddings": False}, "an output of its own beside the embedding"),
        pytest.param(
            {"tie_word_embeddings": True, "attention_bias": True},
            r"biases \(blk.0.attn_q.bias\)",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_layers_that_differ_are_refused_where_the_architecture_for_them_lacks_a_part(settings, said, tmp_path):
    families.make("qwen3", tmp_path / "model", **settings)
    folder = cut(tmp_path / "model", Plan((Keep("neurons.1", tuple(range(32))),)), tmp_path / "cut", by_layer=True)
    with pytest.raises(ExportError, match=f"'openelm' alone, and the model has {said}"):
        penjing.export(folder, "gguf", tmp_path / "m.gguf")


@pytest.mark.nightly
def test_layers_that_differ_and_parts_stored_as_one_matrix_take_fewer_bits(tmp_path):
    families.make("qwen3", tmp_path / "model", tie_word_embeddings=True)
    folder = cut(tmp_path / "model", Plan((Keep("neurons.1", tuple(range(64))),)), tmp_path / "cut", by_layer=True)
    done = penjing.export(folder, "gguf:q8_0", tmp_path / "m.gguf")
    types = {t.name: t.tensor_type for t in GGUFReader(done.path).tensors}
    assert types["blk.1.attn_qkv.weight"] == GGMLQuantizationType.Q8_0
    assert "blk.1.attn_q.weight" not in types


def test_other_weights_than_the_models_never_bear_the_name(tmp_path, monkeypatch):
    families.make("llama", tmp_path / "model")
    monkeypatch.setattr("penjing.exporters.gguf.decoder.paired", lambda heads: lambda values: values)
    with pytest.raises(ExportError, match=r"something else|other text"):
        penjing.export(tmp_path / "model", "gguf", tmp_path / "m.gguf")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_model_of_no_known_architecture_is_refused(tmp_path):
    from tests.layouts.zoo import ZOO

    from penjing.layouts.config.stock import build

    build(ZOO["vit"].config, device="cpu").save_pretrained(tmp_path / "vit")
    with pytest.raises(ExportError, match="a GGUF file of 'vit' is not known; known are gemma"):
        penjing.export(tmp_path / "vit", "gguf", tmp_path / "m.gguf")
