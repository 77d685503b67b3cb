"""Decoders of Llama's make: a norm, attention, a norm, a gated MLP, and rotary positions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from penjing.errors import ExportError
from penjing.exporters.exporter import TOLERANCE
from penjing.exporters.gguf.content import (
    GELU,
    Content,
    Layer,
    Piece,
    Shapes,
    alike,
    layers_of_shapes,
    paired,
    rotation,
    unchanged,
)
from penjing.io.gguf_models import PARTS, TOP

FREE = "deci"
"""The architecture of llama.cpp whose layers may differ in width, and have no attention; positions rotate in pairs."""
LEAST = 32
"""Neurons, all of them zero, of an MLP that stands for none: without any, llama.cpp leaves out the attention too."""
ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
MLP = ("ffn_gate", "ffn_up", "ffn_down")
NORMED = ("attn_q_norm", "attn_k_norm")
NORMS = {"attn_norm": "attn_q", "ffn_norm": "ffn_up"}
"""A norm -> what reads it: without a reader it is not written."""

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Family:
    """How llama.cpp has models of one type.

    `kind` is its name there, and `free` that of the architecture that stands for it where layers differ ("": none);
    `pairs` says that rows of queries and keys are stored as llama's. `parts` are the names of tensors in a layer,
    `more` further entries, and `gains` how those of norms are stored.
    """

    kind: str
    activation: str = "silu"
    free: str = ""
    pairs: bool = False
    parts: Mapping[str, str] = field(default_factory=lambda: dict(PARTS))
    more: Mapping[str, Any] = field(default_factory=dict)
    gains: Change | None = None


def content(config: Mapping[str, Any], shapes: Shapes, family: Family) -> Content:
    """The content of a decoder.

    Raises:
        ExportError: its layers have sizes that llama.cpp does not open, or it computes something else.
    """
    kind, pairs = family.kind, family.pairs
    found = config.get("hidden_act") or config.get("hidden_activation")
    if (config.get("hidden_activation") or found) != family.activation:
        raise ExportError(f"the activation is '{found}', and llama.cpp's '{kind}' has {family.activation}")
    count, hidden = int(config["num_hidden_layers"]), int(config["hidden_size"])
    head = int(config.get("head_dim") or hidden // config["num_attention_heads"])
    layers = layers_of_shapes(shapes, count, head)
    differ = bool(family.free) and (len(set(layers)) > 1 or not layers[0].heads or not layers[0].neurons)
    if differ:
        kind, pairs = family.free, family.free == FREE
    else:
        alike(layers, kind)
    base, scaled, factors = rotation(config, "full_attention")
    if factors is not None:
        _raise_unless_paired(kind, pairs)
    told = tuple(_opened(k, layer, kind) for k, layer in enumerate(layers))
    pieces = [_top(name, source, shapes, family.gains) for name, source in TOP.items() if source in shapes]
    if factors is not None:
        pieces.append(Piece(name="rope_freqs.weight", shape=tuple(factors.shape), change=lambda _: factors))
    for k in range(count):
        pieces += _layer(k, layers[k], told[k], head, hidden, shapes, family, pairs)
    keys = {
        "block_count": count,
        "context_length": _context(config),
        "embedding_length": hidden,
        "feed_forward_length": _one([t.neurons for t in told], differ),
        "attention.head_count": _one([t.heads for t in told], differ),
        "attention.head_count_kv": _one([t.kv_heads for t in told], differ),
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "rope.dimension_count": head,
        "rope.freq_base": base,
        "vocab_size": shapes.get("model.embed_tokens.weight", (0,))[0],
    }
    return Content(
        architecture=kind, keys=keys | scaled | dict(family.more), pieces=tuple(pieces), unused=_unused(shapes, layers),
        tolerance=TOLERANCE if family.activation == "silu" else GELU,
    )  # fmt: skip


def _raise_unless_paired(kind: str, pairs: bool) -> None:
    if not pairs:
        raise ExportError(f"the frequencies of '{kind}' are scaled one by one, which is known for llama only")


def _one(values: Sequence[int], differ: bool) -> Any:
    return list(values) if differ else values[0]


def _context(config: Mapping[str, Any]) -> int:
    """Positions; with a window over which attention does not look, no more than it: llama.cpp looks at all."""
    positions = int(config["max_position_embeddings"])
    window = config.get("sliding_window") if config.get("model_type") in ("mistral", "qwen2", "qwen3") else None
    if window is None or config.get("use_sliding_window") is False:
        return positions
    return min(positions, int(window))


def _opened(k: int, layer: Layer, kind: str) -> Layer:
    """The layer as it is written: stand-ins of zeros for what llama.cpp cannot be without."""
    heads, kv = (layer.heads, layer.kv_heads) if layer.heads or (k and kind == FREE) else (1, 1)
    return Layer(heads=heads, kv_heads=kv, neurons=layer.neurons or (LEAST if heads else 0))


def _top(name: str, source: str, shapes: Shapes, gains: Change | None) -> Piece:
    change = gains if gains is not None and name.endswith("norm.weight") else unchanged
    return Piece(name=name, shape=shapes[source], source=source, change=change)


def _layer(
    k: int, layer: Layer, written: Layer, head: int, hidden: int, shapes: Shapes, family: Family, pairs: bool
) -> list[Piece]:
    out, parts, gains = [], family.parts, family.gains
    heads = {"attn_q": layer.heads, "attn_k": layer.kv_heads}
    for part, source in parts.items():
        needed = part not in NORMS or f"model.layers.{k}.{parts[NORMS[part]]}.weight" in shapes
        for what in ("weight", "bias"):
            stored = f"model.layers.{k}.{source}.{what}"
            if stored not in shapes or not needed:
                continue
            change = paired(heads[part]) if pairs and part in heads else None
            if gains is not None and part.endswith("norm"):
                change = gains
            name = f"blk.{k}.{part}.{what}"
            out.append(Piece(name=name, shape=shapes[stored], source=stored, change=change or unchanged))
    zeros: dict[str, tuple[int, ...]] = {}
    if written.heads and not layer.heads:
        zeros |= {"attn_norm": (hidden,), "attn_output": (hidden, head)}
        zeros |= dict.fromkeys(("attn_q", "attn_k", "attn_v"), (head, hidden))
        zeros |= {} if family.free == FREE else dict.fromkeys(NORMED, (head,))
    if written.neurons and not layer.neurons:
        n = written.neurons
        zeros |= {"ffn_norm": (hidden,), "ffn_gate": (n, hidden), "ffn_up": (n, hidden), "ffn_down": (hidden, n)}
    return out + [Piece(name=f"blk.{k}.{part}.weight", shape=shape) for part, shape in zeros.items()]


def _unused(shapes: Shapes, layers: Sequence[Layer]) -> frozenset[str]:
    """Norms that nobody reads, as their sublayer was left out."""
    out = set()
    for k, layer in enumerate(layers):
        out |= {f"model.layers.{k}.{PARTS['attn_norm']}.weight"} if not layer.heads else set()
        out |= {f"model.layers.{k}.{PARTS['ffn_norm']}.weight"} if not layer.neurons else set()
    return frozenset(out & shapes.keys())
