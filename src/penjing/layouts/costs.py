"""What a model of given axis sizes costs: parameters, bytes, multiply-adds, key-value cache. Exact, by rule."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penjing.core import Layout
from penjing.core.pattern import shape
from penjing.errors import LayoutError
from penjing.layouts import kv_cache

if TYPE_CHECKING:
    import torch

BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "position_ids", "inv_freq")
"""Last words of the names of persistent buffers: bytes in the file, but no parameters."""

_PARTS = (
    ("embedding", ("embed", "wte", "wpe", "shared", "position")),
    ("head", ("lm_head", "classifier", "score", "cls", "embed_out", "output_projection")),
    ("norm", ("norm", "ln_", "layernorm", "bn", "batch_norm")),
    ("attention", ("attn", "attention", "self_attn", "q_proj", "k_proj", "v_proj", "o_proj", "qkv")),
    ("mlp", ("mlp", "ffn", "feed_forward", "intermediate", "fc1", "fc2", "experts", "dense_h_to_4h", "dense_4h_to_h")),
    ("convolution", ("conv", "convolution")),
)


@dataclass(frozen=True, kw_only=True)
class Share:
    """One part of a model: its parameters and their share of all, 0 to 1."""

    part: str
    parameters: int
    share: float


def parameters(layout: Layout, sizes: Mapping[str, int] | None = None) -> int:
    """How many parameters a model has when its axes have these sizes; tied ones once, buffers not at all."""
    return sum(numel for name, numel in _numels(layout, sizes) if not is_buffer(name))


def weight_bytes(layout: Layout, dtypes: "Mapping[str, torch.dtype]", sizes: Mapping[str, int] | None = None) -> int:
    """The bytes of all stored tensors, buffers included, tied ones once; `dtypes` as in the files.

    Raises:
        LayoutError: a tensor of the layout has no dtype under any of its names.
    """
    names = {kept: tied for tied, kept in layout.aliases.items()}
    total = 0
    for name, numel in _numels(layout, sizes):
        stored = name if name in dtypes else names.get(name, name)
        if stored not in dtypes:
            raise LayoutError(f"{name} has no dtype; the weights and the layout are not of one model")
        total += numel * dtypes[stored].itemsize
    return total


def macs(layout: Layout, sizes: Mapping[str, int] | None = None, *, tokens: int = 512) -> float:
    """Multiply-adds of one forward pass of one sample: an image, or a sequence of `tokens`.

    Products of activations count whole: attention scores are tokens x tokens, whether or not a mask hides half.
    """
    given = {**layout.sizes, **(sizes or {})}
    return float(sum(w.constant * _volume(w.axes, given) * tokens**w.tokens for w in layout.work))


def macs_per_token(layout: Layout, sizes: Mapping[str, int] | None = None, *, context: int = 512) -> float:
    """Multiply-adds of generating one token after `context` tokens, with the cache of keys and values.

    Work that grows with tokens to the power p costs `context` to the power p - 1 per token; work that does not grow
    with tokens is done once and left out.
    """
    given = {**layout.sizes, **(sizes or {})}
    return float(
        sum(w.constant * _volume(w.axes, given) * context ** (w.tokens - 1) for w in layout.work if w.tokens > 0)
    )


def shares(layout: Layout, sizes: Mapping[str, int] | None = None) -> list[Share]:
    """The parts of a model (embedding, attention, mlp, ...) by their parameters, largest first."""
    found: dict[str, int] = {}
    for name, numel in _numels(layout, sizes):
        if not is_buffer(name):
            found[part_of(name)] = found.get(part_of(name), 0) + numel
    total = max(sum(found.values()), 1)
    return [
        Share(part=p, parameters=n, share=n / total)
        for p, n in sorted(found.items(), key=lambda row: (-row[1], row[0]))
    ]


def part_of(name: str) -> str:
    """The part a tensor belongs to, by the words of its name, the last word that says it first."""
    words = [w.lower() for w in name.split(".") if not w.isdigit()]
    for word in reversed(words[:-1] or words):
        for part, marks in _PARTS:
            if any(word == m or word.startswith(m) or word.endswith(m) for m in marks):
                return part
    return "rest"


def is_buffer(name: str) -> bool:
    """Whether a tensor is a persistent buffer and no parameter, by the usual names."""
    return name.rsplit(".", 1)[-1] in BUFFERS


def kv_cache_bytes_per_token(config: Mapping[str, Any], dtype_bytes: int) -> int:
    """Bytes by which the cache of a stock model grows with each token of one sequence; 0 when it keeps none.

    Raises:
        CheckpointError: stock code cannot build the config.
        LayoutError: the model cannot be run without values, so that nothing can be counted.
    """
    return kv_cache.values_per_token(config) * dtype_bytes


def _numels(layout: Layout, sizes: Mapping[str, int] | None) -> Iterator[tuple[str, int]]:
    given = {**layout.sizes, **(sizes or {})}
    for name, pattern in layout.patterns.items():
        if layout.aliases.get(name, name) == name or layout.aliases[name] not in layout.patterns:
            yield name, math.prod(shape(pattern, given))


def _volume(axes: tuple[str, ...], sizes: Mapping[str, int]) -> int:
    return math.prod(sizes[a] for a in axes)
