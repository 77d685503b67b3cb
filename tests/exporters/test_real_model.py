"""A real language model: cut, healed and written for llama.cpp in one go, and run there."""

import pytest

import penjing
from penjing.errors import CheckpointError
from penjing.exporters.llama.model import LlamaModel
from penjing.io import fetch_asset


@pytest.mark.nightly  # a real model is cut, trained for a few steps, and run in two runtimes: minutes
def test_one_command_gives_a_file_that_llama_cpp_runs(tmp_path):
    try:
        path = fetch_asset("smollm2")
    except CheckpointError as error:
        pytest.skip(str(error))
    text = tmp_path / "words.txt"
    text.write_text(" ".join(f"The tree number {i} stands in its tray by the window." for i in range(400)))
    measure = penjing.Measure(texts=(str(text),), length=64, answers=False)
    done = penjing.shrink(
        path, tmp_path / "small", method="maw", keep=0.75, export="gguf:q8_0", measure=measure,
        heal=penjing.Heal(tokens=1024, length=64),
    )  # fmt: skip
    (told,) = done.files
    figures = {f["name"]: f["value"] for f in told["figures"]}
    result = done.report.result
    assert penjing.load(done.folder).config.intermediate_size % 32 == 0
    assert figures["perplexity"] == pytest.approx(result.figure("perplexity").value, rel=0.1)
    assert figures["divergence"] < 0.1
    assert figures["decode_tokens_per_second"] > 0
    assert told["bytes"] < result.figure("bytes").value / 2
    with LlamaModel(done.folder / "small-q8_0.gguf", context=64) as model:
        (prompt,) = model.tokenize(["The tree number 12 stands in"], special=False)
        assert len(set(model.greedy(prompt, 12))) > 1
    assert "small-q8\\_0.gguf" in (done.folder / "README.md").read_text()
