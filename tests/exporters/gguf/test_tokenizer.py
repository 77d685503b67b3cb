"""Tokenizers in GGUF files cut every text as the original does."""

import pytest
from tests.exporters.gguf import families
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

import penjing
from penjing.data.shipped import shipped
from penjing.errors import ExportError
from penjing.exporters.gguf.tokenizer import TEXTS, entries_of
from penjing.exporters.llama.model import LlamaModel

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SIZE = 480
TEXT = shipped()[0].read_text(encoding="utf-8")


def words():
    return pre_tokenizers.ByteLevel(add_prefix_space=False)


def rules(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def on_bytes(pre):
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=SIZE, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    return trained(made, trainer)


def of_pieces(before):
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", "▁")])
    marks = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    return trained(made, trainers.BpeTrainer(vocab_size=SIZE + 300, special_tokens=marks), special=3)


def trained(made, trainer, special=None):
    made.train_from_iterator([TEXT[:60_000], *TEXTS], trainer)
    if special is not None:  # bytes are pieces, no marks
        import json

        plain = json.loads(made.to_str())
        plain["added_tokens"] = plain["added_tokens"][:special]
        made = Tokenizer.from_str(json.dumps(plain))
    unknown = {"unk_token": "<unk>"} if special else {}
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", **unknown)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        pytest.param(lambda: on_bytes(words()), "gpt-2", id="gpt-2"),
        pytest.param(lambda: on_bytes(rules(LLAMA3)), "llama-bpe", id="llama 3", marks=pytest.mark.nightly),
        pytest.param(lambda: of_pieces([]), "default", id="pieces"),
        pytest.param(lambda: of_pieces([normalizers.Prepend("▁")]), "default", id="pieces after a space",
                     marks=pytest.mark.nightly),
    ],
)  # fmt: skip
def test_every_text_has_the_same_tokens_there(make, rule, tmp_path):
    tokenizer = make()
    families.make("llama", tmp_path / "model", vocab_size=len(tokenizer) + 5)
    tokenizer.save_pretrained(tmp_path / "model")
    done = penjing.export(tmp_path / "model", "gguf:f32", tmp_path / "m.gguf")
    texts = [*TEXTS, TEXT[70_000:72_000], "a </s> b"]
    with LlamaModel(done.path, context=0) as model:
        found = model.tokenize(texts, special=True)
    assert found == [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    from gguf import GGUFReader

    fields = GGUFReader(done.path).fields
    assert fields["tokenizer.ggml.pre"].contents() == rule
    assert fields["tokenizer.ggml.eos_token_id"].contents() == tokenizer.eos_token_id
    assert len(fields["tokenizer.ggml.tokens"].contents()) == len(tokenizer) + 5


def test_rules_that_llama_cpp_does_not_have_are_refused(monkeypatch):
    monkeypatch.setattr("penjing.exporters.gguf.tokenizer.RULES", ("gpt-2", "llama-bpe"))
    tokenizer = on_bytes(rules(r"[a-m]+|[^a-m]+"))
    with pytest.raises(ExportError, match=r"llama.cpp cuts \d of 9 texts into other tokens"):
        entries_of(tokenizer, len(tokenizer))


def test_a_tokenizer_that_does_not_fit_the_embedding_is_refused():
    with pytest.raises(ExportError, match="the embedding 100 rows"):
        entries_of(on_bytes(words()), 100)
