"""New models of penjing's own architectures, as folders."""

import pytest
import torch

import penjing
from penjing.errors import OutputError, PenjingError
from penjing.pipeline.creating import create


def test_a_folder_is_written_whole_and_opens(tmp_path):
    count = create("scaling_mlps", "tiny", tmp_path / "net", {"num_labels": 7}, seed=3)
    model = penjing.load(tmp_path / "net")
    assert sum(p.numel() for p in model.parameters()) == count
    assert model(torch.zeros(1, 3, 6, 6)).logits.shape == (1, 7)
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


def test_the_seed_decides_the_weights(tmp_path):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        create("scaling_mlps", "tiny", tmp_path / name, {}, seed=seed)
    one, same, other = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("one", "same", "other"))
    assert one == same
    assert one != other


def test_what_is_there_is_left(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="not empty"):
        create("scaling_mlps", "tiny", tmp_path / "mine", {})
    with pytest.raises(PenjingError, match="lists 2 widths"):
        create("scaling_mlps", "tiny", tmp_path / "net", {"intermediate_size": [3, 4]})
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
