"""A tiny language model of bytes that really learned something, kept in pytest's cache."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from filelock import FileLock
from torch import Tensor, nn

from penjing.data import read_texts, shipped, windows

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 256, "hidden_size": 64,
    "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 128, "tie_word_embeddings": True, "hidden_act": "silu",
}  # fmt: skip
"""Two blocks, grouped heads, SwiGLU, tied embeddings."""
STEPS, ROWS, LENGTH = 200, 16, 64


def folder(cache: pytest.Cache) -> Path:
    """The checkpoint, trained for a few seconds where it is not there yet; other workers wait."""
    text = "".join(p.read_text("utf-8") for p in shipped("calibration"))
    key = json.dumps([CONFIG, STEPS, ROWS, LENGTH, torch.__version__, transformers.__version__, text])
    place = cache.mkdir(f"penjing-tiny-{hashlib.sha256(key.encode()).hexdigest()[:16]}")
    with FileLock(place / "lock"):
        if not (place / "done").exists():
            module = build(CONFIG)
            train(module)
            module.eval().save_pretrained(place)
            (place / "done").touch()
    return place


def build(config: dict[str, Any], seed: int = 0) -> nn.Module:
    """The stock model of a config with random weights."""
    torch.manual_seed(seed)
    settings = {k: v for k, v in config.items() if k not in {"model_type", "architectures"}}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings))


def train(module: nn.Module) -> None:
    """A few seconds on the shipped calibration text."""
    rows = text_rows()
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(module.parameters(), lr=3e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=STEPS)
    module.train()
    for _ in range(STEPS):
        batch = rows[torch.randint(len(rows), (ROWS,), generator=generator)]
        loss = module(batch, labels=batch).loss
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()


def text_rows(count: int | None = None, *, kind: str = "calibration") -> Tensor:
    """[rows LENGTH]: bytes of the first text of a kind, or of all calibration texts."""
    paths = shipped(kind) if kind == "calibration" else shipped(kind)[:1]
    return windows(letters(paths), LENGTH, *(() if count is None else (count,)))


def letters(paths: Sequence[Path]) -> Tensor:
    """[bytes]: the texts as bytes."""
    return torch.tensor(list("\n".join(read_texts(paths)).encode("utf-8")))


def load(place: Path, dtype: torch.dtype | None = None) -> nn.Module:
    """The model as plain transformers opens it."""
    return transformers.AutoModelForCausalLM.from_pretrained(place, dtype=dtype or "auto").eval()


def perplexity(module: nn.Module, rows: Tensor) -> float:
    """Of each byte but the first of every row."""
    with torch.no_grad():
        logits = module(rows).logits[:, :-1].flatten(0, 1).float()
    return float(nn.functional.cross_entropy(logits, rows[:, 1:].flatten()).exp())
