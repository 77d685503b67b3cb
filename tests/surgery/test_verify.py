"""Refusals come before anything is written."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.surgery import tables

from penjing.core import Keep, Mask, Plan, Update
from penjing.errors import PlanError
from penjing.surgery import stream, verify


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "in"
    tables.llama(folder, tie_word_embeddings=True)
    return tables.opened(folder)


DOWN = "model.layers.0.mlp.down_proj.weight"
REFUSED = {
    "did you mean 'neurons.0'": Keep("neuron.0", (1,)),
    "units go from 0 to 36": Keep("neurons.0", (1, 37)),
    "ascending": Keep("neurons.0", (3, 2)),
    "twice": Keep("neurons.0", (2, 2)),
    "no unit": Keep("neurons.0", ()),
    "not to be cut": Keep("vocabulary", (1, 2)),
    "does not equal masking": Keep("residual", (1, 2)),
    "has shape": Update(DOWN, torch.zeros(3, 3)),
    "must be bool": Mask(DOWN, torch.zeros(24, 37)),
    "does not have": Update("model.layers.9.mlp.down_proj.weight", torch.zeros(1)),
    "NaN": Update(DOWN, torch.full((24, 37), float("nan"))),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_wrong_edit_is_refused_before_writing(words, tiny, tmp_path):
    with pytest.raises(PlanError, match=words):
        stream(*tiny, Plan((REFUSED[words],)), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_unequal_widths_are_refused(tiny, tmp_path):
    with pytest.raises(PlanError):
        stream(*tiny, Plan((Keep("neurons.0", tuple(range(8))),)), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_heads_that_do_not_divide_are_refused_with_the_nearest_that_do(tmp_path):
    tables.llama(tmp_path / "in", num_key_value_heads=6)
    checkpoint, layout = tables.opened(tmp_path / "in")
    with pytest.raises(PlanError, match="llama refuses 5 heads with hidden_size 24; nearest that opens: 4 or 6"):
        verify(checkpoint, layout, tables.every(layout, "heads", [0, 1, 2, 3, 4]))


def test_costs_are_exact(tiny):
    checkpoint, layout = tiny
    found = verify(checkpoint, layout, tables.every(layout, "neurons", list(range(20))))
    assert found.before.parameters - found.after.parameters == 3 * 3 * 24 * 17
    assert found.before.bytes - found.after.bytes == 4 * 3 * 3 * 24 * 17
    assert found.before.macs_per_token - found.after.macs_per_token == 3 * 3 * 24 * 17
    assert found.before.macs - found.after.macs == 512 * 3 * 3 * 24 * 17
    assert found.after.kv_cache_bytes_per_token == 2 * 3 * 3 * 4 * 4
    assert found.config["intermediate_size"] == 20


def test_sensitive_axes_are_cut_when_allowed(tiny):
    checkpoint, layout = tiny
    found = verify(checkpoint, layout, Plan((Keep("residual", tuple(range(12))),)), allow_sensitive=True)
    assert found.config["hidden_size"] == 12
    assert found.shapes["model.norm.weight"] == (12,)


def test_nothing_to_do_changes_nothing(tiny):
    checkpoint, layout = tiny
    found = verify(checkpoint, layout, Plan())
    assert found.before == found.after
    assert all(r.untouched for r in found.recipes.values())


def test_codes_are_not_cut_and_whole_blocks_of_them_are_dropped(tmp_path):
    tables.llama(tmp_path / "in")
    file = tmp_path / "in" / "model.safetensors"
    tensors = load_file(file)
    for name in [n for n in tensors if "proj" in n]:
        tensors |= {name: tensors[name].to(torch.float8_e4m3fn), f"{name}_scale_inv": torch.full((1, 1), 2.0)}
    save_file(tensors, file, metadata={"format": "pt"})
    checkpoint, layout = tables.opened(tmp_path / "in")
    with pytest.raises(PlanError, match="is quantised"):
        verify(checkpoint, layout, tables.every(layout, "neurons", list(range(12))))
    left = verify(checkpoint, layout, Plan((Keep(layout.blocks[0].axis, (0, 2)),))).recipes
    scale = "self_attn.q_proj.weight_scale_inv"
    assert left[f"model.layers.1.{scale}"].source == f"model.layers.2.{scale}"


def test_a_strange_tensor_named_after_one_that_is_cut_is_told_of(tmp_path):
    tables.llama(tmp_path / "in")
    file = tmp_path / "in" / "model.safetensors"
    save_file({**load_file(file), f"{DOWN}_delta": torch.zeros(24, 37)}, file, metadata={"format": "pt"})
    checkpoint, layout = tables.opened(tmp_path / "in")
    with pytest.raises(PlanError, match="seems to belong to"):
        verify(checkpoint, layout, tables.every(layout, "neurons", list(range(12))))
