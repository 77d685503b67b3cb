"""Qwen3, whose queries and keys are normed; layers may differ in width where the embedding is the output too.

llama.cpp's own `qwen3` holds one width. Its `openelm` has arrays of widths, the same norms and the same rotation; it
stores queries, keys and values as one matrix, and has no output of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from penjing.errors import ExportError
from penjing.exporters.gguf import decoder
from penjing.exporters.gguf.content import Content, Piece, Shapes

FREE = "openelm"
PARTS = ("attn_q", "attn_k", "attn_v")


def content(config: Mapping[str, Any], shapes: Shapes) -> Content:
    """What a file of the model says and holds.

    Raises:
        ExportError: layers differ in width, and the model has what the architecture for that lacks.
    """
    found = decoder.content(config, shapes, decoder.Family(kind="qwen3", free=FREE))
    if found.architecture != FREE:
        return found
    biased = next((p.name for p in found.pieces if p.name.endswith(".bias")), None)
    if biased or any(p.name == "output.weight" for p in found.pieces):
        what = f"biases ({biased})" if biased else "an output of its own beside the embedding"
        raise ExportError(
            f"its layers differ in width, for which llama.cpp has '{FREE}' alone, and the model has {what}, which that "
            f"lacks; cut all layers alike, or drop whole blocks"
        )
    return replace(found, pieces=tuple(_joined(found.pieces)))


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Queries, keys and values of a layer as one, in this order."""
    of = {p.name: p for p in pieces}
    for piece in pieces:
        block, _, rest = piece.name.rpartition(".attn_")
        if rest == "q.weight":
            parts = [of[f"{block}.{part}.weight"] for part in PARTS]
            shape = (sum(p.shape[0] for p in parts), *piece.shape[1:])
            below = tuple(p.source for p in parts[1:] if p.source)
            yield replace(piece, name=f"{block}.attn_qkv.weight", shape=shape, below=below)
        elif rest not in ("k.weight", "v.weight"):
            yield piece
