"""Packed folders beside a result: rounded for, opened, measured as they run, and told of."""

import json

import pytest
import torch
from tests.exporters.gguf import families
from tests.pipeline.test_file_figures import IDS, READING

import penjing
from penjing.errors import ExportError, OutputError
from penjing.exporters.formats import FORMATS
from penjing.exporters.runtime import runner_of, runs
from penjing.io.results import strange_in
from penjing.pipeline.exports import check_wish, multiple_of, rounded, rounding, wanted, written
from penjing.pipeline.file_figures import read, sizes
from penjing.pipeline.parts import Parts
from penjing.pipeline.request import Choice, Source
from penjing.pipeline.values import open_source
from penjing.report import load
from penjing.report.card import card
from penjing.report.page import page


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    place = tmp_path_factory.mktemp("packed") / "model"
    families.make("llama", place)
    return place


@pytest.fixture(scope="module")
def done(model):
    measure = penjing.Measure(speed=False, answers=False)
    out = model.parent / "small"
    return penjing.shrink(model, out, method="maw", keep=0.6, measure=measure, export=["int4:g32", "int8"])


def test_a_cut_model_is_packed_beside_its_weights_and_opens(done):
    from transformers import AutoModelForCausalLM

    assert [f["file"] for f in done.files] == ["small-int4-g32", "small-int8"]
    # 0.6 of 96 is 58, and by itself 56: groups of 32 want 64.
    assert penjing.load(done.folder).config.intermediate_size == 64
    for told in done.files:
        folder = done.folder / told["file"]
        assert told["bytes"] == sum(p.stat().st_size for p in folder.iterdir())
        with torch.no_grad():
            logits = AutoModelForCausalLM.from_pretrained(folder)(input_ids=IDS[None, :20]).logits
            whole = penjing.load(done.folder)(input_ids=IDS[None, :20]).logits
        assert 0 < float((logits - whole).abs().max() / whole.abs().max()) < 0.5
    assert done.files[0]["bytes"] < done.files[1]["bytes"]


def test_page_card_and_record_tell_of_it(done):
    report = load(done.folder / "report.json")
    for text in (page(report, charts=False), card(report), (done.folder / "README.md").read_text()):
        assert "small-int4-g32" in text
        assert "AutoModelForCausalLM" in text
        assert "of the weights are packed" in text
    assert json.loads((done.folder / "penjing.json").read_text())["exports"] == ["small-int4-g32", "small-int8"]
    assert strange_in(done.folder) == []
    (done.folder / "mine-int8").mkdir()
    (done.folder / "mine-int8" / "notes.txt").write_text("mine")
    assert strange_in(done.folder) == ["mine-int8/notes.txt"]


def test_what_a_stopped_run_left_makes_room(model, tmp_path):
    (tmp_path / "model-int8").mkdir()
    (tmp_path / "model-int8" / "old").touch()
    (tmp_path / ".model-int8.partial").mkdir()
    written(["int8"], model, tmp_path, Parts())
    assert [p.name for p in tmp_path.iterdir()] == ["model-int8"]
    assert not (tmp_path / "model-int8" / "old").exists()


def test_widths_follow_from_the_groups():
    assert multiple_of(wanted(["int4:g64"])) == 64
    assert multiple_of(wanted(["int4"])) == 128
    assert multiple_of(wanted(["int4:g32", "gguf:q4_k_m"])) == 256
    assert rounded(Choice(), wanted(["int4:g64"])).multiple == 64
    assert rounding(Choice(), wanted(["int4:g64"])) == "widths are rounded to multiples of 64, which int4:g64 holds"
    assert rounding(Choice(), wanted(["int8"])) == ""


@pytest.mark.parametrize(
    ("choice", "asked", "said"),
    [
        (Choice(method="maw", multiple=16), "int4:g32", "leave --multiple out, or type 32"),
        (Choice(method="maw"), "int4:g128", r"q_proj.weight has 64, .*; export as int4:g32 or int8"),
        (Choice(method="maw"), "int4:g48", "did you mean 'g128'|it is one of g128, g64, g32"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(model, choice, asked, said):
    with pytest.raises(ExportError, match=said):
        check_wish((asked,), choice, open_source(Source(model=str(model))))


def test_a_folder_is_measured_as_it_runs(done, model):
    folder = done.folder / "small-int4-g32"
    assert runs(folder)
    assert not runs(done.folder)
    original = penjing.load(done.folder)
    with runner_of(folder).open(folder, context=64, threads=1) as file:
        found = {f.name: f for f in read(file, folder.name, READING, original).own}
        counted = {f.name: f.value for f in sizes(file, folder)}
        first = torch.tensor([file.logits(IDS[:9].tolist())[-1].argmax()])
        assert file.greedy(IDS[:9].tolist(), 3)[0] == int(first)
        # With the cache and without it the same tokens follow.
        so_far = IDS[:9].tolist()
        for token in file.greedy(so_far, 3):
            assert token == int(file.logits(so_far)[-1].argmax())
            so_far.append(token)
    assert found["divergence"].value > 0
    assert "compressed-tensors" in found["perplexity"].details["runtime"]
    assert counted["parameters"] == sum(p.numel() for p in original.parameters())
    assert counted["bytes"] == done.files[0]["bytes"]


def test_measure_takes_it_alone_or_against_its_model(done):
    folder = done.folder / "small-int8"
    alone = penjing.measure(folder, speed=False)
    assert [s.name for s in alone.subjects] == ["small-int8"]
    beside = penjing.measure(folder, against=done.folder, speed=False)
    assert [s.name for s in beside.subjects] == ["small", "small-int8"]
    ratio = next(r for r in beside.ratios if r.name.startswith("bytes"))
    assert 0 < ratio.value < 1


def test_a_place_that_is_taken_is_refused(model, tmp_path):
    (tmp_path / "packed").mkdir()
    with pytest.raises(OutputError, match="exists"):
        penjing.export(model, "int8", tmp_path / "packed")


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_a_method_that_inserts_modules_does_not_open_there(name):
    assert FORMATS.load(name).EXPORTER.modules == frozenset()
