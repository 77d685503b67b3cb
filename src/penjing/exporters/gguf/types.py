"""The types of numbers in a file, as people type them: what each is, which rows it holds, what it may cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from penjing.errors import ExportError
from penjing.exporters.gguf.content import Piece

WHOLE = 256
"""Values in a block of the k-types; those of the others have 32."""


@dataclass(frozen=True, kw_only=True)
class FileType:
    """One type: `kind` is ggml's number of it, `file` llama.cpp's of a file of mostly it.

    `block` is the count of values in a block.

    `ends` is the type of the embedding and of the output, which bear less: the trials of llama.cpp's own mixes. `loss`
    is how far predictions may move, as the mean KL divergence in nats, before the file counts as broken; it is no
    promise of quality.
    """

    what: str
    kind: int
    file: int
    block: int = 1
    ends: str = ""
    loss: float


TYPES: dict[str, FileType] = {
    "f32": FileType(what="as the model computes, 4 bytes a weight", kind=0, file=0, loss=1e-5),
    "f16": FileType(what="half precision", kind=1, file=1, loss=0.02),
    "bf16": FileType(what="half the bytes with the range of f32", kind=30, file=32, loss=0.05),
    "q8_0": FileType(what="8.5 bits a weight", kind=8, file=7, block=32, loss=0.1),
    "q6_k": FileType(what="6.6 bits a weight, widths in multiples of 256", kind=14, file=18, block=WHOLE, loss=0.2),
    "q5_1": FileType(what="6 bits a weight", kind=7, file=9, block=32, ends="q8_0", loss=0.5),
    "q5_0": FileType(what="5.5 bits a weight", kind=6, file=8, block=32, ends="q8_0", loss=0.5),
    "q5_k": FileType(
        what="5.5 bits a weight, widths in multiples of 256", kind=13, file=16, block=WHOLE, ends="q6_k", loss=0.5
    ),
    "q4_1": FileType(what="5 bits a weight", kind=3, file=3, block=32, ends="q8_0", loss=1.0),
    "q4_0": FileType(what="4.5 bits a weight", kind=2, file=2, block=32, ends="q8_0", loss=1.0),
    "q4_k": FileType(
        what="4.5 bits a weight, widths in multiples of 256", kind=12, file=14, block=WHOLE, ends="q6_k", loss=1.0
    ),
    "q3_k": FileType(
        what="3.4 bits a weight, widths in multiples of 256", kind=11, file=11, block=WHOLE, ends="q6_k", loss=3.0
    ),
}
"""Type -> what it is; the first is taken where none is named."""
ENDS = frozenset({"token_embd.weight", "output.weight"})
ALWAYS_F32 = frozenset({"position_embd.weight", "rope_freqs.weight"})


def type_of(piece: Piece, asked: str) -> FileType:
    """The type of one tensor in a file of the type that is asked for: what has one dimension stays float32."""
    if len(piece.shape) == 1 or piece.name in ALWAYS_F32:
        return TYPES["f32"]
    chosen = TYPES[asked]
    return TYPES[chosen.ends] if piece.name in ENDS and chosen.ends else chosen


def refuse_widths(pieces: Sequence[Piece], asked: str) -> None:
    """See that every row that is quantised is made of whole blocks.

    Raises:
        ExportError: one is not; it says which, and of what length.
    """
    for piece in pieces:
        block = type_of(piece, asked).block
        if piece.shape[-1] % block:
            near = max(block, piece.shape[-1] // block * block)
            other = "q8_0, whose blocks have 32, or f16" if block == WHOLE and not piece.shape[-1] % 32 else "f16"
            raise ExportError(
                f"rows of {piece.source or piece.name} have {piece.shape[-1]} values, and {asked} holds blocks of "
                f"{block}; cut to {near} (--multiple {block}), or export as {other}"
            )
