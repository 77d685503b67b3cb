"""What goes into a file, told without reading a weight; what the runtime could not open is refused here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from penjing.errors import ExportError
from penjing.exporters.exporter import TOLERANCE

GELU = 2e-3
"""The largest difference over the largest logit with GELU, which ggml looks up in a table of half-precision numbers."""
Shapes = Mapping[str, tuple[int, ...]]


def unchanged(values: Tensor) -> Tensor:
    """What is written as it is stored."""
    return values


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A tensor of the file: its name and shape there, the tensor it is made of ("": zeros), and how.

    The rows of the tensors `below` follow those of the source.
    """

    name: str
    shape: tuple[int, ...]
    source: str = ""
    below: tuple[str, ...] = ()
    change: Callable[[Tensor], Tensor] = unchanged


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file says and holds. `keys` are those of the architecture, without its name before them."""

    architecture: str
    keys: Mapping[str, Any]
    pieces: tuple[Piece, ...]
    unused: frozenset[str] = field(default_factory=frozenset)
    """Tensors of the model that the file has no need of."""
    tolerance: float = TOLERANCE
    """Largest difference over the largest logit in float32 that is the runtime's own."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one decoder layer has: heads of queries and of keys and values, and neurons; 0 for a part left out."""

    heads: int
    kv_heads: int
    neurons: int


def paired(heads: int) -> Callable[[Tensor], Tensor]:
    """Rows (i, i + half) of each head, which rotate together in transformers, become rows (2i, 2i + 1)."""

    def change(values: Tensor) -> Tensor:
        half = values.shape[0] // heads // 2
        return values.reshape(heads, 2, half, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)

    return change


def plus_one(values: Tensor) -> Tensor:
    """A gain that is stored as its distance from one, as the gain."""
    return values.float() + 1


def transposed(values: Tensor) -> Tensor:
    """A matrix that is stored [in out], as [out in]."""
    return values.t().contiguous()


def layers_of_shapes(shapes: Shapes, count: int, head: int, prefix: str = "model.layers") -> tuple[Layer, ...]:
    """The widths of each layer, read off its tensors, for heads of this width."""

    def rows(k: int, name: str) -> int:
        return shapes.get(f"{prefix}.{k}.{name}.weight", (0,))[0]

    return tuple(
        Layer(
            heads=rows(k, "self_attn.q_proj") // head,
            kv_heads=rows(k, "self_attn.k_proj") // head,
            neurons=rows(k, "mlp.up_proj"),
        )
        for k in range(count)
    )


def alike(layers: Sequence[Layer], kind: str) -> Layer:
    """The one layer that all are alike to.

    Raises:
        ExportError: they are not, and the architecture holds one width for all.
    """
    for k, layer in enumerate(layers):
        if layer != layers[0]:
            raise ExportError(
                f"layer {k} has {_told(layer)}, layer 0 has {_told(layers[0])}, and llama.cpp's '{kind}' holds one "
                f"width for all layers; cut them alike, or drop whole blocks"
            )
    if not layers[0].heads or not layers[0].neurons:
        raise ExportError(f"all layers lack a part, and llama.cpp's '{kind}' has both in each; drop whole blocks")
    return layers[0]


def _told(layer: Layer) -> str:
    return f"{layer.heads} heads, {layer.kv_heads} of them with keys, and {layer.neurons} neurons"


def rotation(config: Mapping[str, Any], kind: str = "") -> tuple[float, dict[str, Any], Tensor | None]:
    """(base, entries of the file, factors of the frequencies or None) of the rotary positions.

    `kind` names a kind of layers where each has its own.

    Raises:
        ExportError: they are scaled in a way that the file has no entry for.
    """
    found = dict(config.get("rope_parameters") or {})
    found = found.get(kind, found)
    base, scaling = float(found.get("rope_theta", 10000.0)), str(found.get("rope_type", "default"))
    part = float(found.get("partial_rotary_factor") or 1.0)
    if part != 1.0:
        raise ExportError(f"positions rotate {part:g} of each head, and whole heads can be written")
    if scaling == "default":
        return base, {}, None
    if scaling == "linear":
        return base, {"rope.scaling.type": "linear", "rope.scaling.factor": float(found["factor"])}, None
    if scaling == "llama3":
        return base, {}, _llama3(base, found, config)
    raise ExportError(f"rotary positions are scaled by '{scaling}'; default, linear and llama3 can be written")


def _llama3(base: float, found: Mapping[str, Any], config: Mapping[str, Any]) -> Tensor:
    """[head / 2]: what each frequency is divided by. Source: Llama 3.1's scaling as transformers documents it."""
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    low, high = float(found["low_freq_factor"]), float(found["high_freq_factor"])
    old, factor = float(found["original_max_position_embeddings"]), float(found["factor"])
    waves = 2 * torch.pi * base ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
    smooth = ((old / waves - low) / (high - low)).clamp(0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).float()
