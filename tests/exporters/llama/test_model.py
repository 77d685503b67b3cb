"""llama.cpp in a process of its own."""

import pytest
import torch
from tests.exporters.gguf import families

import penjing
from penjing.errors import ExportError, MissingExtraError
from penjing.exporters.llama import library
from penjing.exporters.llama.model import LlamaModel


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    families.make("llama", folder / "model", max_position_embeddings=1100)
    return penjing.export(folder / "model", "gguf", folder / "m.gguf").path


def test_logits_and_greedy_tokens_agree_with_one_another(file):
    tokens = torch.randint(96, (600,), generator=torch.Generator().manual_seed(0)).tolist()
    with LlamaModel(file, context=1024) as model:
        logits = model.logits(tokens)  # longer than what is decoded at once
        assert torch.equal(logits[-1].argmax(), torch.tensor(model.greedy(tokens, 1)[0]))


def test_what_it_refuses_is_an_error_and_the_next_question_is_answered(file):
    with LlamaModel(file, context=32) as model:
        with pytest.raises(ExportError, match="token 96 is none of the file's 96"):
            model.logits([96])
        with pytest.raises(ExportError, match="512 tokens do not fit into a context of 32"):
            model.logits([5] * 700)
        assert model.logits([1, 2]).shape == (2, 96)


def test_a_file_that_is_none_is_refused_with_what_llama_cpp_says(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(ExportError, match=r"llama.cpp does not open m\.gguf: \w+"):
        LlamaModel(tmp_path / "m.gguf")


def test_a_cut_file_ends_no_process_but_its_own(file, tmp_path):
    (tmp_path / "m.gguf").write_bytes(file.read_bytes()[:-4000])
    with pytest.raises(ExportError, match=r"llama\.cpp"):
        LlamaModel(tmp_path / "m.gguf")


def test_without_the_wheel_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("penjing.exporters.llama.model.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"penjing\[llama\]"):
        LlamaModel(tmp_path / "m.gguf")


def test_settings_that_are_not_where_they_were_are_refused():
    settings = library.library().llama_context_default_params()
    settings.words[1] = 7
    with pytest.raises(ExportError, match="keeps its settings elsewhere"):
        library._context_settings(settings, 64, 1, exact=True)
