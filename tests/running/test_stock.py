"""A tokenizer that is not there, or knows nothing, is told of in one way, whatever its class raises or makes."""

import pytest
from tests.house.tiny import tiny_model

from penjing.errors import DataError
from penjing.running.stock import tokenizer

SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}


@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("GemmaConfig", {"num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0}),
        ("PhiConfig", {"num_key_value_heads": 2}),
        ("EsmConfig", {"pad_token_id": 0, "mask_token_id": 1}),
        ("LlamaConfig", {}),
    ],
)
def test_no_tokenizer_or_an_empty_one_is_a_data_error(family, more, tmp_path):
    import transformers

    getattr(transformers, family)(**SIZES, **more).save_pretrained(tmp_path)
    with pytest.raises(DataError, match="tokenizer"):
        tokenizer(tmp_path)


def test_a_tokenizer_with_words_is_had(tmp_path):
    assert tokenizer(tiny_model(tmp_path / "tiny"))("the")["input_ids"]
