"""Packed folders, opened by the loader that users have: the logits are those of the weights that codes stand for."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.exporters.gguf import families
from tests.layouts.zoo import ZOO
from tests.surgery import tables
from torch import nn

import penjing
from penjing.errors import ExportError, MissingExtraError
from penjing.exporters.formats import FORMATS
from penjing.exporters.packed import checking
from penjing.layouts.config.stock import build

IDS = torch.tensor([[5, 17, 3, 60, 41, 2, 9, 33]])
OPT = {"vocab_size": 96, "hidden_size": 64, "ffn_dim": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
       "word_embed_proj_dim": 32, "max_position_embeddings": 160}  # fmt: skip


def make(family, folder, **settings):
    if family == "opt":
        return tables.make("OPTForCausalLM", folder, **{**OPT, **settings})
    return families.make(family, folder, **settings)


def opened(folder, dtype=torch.float32):
    """As users open it, with nothing of penjing."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


def naive(weight, bits, group):
    """What a weight becomes, by numpy's way of saying it."""
    parts = weight.float().split(group or weight.shape[1], dim=1)
    out = []
    for part in parts:
        scale = (part.abs().amax(1, keepdim=True) / ((2**bits - 1) / 2)).to(weight.dtype).float()
        out.append(torch.clamp(torch.round(part / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * scale)
    return torch.cat(out, 1)


@pytest.mark.parametrize(
    ("family", "to", "bits", "group"),
    [
        ("llama", "int8", 8, None),
        ("llama", "int4:g32", 4, 32),
        ("llama_tied", "int4:g32", 4, 32),
        ("qwen2", "int8", 8, None),
        ("qwen3", "int4:g64", 4, 64),
        ("opt", "int4:g32", 4, 32),
        *(pytest.param(f, "int4:g32", 4, 32, marks=pytest.mark.nightly) for f in ("mistral", "llama_biases", "gemma3")),
    ],
)
def test_what_transformers_opens_is_what_the_codes_stand_for(family, to, bits, group, tmp_path):
    sizes = {"intermediate_size": 128} if group == 64 else {}
    make(family, tmp_path / "model", **sizes)
    done = penjing.export(tmp_path / "model", to, tmp_path / "packed")
    wanted = penjing.load(tmp_path / "model").float()
    head = wanted.get_output_embeddings()
    with torch.no_grad():
        before = wanted(input_ids=IDS).logits
        for module in wanted.modules():
            if isinstance(module, nn.Linear) and module is not head:
                module.weight.copy_(naive(module.weight, bits, group))
        logits, found = wanted(input_ids=IDS).logits, opened(tmp_path / "packed")(input_ids=IDS).logits
    # The same products in the same order; the loader multiplies codes and scales as the loop does.
    torch.testing.assert_close(found, logits, rtol=1e-5, atol=1e-6)
    assert float((found - before).abs().max()) > 1e-4 * float(before.abs().max())
    assert done.bytes == sum(p.stat().st_size for p in (tmp_path / "packed").iterdir())
    assert done.difference > 1e-4
    assert {p.name for p in tmp_path.iterdir()} == {"model", "packed"}


def test_only_linear_layers_but_the_head_are_packed(tmp_path):
    make("llama", tmp_path / "model")
    penjing.export(tmp_path / "model", "int4:g32", tmp_path / "packed")
    names = load_file(tmp_path / "packed" / "model.safetensors")
    stored = load_file(tmp_path / "model" / "model.safetensors")
    kept = {n for n in names if n in stored}
    assert {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"} <= kept
    assert not any(n.endswith("_proj.weight") for n in kept)
    assert all(torch.equal(names[n], stored[n]) for n in kept)
    told = json.loads((tmp_path / "packed" / "config.json").read_text())["quantization_config"]
    assert told["ignore"] == ["lm_head"]
    # 4 bits a weight: 64 values are 8 words.
    assert names["model.layers.0.self_attn.q_proj.weight_packed"].shape == (64, 8)
    assert names["model.layers.0.self_attn.q_proj.weight_scale"].shape == (64, 2)


def test_a_folder_in_half_precision_has_scales_in_it_and_opens_in_it(tmp_path):
    tables.make("LlamaForCausalLM", tmp_path / "model", dtype=torch.bfloat16, **families.SIZES)
    penjing.export(tmp_path / "model", "int4:g32", tmp_path / "packed")
    names = load_file(tmp_path / "packed" / "model.safetensors")
    assert names["model.layers.1.mlp.up_proj.weight_scale"].dtype == torch.bfloat16
    module = opened(tmp_path / "packed", "auto")
    assert module(input_ids=IDS).logits.dtype == torch.bfloat16


def test_any_width_is_held_in_8_bits(tmp_path):
    make("llama", tmp_path / "model", intermediate_size=37)
    assert penjing.export(tmp_path / "model", "int8", tmp_path / "packed").difference < 0.1


@pytest.mark.parametrize(
    ("sizes", "to", "said"),
    [
        ({"intermediate_size": 100}, "int4:g32",
         r"down_proj.weight has 100 values in a row, and int4:g32 holds whole groups of 32; cut to 96 "
         r"\(--multiple 32\), or export as int8"),
        ({"intermediate_size": 96}, "int4:g64",
         r"has 96 values in .* of 64; cut to 64 \(--multiple 64\), or export as int4:g32"),
        ({"intermediate_size": 192}, "int4", r"q_proj.weight has 64, .*down_proj.weight has 192 values in .* of 128; "
         "export as int4:g64 or int8"),
    ],
)  # fmt: skip
def test_rows_that_are_not_whole_groups_are_refused_with_what_would_do(sizes, to, said, tmp_path):
    make("llama", tmp_path / "model", **sizes)
    with pytest.raises(ExportError, match=said):
        penjing.export(tmp_path / "model", to, tmp_path / "packed")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("family", "said"),
    [("gpt2", "is a Conv1D"), ("mixtral", "several experts in one tensor"), ("vit", "what AutoModelForCausalLM opens")],
)
def test_what_stock_loaders_could_not_open_is_refused(family, said, tmp_path):
    build(ZOO[family].config, device="cpu").save_pretrained(tmp_path / "model")
    with pytest.raises(ExportError, match=said):
        penjing.export(tmp_path / "model", "int8", tmp_path / "packed")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_result_with_modules_in_it_is_refused(tmp_path):
    make("llama", tmp_path / "model")
    penjing.shrink(
        tmp_path / "model", tmp_path / "low", choice=penjing.Choice(method="svd", keep=0.5), measure=False,
        data=[{"input_ids": torch.arange(8)[None]}],
    )  # fmt: skip
    with pytest.raises(ExportError, match="is a module of kind 'low_rank', and packed folders are opened by stock"):
        penjing.export(tmp_path / "low", "int8", tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_a_factored_model_is_packed_through_dense_and_told_what_that_costs(tmp_path):
    make("llama", tmp_path / "model")
    penjing.shrink(tmp_path / "model", tmp_path / "chains", method="compactifai", keep=0.6, measure=False)
    with pytest.raises(ExportError) as refused:
        penjing.export(tmp_path / "chains", "int4:g32", tmp_path / "packed")
    done = penjing.dense(tmp_path / "chains", tmp_path / "dense")
    assert f"{done.parameters_after:,} numbers of {done.parameters_before:,}" in str(refused.value)
    assert not (tmp_path / "packed").exists()
    packed = penjing.export(tmp_path / "dense", "int4:g32", tmp_path / "packed")
    plain = penjing.export(tmp_path / "model", "int4:g32", tmp_path / "plain")
    weights = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("packed", "plain")]
    assert weights[0] == pytest.approx(weights[1], rel=0.01)
    assert packed.bytes > 0 < plain.bytes


@pytest.mark.parametrize("kind", ["int8", "int4:g32"])
def test_no_format_is_made_of_a_packed_folder(kind, tmp_path):
    make("llama", tmp_path / "model")
    penjing.export(tmp_path / "model", kind, tmp_path / "packed")
    for to, name in (("int4:g32", "again"), ("gguf", "a.gguf"), ("onnx", "a.onnx"), ("pt2", "a.pt2")):
        with pytest.raises(ExportError) as refused:
            penjing.export(tmp_path / "packed", to, tmp_path / name)
        said = str(refused.value)
        assert "packed is quantised (compressed-tensors, format pack-quantized" in said
        assert f"penjing export THAT_FOLDER --to {to}" in said
        assert "CompressedTensorsConfig(dequantize=True)" in said
    assert {p.name for p in tmp_path.iterdir()} == {"model", "packed"}


@pytest.mark.filterwarnings("ignore:You passed `quantization_config`")  # transformers says what the setting is for
def test_a_packed_folder_is_decoded_and_exported_as_the_refusal_says(tmp_path):
    from transformers import AutoModelForCausalLM, CompressedTensorsConfig

    make("llama", tmp_path / "model")
    penjing.export(tmp_path / "model", "int8", tmp_path / "packed")
    how = CompressedTensorsConfig(dequantize=True)
    module = AutoModelForCausalLM.from_pretrained(tmp_path / "packed", quantization_config=how)
    module.save_pretrained(tmp_path / "decoded", save_original_format=False)
    penjing.export(tmp_path / "decoded", "int8", tmp_path / "again")
    with torch.no_grad():
        before, after = (opened(tmp_path / n)(input_ids=IDS).logits for n in ("packed", "again"))
    assert float((before - after).abs().max()) < 0.05 * float(before.abs().max())


def test_without_the_package_it_is_said_what_to_install(tmp_path, monkeypatch):
    make("llama", tmp_path / "model")
    monkeypatch.setattr("penjing.exporters.packed.opened.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"penjing\[quantize\]"):
        penjing.export(tmp_path / "model", "int8", tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_a_folder_that_computes_something_else_never_bears_its_name(tmp_path, monkeypatch):
    make("llama", tmp_path / "model")
    right = checking.rounded
    monkeypatch.setattr(checking, "rounded", lambda *a, **k: right(*a, **k) * 1.1)
    with pytest.raises(ExportError, match="something else than the packed weights stand for"):
        penjing.export(tmp_path / "model", "int8", tmp_path / "packed")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_weights_that_are_no_numbers_are_refused_by_name_and_leave_nothing(tmp_path):
    make("llama", tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    stored = load_file(path)
    stored["model.layers.1.mlp.up_proj.weight"][3, 4] = float("nan")
    save_file(stored, path, {"format": "pt"})
    with pytest.raises(ExportError, match=r"layers.1.mlp.up_proj.weight: the weights hold NaN"):
        penjing.export(tmp_path / "model", "int8", tmp_path / "packed")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_lacks_a_tensor_does_not_open(tmp_path):
    make("llama", tmp_path / "model")
    penjing.export(tmp_path / "model", "int8", tmp_path / "packed")
    path = tmp_path / "packed" / "model.safetensors"
    stored = load_file(path)
    del stored["model.norm.weight"]
    save_file(stored, path, {"format": "pt"})
    with pytest.raises(ExportError, match=r"misses model.norm.weight"):
        FORMATS.load("int8").EXPORTER.open(tmp_path / "packed", context=8, threads=1)
