"""A result in another floating point type: the same cut values, rounded once, and a config that says so."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.house.tiny import tiny_model
from typer.testing import CliRunner

import penjing
from penjing.cli import app
from penjing.errors import CheckpointError
from penjing.surgery.dtypes import AsStored, config_as, stored_as

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("dtypes") / "model")


@pytest.fixture(scope="module")
def plan(model):
    return penjing.plan(model, method="l2_rows", keep=0.5)


@pytest.fixture(scope="module")
def small(model, plan, tmp_path_factory):
    out = tmp_path_factory.mktemp("dtypes") / "small"
    penjing.apply(model, plan, out, reopening=False)
    return load_file(out / "model.safetensors")


@pytest.mark.parametrize("name", ["bfloat16", pytest.param("float16", marks=pytest.mark.nightly)])
def test_the_result_is_the_cut_one_rounded_once_and_opens(name, model, plan, small, tmp_path):
    run = penjing.Run(output_dtype=name)
    done = penjing.apply(model, plan, tmp_path / "out", run=run)
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert found.keys() == small.keys()
    for key, tensor in found.items():
        assert torch.equal(tensor, small[key].to(TYPES[name]))
    assert done.verified.after.bytes == sum(t.nbytes for t in found.values())
    assert done.verified.after.kv_cache_bytes_per_token * 2 == done.verified.before.kv_cache_bytes_per_token
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == name
    assert done.reopened is not None
    assert done.reopened.ok
    assert next(penjing.load(tmp_path / "out").parameters()).dtype == TYPES[name]


def test_a_limit_of_bytes_counts_what_will_be_stored(model, tmp_path):
    limit = 40_000 * 2
    words = ["shrink", model, "-o", tmp_path / "out", "-m", "l2_rows", "--limit-bytes", limit, "--output-dtype"]
    done = CliRunner().invoke(app, [*map(str, words), "bfloat16", "--no-measure", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    stored = sum(t.nbytes for t in load_file(tmp_path / "out" / "model.safetensors").values())
    assert json.loads(done.stdout)["after"]["bytes"] == stored <= limit
    assert stored > 0.9 * limit
    again = penjing.run(tmp_path / "out" / "penjing.json", tmp_path / "again")
    assert (again.folder / "model.safetensors").read_bytes() == (tmp_path / "out" / "model.safetensors").read_bytes()


def test_weights_that_a_type_cannot_hold_are_refused_before_writing(model, plan, tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    state = load_file(model / "model.safetensors")
    name = next(n for n in state if "embed" in n)
    state[name][0, 0] = 1e5
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_bytes((model / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"above 6\.55e\+04, the most that torch.float16 holds"):
        penjing.apply(folder, plan, tmp_path / "out", run=penjing.Run(output_dtype="float16"))
    assert not (tmp_path / "out").exists()
    penjing.apply(folder, plan, tmp_path / "out", run=penjing.Run(output_dtype="bfloat16"), reopening=False)


def test_a_module_becomes_one_of_that_type():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(7, 24), torch.nn.ReLU(), torch.nn.Linear(24, 3))
    run = penjing.Run(output_dtype="bfloat16")
    done = penjing.shrink(
        net, example=torch.randn(2, 7), method="l2_rows", keep=0.5, settings={"axes": "*"}, run=run
    )
    assert {p.dtype for p in done.module.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_only_floating_point_weights_change_their_type():
    before = {"a": torch.float32, "b": torch.int64, "c": torch.bool, "d": torch.bfloat16, "e": torch.uint8}
    assert stored_as(before, torch.float16) == before | {"a": torch.float16, "d": torch.float16}
    assert stored_as(before, None) == before


def test_every_entry_of_a_config_that_names_the_type_says_the_new_one():
    config = {"torch_dtype": "float32", "text_config": {"dtype": "float32", "width": 3}, "rope": {"dtype": "x"}}
    wanted = {"torch_dtype": "bfloat16", "text_config": {"dtype": "bfloat16", "width": 3}, "rope": {"dtype": "x"}}
    assert config_as(config, torch.bfloat16) == wanted
    assert config_as({"width": 3}, torch.float16) == {"width": 3, "dtype": "float16"}


def test_a_checkpoint_is_counted_in_another_type_and_read_as_it_is(model):
    with penjing.open(model) as checkpoint:
        counted = AsStored(checkpoint, torch.bfloat16)
        name = next(iter(counted.shapes))
        assert counted.dtypes[name] == torch.bfloat16
        assert torch.equal(counted[name], checkpoint[name])
        assert counted[name].dtype == torch.float32
        assert counted.config == checkpoint.config
