"""What a folder lacks is never made up: the stock loader's random weights, and its tracebacks, become refusals."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.house.tiny import tiny_model

import penjing
from penjing.errors import CheckpointError

LOST = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("loading") / "model")


@pytest.fixture(scope="module")
def factored(model):
    plan = penjing.plan(model, method="svd", keep=0.5, progress=False)
    penjing.apply(model, plan, model.parent / "svd", reopening=False, progress=False)
    return model.parent / "svd"


@pytest.fixture
def folder(model, tmp_path):
    return shutil.copytree(model, tmp_path / "folder")


def without(folder, *names):
    file = folder / "model.safetensors"
    save_file({n: t for n, t in load_file(file).items() if n not in names}, file, {"format": "pt"})


def configured(folder, **entries):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_a_missing_tensor_is_named(folder):
    without(folder, LOST)
    with pytest.raises(CheckpointError, match=rf"lacks 1 of the tensors .*: {LOST}; get the whole"):
        penjing.load(folder)


def test_many_missing_tensors_are_counted(folder):
    configured(folder, num_hidden_layers=4, layer_types=None)
    with pytest.raises(CheckpointError, match=r"lacks 18 of .* and 15 more; get"):
        penjing.load(folder)


@pytest.mark.parametrize("record", [None, "{}"])
def test_factors_without_their_record_are_refused(factored, record, tmp_path):
    penjing.load(factored)
    folder = shutil.copytree(factored, tmp_path / "folder")
    (folder / "penjing.json").unlink()
    if record:
        (folder / "penjing.json").write_text(record)
    with pytest.raises(CheckpointError, match=r"lacks \d+ of .*no place there.*penjing\.json"):
        penjing.load(folder)


def test_a_tensor_of_another_shape_is_named_with_both(folder):
    configured(folder, intermediate_size=64)
    with pytest.raises(CheckpointError, match=r"mlp.down_proj.weight is \[32, 128\] in the file and \[32, 64\]"):
        penjing.load(folder)


def cut(path):
    path.write_bytes(path.read_bytes()[:9999])


DAMAGE = {
    "truncated": ("model.safetensors", cut, "model.safetensors is truncated"),
    "empty": ("model.safetensors", lambda p: p.write_bytes(b""), "model.safetensors is 0 bytes long"),
    "no weights": ("model.safetensors", lambda p: p.unlink(), "holds no weights"),
    "a list": ("config.json", lambda p: p.write_text("[]"), "config.json holds a list"),
    "broken": ("config.json", lambda p: p.write_text('{"a'), "config.json is not JSON at line 1"),
}


@pytest.mark.parametrize("which", DAMAGE)
def test_a_damaged_file_is_named_with_the_reason(which, folder):
    name, damage, said = DAMAGE[which]
    damage(folder / name)
    with pytest.raises(CheckpointError, match=said):
        penjing.load(folder)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"num_attention_heads": 5}, "not a multiple of the number of attention heads"),
        ({"num_attention_heads": "4"}, "expected int, got str"),
        ({"architectures": 5}, "a list of names was needed"),
        ({"architectures": ["logging"]}, "no model class 'logging'"),
        ({"architectures": ["GPT2LMHeadModel"]}, r"lacks \d+ of the tensors that GPT2LMHeadModel needs"),
    ],
)
def test_a_config_that_cannot_be_is_refused(entries, said, folder):
    configured(folder, **entries)
    with pytest.raises(CheckpointError, match=said):
        penjing.load(folder)


def test_what_stock_classes_fill_themselves_may_be_missing(folder, tmp_path):
    """The tied head, and the counters that batch norms did not have once."""
    import transformers

    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    module = penjing.load(folder)
    assert module.lm_head.weight is module.model.embed_tokens.weight
    torch.manual_seed(0)
    config = transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1], num_labels=2)
    transformers.ResNetForImageClassification(config).save_pretrained(tmp_path / "net")
    counters = [n for n in load_file(tmp_path / "net" / "model.safetensors") if n.endswith("num_batches_tracked")]
    assert counters
    without(tmp_path / "net", *counters)
    penjing.load(tmp_path / "net")
    without(tmp_path / "net", "resnet.embedder.embedder.normalization.running_mean")
    with pytest.raises(CheckpointError, match="running_mean"):
        penjing.load(tmp_path / "net")


def test_tensors_without_a_place_are_passed_over_in_a_stock_folder(folder):
    file = folder / "model.safetensors"
    save_file({**load_file(file), "more": torch.zeros(3)}, file, {"format": "pt"})
    penjing.load(folder)
