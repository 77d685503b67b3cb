"""Text to heal by where there is none: the teacher writes it, once; it is kept, and a killed process goes on."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from penjing.core.progress import Progress
from penjing.errors import UnsupportedError
from penjing.io import write_whole, writing
from penjing.running.lending import Lender
from penjing.running.sampling import GREEDY, sampled_rows
from penjing.running.source import Source, as_folder
from penjing.running.stock import tokenizer

TOKENS = 1 << 16
"""Tokens that are written where healing is asked for in minutes; they are read again and again."""
ROWS = 32
"""Rows that are written together, and kept together."""


def written(
    teacher: Source, *, tokens: int, length: int, seed: int, lender: Lender, cache: Path, progress: Progress
) -> Tensor:
    """[rows length] token numbers that the teacher wrote, at least so many `tokens`; the same for the same seed.

    Raises:
        DataError: the teacher has no tokenizer.
        UnsupportedError: the teacher does not go on with text.
        OutputError: the cache cannot be written to.
    """
    folder = as_folder(teacher, cache, progress)
    reader: Any = tokenizer(folder)
    special = sorted({i for i in reader.all_special_ids if isinstance(i, int)})
    words = torch.tensor(sorted(set(reader.get_vocab().values()) - set(special)))
    groups = -(-tokens // (ROWS * length))
    place = cache / "written" / _key(teacher, length, seed)
    out = []
    for group in range(groups):
        path = place / f"{group}.safetensors"
        rows = _kept(path, length)
        if rows is None:
            with lender.lend(folder, torch.float32) as module:
                vocabulary = int(getattr(module.config, "vocab_size", len(words)))  # type: ignore[union-attr]
                progress("the teacher writes", group * ROWS * length, groups * ROWS * length)
                rows = _write(module, words[words < vocabulary], special, length, seed * 1_000_003 + group)
            with writing(path):
                place.mkdir(parents=True, exist_ok=True)
                write_whole(path, save({"rows": rows}))
        out.append(rows)
    return torch.cat(out)


def about(rows: Tensor, seed: int) -> Mapping[str, Any]:
    """What is told of such a text."""
    return {"written by": "the teacher", "tokens written": rows.numel(), "greedy tokens": GREEDY, "seed": seed}


def _write(module: Any, words: Tensor, special: list[int], length: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    first = words[torch.randint(len(words), (ROWS,), generator=generator)]
    try:
        return sampled_rows(module, first, length, generator=generator, barred=special)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise UnsupportedError(
            f"{type(module).__name__} cannot write text ({str(error).splitlines()[0][:160]}); name text to train on"
        ) from error


def _kept(path: Path, length: int) -> Tensor | None:
    try:
        rows = load(path.read_bytes())["rows"]
    except (OSError, KeyError, SafetensorError):
        return None
    return rows if list(rows.shape) == [ROWS, length] else None


def _key(teacher: Source, length: int, seed: int) -> str:
    facts = ["penjing written 1", teacher.weights().fingerprint, length, seed, ROWS, GREEDY, str(torch.__version__)]
    return sha256(json.dumps(facts).encode()).hexdigest()[:24]
