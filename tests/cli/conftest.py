"""A tiny real checkpoint on disk: a Llama with a trained byte-level tokenizer, and texts."""

from pathlib import Path

import pytest
import torch

WORDS = ["old", "king", "of", "the", "small", "sea", "rode", "over", "a", "quiet", "and", "found", "no", "river"]


def prose(seed: int, sentences: int) -> str:
    generator = torch.Generator().manual_seed(seed)
    out = []
    for _ in range(sentences):
        picks = torch.randint(len(WORDS), (12,), generator=generator).tolist()
        out.append(" ".join(WORDS[i] for i in picks).capitalize() + ".")
    return " ".join(out)


@pytest.fixture(scope="session")
def texts(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("texts")
    out = {}
    for name, seed in (("calibration", 1), ("evaluation", 2)):
        out[name] = folder / f"{name}.txt"
        out[name].write_text(prose(seed, 400), encoding="utf-8")
    return out


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, texts) -> Path:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny"
    raw = ByteLevelBPETokenizer()
    raw.train([str(texts["calibration"])], vocab_size=300, show_progress=False, special_tokens=["<s>", "</s>"])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=raw._tokenizer, bos_token="<s>", eos_token="</s>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(wrapped), hidden_size=32, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder
