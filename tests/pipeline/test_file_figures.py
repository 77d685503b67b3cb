"""Files for other runtimes, measured there: the figures are those that the model itself has, taken the same way."""

from types import SimpleNamespace

import pytest
import torch
from tests.exporters.gguf import families
from torch import nn

import penjing
from penjing.errors import CheckpointError, DataError, ExportError, MeasureError, RequestError
from penjing.evaluate import Blocks, perplexity
from penjing.evaluate.greedy import greedy_agreement
from penjing.exporters.llama.timing import TimedGguf
from penjing.exporters.onnx_file import OnnxFile
from penjing.exporters.runtime import runner_of, runners
from penjing.pipeline.file_figures import NO_TOKENIZER, read, reader_of, sizes, with_rates
from penjing.pipeline.quality import Reading
from penjing.profiling.speed import FIGURES

IDS = torch.randint(0, 96, (200,), generator=torch.Generator().manual_seed(3))
READING = Reading(texts={"one": IDS, "two": IDS.flip(0)}, protocols=(Blocks(window=40),), progress=lambda *_: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model, and files of it."""
    place = tmp_path_factory.mktemp("files")
    families.make("llama", place / "model")
    for to, name in (("gguf:f32", "m.gguf"), ("gguf:q4_0", "q.gguf"), ("onnx", "m.onnx")):
        penjing.export(place / "model", to, place / name)
    return place


@pytest.mark.parametrize(("name", "tolerance"), [("m.gguf", 1e-4), ("m.onnx", 1e-5)])
def test_a_whole_file_has_the_figures_of_its_model(made, name, tolerance):
    model = penjing.load(made / "model")
    with runner_of(made / name).open(made / name, context=64, threads=1) as file:
        found = {f.name: f for f in read(file, name, READING, model).own}
        alone = {f.name: f for f in read(file, name, READING, None).own}
        counted = {f.name: f for f in sizes(file, made / name)}
    wanted = perplexity(model, IDS, protocol=Blocks(window=40))
    assert found["perplexity"].value == pytest.approx(wanted.value, rel=tolerance)
    assert found["perplexity"].protocol == wanted.protocol
    assert alone["perplexity"].value == pytest.approx(found["perplexity"].value)
    assert [f for f in found if f.startswith("perplexity:two")]
    assert found["divergence"].value < tolerance
    assert found["agreement"].value > 0.99
    # llama.cpp's own choice is a cache in half precision, in which near ties of so small a model may part.
    assert found["greedy_agreement"].value >= (0.7 if name == "m.gguf" else 1)
    assert found["greedy_agreement"].n == 6 * 32  # of 200 tokens there are so many beginnings
    assert counted["bytes"].value == (made / name).stat().st_size
    if name.endswith("gguf"):
        assert counted["parameters"].value == sum(p.numel() for p in model.parameters())
    else:
        assert counted["parameters"].note


def test_a_file_with_fewer_bits_is_further_off(made):
    model = penjing.load(made / "model")
    with runner_of(made / "q.gguf").open(made / "q.gguf", context=64, threads=1) as file:
        found = {f.name: f for f in read(file, "q.gguf", READING, model).own}
    assert found["divergence"].value > 1e-4
    assert found["agreement"].value < 1
    assert "llama.cpp" in found["perplexity"].details["runtime"]


def naive_greedy(model, written, prompts):
    """Token by token: what the model would write next, as long as the other one wrote the same."""
    same = 0
    for prompt, tokens in zip(prompts, written, strict=True):
        so_far = prompt.tolist()
        for token in tokens:
            if int(model(input_ids=torch.tensor([so_far])).logits[0, -1].argmax()) != token:
                break
            so_far.append(token)
            same += 1
    return same


@torch.no_grad()
def test_tokens_are_counted_to_the_first_other_one(made):
    model = penjing.load(made / "model")
    prompts = [IDS[i : i + 7] for i in (0, 20, 40)]
    right = []
    for prompt in prompts:
        so_far = prompt.tolist()
        for _ in range(6):
            so_far.append(int(model(input_ids=torch.tensor([so_far])).logits[0, -1].argmax()))
        right.append(so_far[7:])
    wrong = [right[0], [*right[1][:4], (right[1][4] + 1) % 96, right[1][5]], [(right[2][0] + 1) % 96, *right[2][1:]]]
    given = iter(wrong)
    found = greedy_agreement(model, lambda tokens, count: next(given), prompts, 6)
    assert found.details["same"] == [6, 4, 0]
    assert found.value == pytest.approx(naive_greedy(model, wrong, prompts) / 18)


def test_a_graph_without_text_is_held_against_its_model(tmp_path):
    from tests.layouts.zoo import ZOO

    from penjing.layouts.config.stock import build

    build(ZOO["vit"].config, device="cpu").save_pretrained(tmp_path / "vit")
    penjing.export(tmp_path / "vit", "onnx", tmp_path / "v.onnx")
    report = penjing.measure(tmp_path / "v.onnx", against=tmp_path / "vit", speed=False)
    found = {f.name: f for f in report.subjects[1].figures}
    assert found["output_difference"].value < 1e-5
    assert found["agreement"].value == 1
    other = build(ZOO["vit"].config, device="cpu")
    nn.init.normal_(next(other.parameters()))
    other.save_pretrained(tmp_path / "other")
    report = penjing.measure(tmp_path / "v.onnx", against=tmp_path / "other", speed=False)
    assert report.subjects[1].figure("output_difference").value > 1e-3


def test_a_report_of_a_file_has_both_sides(made):
    report = penjing.measure(made / "m.gguf", against=made / "model", speed=False)
    assert [s.name for s in report.subjects] == ["model", "m.gguf"]
    assert report.subjects[1].figure("perplexity").note == NO_TOKENIZER
    assert {r.name for r in report.ratios} >= {"parameters_ratio", "bytes_ratio"}
    assert any("llama.cpp" in n for n in report.notes)
    alone = penjing.measure(made / "m.onnx", speed=False)
    assert [s.name for s in alone.subjects] == ["m.onnx"]


def test_what_a_file_cannot_be_asked_is_refused(made, tmp_path):
    with pytest.raises(RequestError, match="no file for another runtime"):
        penjing.measure(made / "model", against=made / "model")
    with pytest.raises(CheckpointError, match=r"there is no file .*missing\.gguf"):
        penjing.measure(tmp_path / "missing.gguf", speed=False)
    with pytest.raises(MeasureError, match="tasks are run in transformers"):
        penjing.measure(made / "m.gguf", tasks=["instructions"])
    (tmp_path / "text.txt").write_text("Some words.")
    with pytest.raises(DataError):
        penjing.measure(made / "m.gguf", texts=[tmp_path / "text.txt"])
    for name in ("broken.onnx", "broken.gguf"):
        (tmp_path / name).write_bytes(b"no model at all")
        with pytest.raises(ExportError, match=r"does not open|broken"):
            penjing.measure(tmp_path / name)
    with pytest.raises(ExportError, match="is not run here"):
        runner_of(tmp_path / "net.pt2")
    assert set(runners()) == {".gguf", ".onnx"}


@pytest.mark.parametrize(("name", "kind"), [("m.gguf", TimedGguf), ("m.onnx", OnnxFile)])
def test_a_file_is_timed_with_its_cache(made, name, kind):
    file = runner_of(made / name).timed(made / name, prompt=12, context=20, threads=1)
    assert isinstance(file, kind)
    assert file.decodes
    assert file.what == "tokens=12 context=20"
    assert file.prefill() > 0
    first, second = file.decode(3), file.decode(5)
    assert len(first) == 3
    assert len(second) == 5
    assert min(*first, *second) > 0


def test_rates_are_times_in_another_unit():
    from dataclasses import replace

    told = "speed/2 tokens=128 context=128"
    times = [
        replace(FIGURES["prefill_seconds"], value=0.5, protocol=told),
        replace(FIGURES["decode_seconds_per_token"], value=0.02, protocol=told),
        replace(FIGURES["peak_memory_bytes"], value=9.0, protocol=told),
    ]
    found = {f.name: f.value for f in with_rates(times, 128)}
    assert found["prefill_tokens_per_second"] == 256
    assert found["decode_tokens_per_second"] == 50
    assert len(found) == 5
    images = replace(times[0], protocol="speed/2 image")
    assert with_rates([images], 128) == [images]


def test_a_file_without_a_tokenizer_reads_no_text():
    assert reader_of(SimpleNamespace(tokenize=lambda texts, special: None)) is None
    reader = reader_of(SimpleNamespace(tokenize=lambda texts, special: [[len(t)] for t in texts]))
    assert reader("four", add_special_tokens=False, verbose=False) == {"input_ids": [4]}


