"""ONNX files compute in onnxruntime what the model does, with and without a cache."""

import numpy as np
import onnxruntime
import pytest
import torch
from tests.exporters.gguf import families
from tests.layouts.zoo import ZOO
from tests.surgery import tables

import penjing
from penjing.core import Keep, Plan, Replace, Spec
from penjing.errors import ExportError, MissingExtraError
from penjing.exporters.formats import onnx
from penjing.exporters.onnx_cache import kept
from penjing.layouts.config.stock import build
from penjing.surgery import stream, verify


def written(folder, out, prompt, count):
    """Tokens that the file writes by itself: the prompt at once, then one by one with what it gave of its cache."""
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    past = {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), np.float32) for i in session.get_inputs()[3:]}
    given, tokens, done = prompt, [], 0
    for _ in range(count):
        length = given.shape[1]
        whole = {"input_ids": given, "attention_mask": np.ones((1, done + length), np.int64),
                 "position_ids": np.arange(done, done + length)[None]}  # fmt: skip
        found = session.run(None, {**whole, **past})
        past = dict(zip(past, found[1:], strict=True))
        done += length
        tokens.append(int(found[0][0, -1].argmax()))
        given = np.array([tokens[-1:]])
    return tokens


@pytest.mark.nightly  # recording the graph of a decoder with its cache takes more than ten seconds
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_one_graph_reads_a_prompt_and_writes_token_by_token(family, tmp_path):
    module = families.make(family, tmp_path / "model")
    done = penjing.export(tmp_path / "model", "onnx", tmp_path / "m.onnx")
    assert done.notes == ("at 96 of 96 places the likeliest token is the model's, with the cache",)
    prompt = torch.tensor([[5, 17, 3, 80, 41]])
    tokens = module.generate(prompt, max_new_tokens=16, do_sample=False, pad_token_id=0, eos_token_id=None)
    assert written(tmp_path / "model", done.path, prompt.numpy(), 16) == tokens[0, 5:].tolist()


@pytest.mark.nightly  # the same path with layers that differ
def test_layers_that_differ_and_a_first_attention_left_out_are_the_same_there(tmp_path):
    tables.llama(tmp_path / "model")
    checkpoint, layout = tables.opened(tmp_path / "model")
    plan = Plan((Replace("model.layers.0.self_attn", Spec("nothing")), Keep("neurons.1", tuple(range(11)))))
    told = verify(checkpoint, layout, plan, by_layer=True)
    folder = stream(checkpoint, layout, plan, tmp_path / "cut", verified=told)
    done = penjing.export(folder, "onnx", tmp_path / "m.onnx")
    assert done.difference < 1e-5
    ids = torch.tensor([[5, 17, 3, 8, 41]])
    more = {"max_new_tokens": 16, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    tokens = penjing.load(folder).generate(ids, **more)
    assert written(folder, done.path, ids.numpy(), 16) == tokens[0, 5:].tolist()


@pytest.mark.parametrize("kind", ["vit", pytest.param("bert", marks=pytest.mark.nightly)])
def test_what_has_no_cache_goes_in_whole_and_int8_tells_its_loss(kind, tmp_path):
    build(ZOO[kind].config, device="cpu").save_pretrained(tmp_path / kind)
    done = penjing.export(tmp_path / kind, "onnx:int8", tmp_path / "m.onnx")
    assert 0 < done.difference < 0.1
    assert "told, not held to a tolerance" in done.notes[0]
    assert {p.name for p in tmp_path.iterdir()} == {kind, "m.onnx"}


def test_other_weights_are_refused(tmp_path, monkeypatch):
    build(ZOO["vit"].config, device="cpu").save_pretrained(tmp_path / "vit")
    right = onnx.write

    def wrong(module, inputs, path):
        kept = {n: p.detach().clone() for n, p in module.named_parameters()}
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.mul_(0.5)
            right(module, inputs, path)
            for name, parameter in module.named_parameters():
                parameter.copy_(kept[name])

    monkeypatch.setattr(onnx, "write", wrong)
    with pytest.raises(ExportError, match="something else"):
        penjing.export(tmp_path / "vit", "onnx", tmp_path / "m.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["vit"]


def test_what_is_too_large_or_not_installed_is_refused(tmp_path, monkeypatch):
    build(ZOO["vit"].config, device="cpu").save_pretrained(tmp_path / "vit")
    monkeypatch.setattr(onnx, "MOST", 1000)
    with pytest.raises(ExportError, match=r"one ONNX file holds 1,000; export as gguf or pt2"):
        penjing.export(tmp_path / "vit", "onnx", tmp_path / "m.onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"penjing\[onnx\]"):
        penjing.export(tmp_path / "vit", "onnx", tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("kind", "sizes", "said"),
    [
        ("mamba", {}, "no cache of keys and values; export as pt2"),
        ("gpt2", {"n_positions": 12}, "the model has 12 positions, and a file with a cache is tried on 16"),
        ("llama", {"max_position_embeddings": 15}, "the model has 15 positions"),
    ],
)
def test_a_cache_that_no_file_holds_is_refused_of_the_config_alone(kind, sizes, said):
    config = ZOO[kind].config | sizes
    shapes = {name: tuple(t.shape) for name, t in build(config).state_dict().items()}
    with pytest.raises(ExportError, match=said):
        onnx.EXPORTER.refuse(config, shapes, "f32")
    onnx.EXPORTER.refuse(ZOO["llama"].config, shapes, "f32")


def test_a_cache_is_told_without_weights_as_with_them():
    config = ZOO["qwen2"].config
    assert kept(build(config)) == kept(build(config, device="cpu"))
    assert kept(build(config)) == [(2, 8)] * 2 * config["num_hidden_layers"]
