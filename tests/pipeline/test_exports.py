"""Files for other runtimes beside a result: rounded for, run, told of; what cannot be held is refused before work."""

import json
import sys
from dataclasses import replace

import pytest
import torch
from tests.exporters.gguf import families

import penjing
from penjing.errors import ExportError, PenjingError, RequestError
from penjing.exporters.llama.model import LlamaModel
from penjing.io.results import strange_in
from penjing.pipeline.command import shrink_command
from penjing.pipeline.export_options import Export
from penjing.pipeline.exports import check_wish, multiple_of, rounded, rounding, wanted
from penjing.pipeline.request import Choice, Request, Source
from penjing.pipeline.tables import request_from, tables
from penjing.pipeline.values import open_source
from penjing.report import load
from penjing.report.card import card
from penjing.report.page import page

PROMPT = [5, 17, 3, 80, 41, 2, 9, 33]


def no_work(monkeypatch):
    """Fail where a plan is made."""
    monkeypatch.setattr(sys.modules["penjing.api.shrink"], "plan_for", lambda *a, **k: pytest.fail("a plan was made"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    place = tmp_path_factory.mktemp("exports") / "model"
    families.make("llama", place)
    return place


@pytest.fixture(scope="module")
def done(model):
    measure = penjing.Measure(speed=False, answers=False)
    out = model.parent / "small"
    return penjing.shrink(model, out, method="maw", keep=0.6, measure=measure, export=["gguf:q8_0", "pt2"])


def test_the_files_lie_beside_the_result_and_run(done):
    folder = done.folder
    assert [f["file"] for f in done.files] == ["small-q8_0.gguf", "small.pt2"]
    assert all((folder / f["file"]).stat().st_size == f["bytes"] for f in done.files)
    # 0.6 of 96 is 58, and by itself 56: q8_0 holds blocks of 32.
    assert penjing.load(folder).config.intermediate_size == 64
    with torch.no_grad():
        wanted_logits = penjing.load(folder)(input_ids=torch.tensor([PROMPT])).logits[0]
    with LlamaModel(folder / "small-q8_0.gguf", context=64) as running:
        found = running.logits(PROMPT)
    assert float((found - wanted_logits).abs().max() / wanted_logits.abs().max()) < 0.1
    ids = torch.tensor([PROMPT])
    torch.testing.assert_close(torch.export.load(folder / "small.pt2").module()(input_ids=ids)[0], wanted_logits)


def test_page_card_and_record_tell_of_them(done):
    report = load(done.folder / "report.json")
    for text in (page(report, charts=False), card(report), (done.folder / "README.md").read_text()):
        assert "Files for other runtimes" in text
        assert "small.pt2" in text
        assert "run and compared with the model" in text.lower()
    record = json.loads((done.folder / "penjing.json").read_text())
    assert record["exports"] == ["small-q8_0.gguf", "small.pt2"]
    assert strange_in(done.folder) == []
    assert "--export gguf:q8_0 --export pt2" in report.provenance["command"]


def test_a_request_with_files_survives_a_recipe():
    asked = Request(source=Source(model="m"), export=Export(to=("gguf:q8_0", "onnx")), out="small")
    assert request_from(tables(asked, whole=False), "here") == replace(asked, out=None)
    assert "export" not in tables(replace(asked, export=Export()), whole=False)
    assert shrink_command(asked).endswith("--export gguf:q8_0 --export onnx")


@pytest.mark.parametrize(
    ("asked", "multiple"),
    [(("gguf:f16",), 1), (("gguf:q8_0",), 32), (("onnx", "gguf:q4_0"), 32), (("gguf:q4_k_m",), 256), ((), 1)],
)
def test_widths_follow_from_the_files(asked, multiple):
    found = wanted(asked)
    assert multiple_of(found) == multiple
    assert rounded(Choice(), found).multiple == (multiple if multiple > 1 else None)
    assert bool(rounding(Choice(), found)) == (multiple > 1)
    assert rounded(Choice(multiple=512), found).multiple == 512
    assert rounded(Choice(settings={"multiple": 96}), found).multiple is None
    assert rounded(Choice(method="blocks"), found).multiple is None  # which has no such setting


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        ({"export": "ggof"}, PenjingError, "did you mean 'gguf'"),
        ({"export": "gguf:q8"}, ExportError, "did you mean 'q8_0'"),
        ({"export": "pt2:q8_0"}, ExportError, "has none"),
        ({"export": ["gguf", "gguf:f32"]}, RequestError, "twice"),
        ({"export": "gguf:q8_0", "choice": penjing.Choice(method="maw", multiple=16)}, ExportError, "type 32"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(model, tmp_path, monkeypatch, more, kind, said):
    no_work(monkeypatch)
    with pytest.raises(kind, match=said):
        penjing.shrink(model, tmp_path / "out", measure=False, **more)
    assert list(tmp_path.iterdir()) == []


def test_a_kind_of_model_that_the_format_lacks_is_refused_before_any_work(tmp_path, monkeypatch):
    from tests.layouts.zoo import ZOO

    from penjing.layouts.config.stock import build

    build(ZOO["vit"].config, device="cpu").save_pretrained(tmp_path / "vit")
    no_work(monkeypatch)
    with pytest.raises(ExportError, match="GGUF file of 'vit' is not known"):
        penjing.shrink(tmp_path / "vit", tmp_path / "out", method="maw", measure=False, export="gguf")
    assert [p.name for p in tmp_path.iterdir()] == ["vit"]


def test_a_tokenizer_that_llama_cpp_lacks_is_refused_before_any_work(model, tmp_path, monkeypatch):
    from shutil import copytree

    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    copytree(model, tmp_path / "model")
    words = {f"w{i}": i for i in range(95)} | {"<unk>": 95}
    own = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=own, unk_token="<unk>").save_pretrained(tmp_path / "model")
    no_work(monkeypatch)
    with pytest.raises(ExportError, match="the tokenizer is of kind WordLevel"):
        penjing.shrink(tmp_path / "model", tmp_path / "out", method="maw", measure=False, export="gguf:q8_0")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_rows_that_no_cut_can_mend_are_refused(tmp_path):
    families.make("llama", tmp_path / "odd", hidden_size=80, head_dim=20)
    source = open_source(Source(model=str(tmp_path / "odd")))
    check_wish(("gguf:f16",), Choice(method="maw"), source)
    with pytest.raises(ExportError, match=r"odd cannot be exported as gguf:q8_0: rows of .* have 80 values"):
        check_wish(("gguf:q8_0",), Choice(method="maw"), source)


def test_a_typed_multiple_that_another_type_of_the_mix_takes_is_let_be(model):
    source = open_source(Source(model=str(model)))
    check_wish(("gguf:q4_k_m",), Choice(method="maw", multiple=32), source)
    with pytest.raises(ExportError, match="type 768"):
        check_wish(("gguf:q4_k_m",), Choice(method="maw", multiple=24), source)


def test_odd_neurons_are_rounded_and_not_refused(tmp_path):
    families.make("llama", tmp_path / "odd", intermediate_size=100)
    source = open_source(Source(model=str(tmp_path / "odd")))
    assert check_wish(("gguf:q8_0",), Choice(method="maw"), source)
    with pytest.raises(ExportError, match="100 values"):
        check_wish(("gguf:q8_0",), Choice(method="maw"), source, cuts=False)


def test_a_result_with_modules_is_refused_before_it_is_written(model, tmp_path):
    wish = penjing.Choice(method="svd", keep=0.5)
    data = [{"input_ids": torch.arange(8)[None]}]
    with pytest.raises(ExportError, match=r"the result cannot be exported as gguf: .* is a module of kind"):
        penjing.shrink(model, tmp_path / "out", choice=wish, measure=False, export="gguf", data=data)
    assert list(tmp_path.iterdir()) == []


def test_a_module_in_memory_is_not_exported(model):
    with pytest.raises(RequestError, match="a folder is exported"):
        penjing.shrink(penjing.load(model), method="maw", export="gguf")
