"""A tokenizer as GGUF has it, held against the original on texts before a file bears it.

llama.cpp cuts a text into words by rules that it knows by name, and the files of a tokenizer do not say which of them
is theirs. So the names are tried, in a file with a vocabulary and nothing else, until tokens agree on every text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from penjing.errors import ExportError
from penjing.exporters.gguf.writing import start
from penjing.exporters.llama.model import LlamaModel

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
RULES = (
    "gpt-2", "smollm", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder", "falcon", "starcoder", "refact",
    "command-r", "stablelm2", "olmo", "dbrx", "tekken", "gpt-4o", "exaone", "minerva-7b", "chatglm-bpe", "bloom", "mpt",
    "jais", "codeshell", "superbpe", "hunyuan", "kimi-k2", "seed-coder", "default",
)  # fmt: skip
"""The names of llama.cpp's rules, in the order in which they are tried."""
TEXTS = (
    "The capital of France is Paris, and its river is the Seine; 2,160,000 people live there (2019).",
    "It's they'll we've I'm you'd DON'T 'quoted' \"double\" - em—dash… 12:30 3.14159 1000000",
    "  two spaces\tand a tab\n\nand lines\r\n   indented   \n    def f(x): return x**2 + [1, 2][0]  # done\n",
    "Ünïcödé, żółć, Москва, Αθήνα, 北京市, 東京タワー, 서울, العربية, עברית, हिन्दी, 🌍🚀👩‍👩‍👧 ½ €",
    " leading", "trailing ", "a", "CamelCaseHTTPServer_snake_case-kebab http://example.org/?q=a&b=c%20d <b>html</b>",
)  # fmt: skip
"""Texts on which tokens have to agree."""


@dataclass(frozen=True)
class Vocabulary:
    """The entries of a file about its tokenizer, and how many tokens it has."""

    entries: Mapping[str, Any]
    size: int


def entries_of(tokenizer: Any, size: int) -> dict[str, Any]:
    """The entries for a vocabulary of `size`, by a tokenizer of transformers, or for none of them if it is None.

    Raises:
        MissingExtraError: the wheel with llama.cpp is not installed.
        ExportError: llama.cpp has no tokenizer of this kind, or none that agrees on all texts.
    """
    if tokenizer is None:
        return {"tokenizer.ggml.model": "no_vocab"}
    plain = json.loads(tokenizer.backend_tokenizer.to_str())
    base = _common(tokenizer, plain, size)
    kind = plain["model"]["type"]
    if kind == "BPE" and plain["model"].get("byte_fallback"):
        known = [base | _pieces(plain, base) | {"tokenizer.ggml.add_space_prefix": x} for x in (False, True)]
    elif kind == "BPE":
        shared = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.merges": _merges(plain)}
        space = {"tokenizer.ggml.add_space_prefix": False}
        known = [base | shared | space | {"tokenizer.ggml.pre": rule} for rule in RULES]
    else:
        raise ExportError(f"the tokenizer is of kind {kind}; BPE, on bytes or with pieces, can be written")
    return _agreeing(tokenizer, known, size)


def _common(tokenizer: Any, plain: Mapping[str, Any], size: int) -> dict[str, Any]:
    vocabulary = dict(tokenizer.get_vocab())
    names = {index: name for name, index in vocabulary.items()}
    if max(names) >= size:
        raise ExportError(f"the tokenizer has tokens up to {max(names)}, the embedding {size} rows; they do not fit")
    added = {entry["id"]: entry for entry in plain.get("added_tokens", ())}
    kinds = []
    for i in range(size):
        if i not in names:
            kinds.append(UNUSED)
        elif i in added:
            kinds.append(CONTROL if added[i].get("special") else USER)
        else:
            kinds.append(NORMAL)
    found: dict[str, Any] = {
        "tokenizer.ggml.tokens": [names.get(i, f"[PAD{i}]") for i in range(size)],
        "tokenizer.ggml.token_type": kinds,
    }
    with_marks = tokenizer("a")["input_ids"]
    ids = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "unknown": tokenizer.unk_token_id,
           "padding": tokenizer.pad_token_id}  # fmt: skip
    # Without an entry llama.cpp takes token 11 for either.
    some = next((i for i in (ids["eos"], ids["bos"], ids["padding"]) if i is not None), None)
    for name in ("bos", "eos"):
        ids[name] = some if ids[name] is None else ids[name]
    found |= {f"tokenizer.ggml.{name}_token_id": int(i) for name, i in ids.items() if i is not None}
    found["tokenizer.ggml.add_bos_token"] = bool(with_marks and with_marks[0] == tokenizer.bos_token_id)
    found["tokenizer.ggml.add_eos_token"] = bool(len(with_marks) > 1 and with_marks[-1] == tokenizer.eos_token_id)
    if isinstance(tokenizer.chat_template, str):
        found["tokenizer.chat_template"] = tokenizer.chat_template
    return found


def _merges(plain: Mapping[str, Any]) -> list[str]:
    return [m if isinstance(m, str) else " ".join(m) for m in plain["model"]["merges"]]


def _pieces(plain: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """As SentencePiece has it: pieces with scores, higher ones joined first, by the order of the merges."""
    first: dict[str, int] = {}
    for rank, pair in enumerate(plain["model"]["merges"]):
        left, right = pair.split(" ", 1) if isinstance(pair, str) else pair
        first.setdefault(left + right, rank)
    tokens: Sequence[str] = base["tokenizer.ggml.tokens"]
    kinds = list(base["tokenizer.ggml.token_type"])
    unknown = plain["model"].get("unk_token")
    for i, token in enumerate(tokens):
        if kinds[i] == NORMAL and len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            kinds[i] = BYTE
        if token == unknown:
            kinds[i] = UNKNOWN
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.scores": [-float(first.get(token, len(first) + i)) for i, token in enumerate(tokens)],
        "tokenizer.ggml.token_type": kinds,
    }


def _agreeing(tokenizer: Any, known: Sequence[Mapping[str, Any]], size: int) -> dict[str, Any]:
    mark = tokenizer.eos_token or ""
    texts = [*TEXTS, f"one{mark}two"]
    wanted = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    closest: tuple[int, str, str] | None = None
    with TemporaryDirectory() as folder:
        for number, entries in enumerate(known):
            path = Path(folder) / f"{number}.gguf"
            _write_tiny(path, entries, size)
            with LlamaModel(path, context=0) as model:
                found = model.tokenize(texts, special=True) or []
            path.unlink()
            wrong = [text for text, a, b in zip(texts, wanted, found, strict=True) if a != b]
            if not wrong:
                return dict(entries)
            rule = str(entries.get("tokenizer.ggml.pre"))
            closest = min(closest or (len(texts) + 1, "", ""), (len(wrong), rule, wrong[0]))
    assert closest is not None  # noqa: S101 - there is always one to try
    raise ExportError(
        f"llama.cpp cuts {closest[0]} of {len(texts)} texts into other tokens than the model's tokenizer, by the "
        f"nearest of its rules, '{closest[1]}'; the first is {closest[2][:40]!r}; it has no rules of this tokenizer"
    )


def _write_tiny(path: Path, entries: Mapping[str, Any], size: int) -> None:
    """A file of the smallest model that llama.cpp opens with this vocabulary."""
    wide = 32
    keys = {
        "block_count": 1, "context_length": 32, "embedding_length": wide, "feed_forward_length": wide,
        "attention.head_count": 1, "attention.head_count_kv": 1, "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": wide, "vocab_size": size,
    }  # fmt: skip
    shapes = {"token_embd.weight": (size, wide), "output_norm.weight": (wide,)}
    for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        shapes[f"blk.0.{part}.weight"] = (wide, wide)
    shapes |= {"blk.0.attn_norm.weight": (wide,), "blk.0.ffn_norm.weight": (wide,)}
    kinds = {name: int(name == "token_embd.weight") for name in shapes}
    with start(path, "llama", keys, entries, 0, [(n, s, kinds[n]) for n, s in shapes.items()]) as write:
        for name, shape in shapes.items():
            write(np.zeros(shape, np.float16 if kinds[name] else np.float32))
