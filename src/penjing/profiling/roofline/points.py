"""What is measured to know a machine: requests to the worker, as plain data."""

from collections.abc import Sequence
from typing import Any

WORKING_SETS = tuple(2**k for k in (16, 18, 20, 21, 22, 23, 24, 25, 26, 28))
"""64 kB to 256 MB; densest where caches end."""

ROWS = (4, 16, 64, 256)
WIDTHS = (192, 576, 1728, 5184)
"""Multiples of 64, and no powers of two: those collide in caches and are slower than their neighbours."""
UNALIGNED = (960, 992, 1008, 1000, 1004, 1010, 1009)
"""Widths whose largest power of two is 64, 32 ... 1."""
UNALIGNED_ROWS = (8, 64)

_LARGEST = 4 * 2**20
HELD_OUT = tuple((m, i, o) for m in (1, 8, 48) for i, o in ((384, 1152), (900, 900), (1024, 3072), (1600, 400)))
TINY = {"hidden_size": 32, "intermediate_size": 64, "heads": 2, "vocab_size": 64}
MIDDLE = {"hidden_size": 512, "intermediate_size": 1536, "heads": 8, "vocab_size": 1024}
OTHER = {"hidden_size": 768, "intermediate_size": 2304, "heads": 12, "vocab_size": 8192}


def linear(
    rows: int, inputs: int, outputs: int, *, count: int = 1, threads: int | None = None, seconds: float = 0.06
) -> dict[str, Any]:
    """A product of `rows` with each of `count` weights [outputs inputs]: seconds of all together."""
    return {
        "job": "linear", "rows": rows, "inputs": inputs, "outputs": outputs, "count": count, "threads": threads,
        "for": seconds,
    }  # fmt: skip


def working_set(size: int, itemsize: int, threads: int) -> list[dict[str, Any]]:
    """Products of one row with weights of 4 MB at most that take `size` bytes together: a wide kind and a tall one."""
    side = (min(size, _LARGEST) / itemsize) ** 0.5
    short, long = (max(round(side * f / 16) * 16, 16) for f in (3**-0.5, 3**0.5))
    count = max(1, round(size / (short * long * itemsize)))
    return [linear(1, i, o, count=count, threads=threads, seconds=0.08) for i, o in ((short, long), (long, short))]


def attention(queries: int, keys: int, *, heads: int = 8, width: int = 64) -> dict[str, Any]:
    """Fused attention of one sequence."""
    return {"job": "attention", "queries": queries, "keys": keys, "heads": heads, "width": width, "for": 0.1}


def stock(size: dict[str, int], layers: int, what: str, tokens: int) -> dict[str, Any]:
    """A pass ("prefill") or a step ("decode") of a random Llama of stock code."""
    return {"job": "stock", "config": config(size, layers), "what": what, "tokens": tokens, "for": 1.0}


def config(size: dict[str, int], layers: int) -> dict[str, Any]:
    """The config of a Llama of this size."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": size["vocab_size"],
        "hidden_size": size["hidden_size"],
        "intermediate_size": size["intermediate_size"],
        "num_hidden_layers": layers,
        "num_attention_heads": size["heads"],
        "num_key_value_heads": size["heads"],
        "head_dim": size["hidden_size"] // size["heads"],
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


def thread_counts(threads: int) -> Sequence[int]:
    """The numbers of threads whose bandwidth is measured."""
    return sorted({1, threads})
