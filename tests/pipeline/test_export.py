"""One file for another runtime, from a folder."""

import errno

import pytest
import torch
from tests.layouts.zoo import ZOO

import penjing
from penjing.errors import ExportError, OutputError, PenjingError
from penjing.exporters.exporter import graph_of
from penjing.exporters.formats import pt2
from penjing.layouts.config.stock import build


def folder(kind, tmp_path):
    module = build(ZOO[kind].config, device="cpu")
    module.save_pretrained(tmp_path / kind)
    return tmp_path / kind


@pytest.mark.parametrize("kind", ["llama", pytest.param("vit", marks=pytest.mark.nightly)])
def test_a_folder_becomes_a_file_that_torch_alone_opens(kind, tmp_path):
    given = folder(kind, tmp_path)
    found = penjing.export(given, "pt2", tmp_path / "net.pt2")
    assert found.path == tmp_path / "net.pt2"
    assert found.difference < 1e-5
    assert {p.name for p in tmp_path.iterdir()} == {kind, "net.pt2"}
    model = penjing.load(given)
    if kind == "llama":
        inputs = {"input_ids": torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]])}
    else:
        side = model.config.image_size
        inputs = {"pixel_values": torch.randn(1, 3, side, side)}
    with torch.no_grad():
        wanted = model(**inputs)[0]
    torch.testing.assert_close(torch.export.load(found.path).module()(**inputs), wanted)


def test_what_is_wrong_is_said_before_anything_is_opened(tmp_path):
    given = folder("llama", tmp_path)
    with pytest.raises(PenjingError, match="format named 'onx'"):
        penjing.export(given, "onx", tmp_path / "net.onnx")
    with pytest.raises(OutputError, match=r"ends in \.pt2"):
        penjing.export(given, "pt2", tmp_path / "net.onnx")
    with pytest.raises(OutputError, match="lies inside the input"):
        penjing.export(given, "pt2", given / "net.pt2")
    with pytest.raises(OutputError, match="no folder"):
        penjing.export(given, "pt2", tmp_path / "not there" / "net.pt2")
    (tmp_path / "net.pt2").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        penjing.export(given, "pt2", tmp_path / "net.pt2")
    assert (tmp_path / "net.pt2").read_text() == "mine"


def test_a_file_that_does_not_compute_the_same_never_bears_its_name(tmp_path, monkeypatch):
    given = folder("llama", tmp_path)
    wrong = pt2.Exporter(suffix=".pt2", opens="", write=pt2.write, run=lambda path, inputs: pt2.run(path, inputs) + 1)
    monkeypatch.setattr(pt2, "EXPORTER", wrong)
    with pytest.raises(ExportError, match="something else"):
        penjing.export(given, "pt2", tmp_path / "net.pt2")
    assert [p.name for p in tmp_path.iterdir()] == ["llama"]


def test_a_place_that_takes_no_file_is_refused_before_the_model_is_opened(tmp_path, monkeypatch):
    given = folder("llama", tmp_path)
    monkeypatch.setattr("penjing.pipeline.export._folder", lambda *a: pytest.fail("the model was opened"))
    with pytest.raises(OutputError, match="cannot be written"):
        penjing.export(given, "pt2", tmp_path / f"{'n' * 300}.pt2")
    with pytest.raises(OutputError, match="cannot be written"):
        penjing.export(given, "pt2", "/proc/net.pt2")


def test_a_full_disk_is_said_and_ends_no_process(tmp_path):
    (tmp_path / "net.pt2").symlink_to("/dev/full")
    module, inputs = graph_of(torch.nn.Linear(300, 300), {"input": torch.ones(2, 300)})
    with pytest.raises(OSError, match="No space left"):
        pt2.write(module, inputs, tmp_path / "net.pt2")


def test_a_disk_that_fills_while_writing_is_told_of(tmp_path, monkeypatch):
    def full(module, inputs, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    given = folder("llama", tmp_path)
    monkeypatch.setattr(pt2, "EXPORTER", pt2.Exporter(suffix=".pt2", opens="", write=full, run=pt2.run))
    with pytest.raises(OutputError, match="no room"):
        penjing.export(given, "pt2", tmp_path / "net.pt2")
    assert [p.name for p in tmp_path.iterdir()] == ["llama"]
