"""The types of a file, as people type them: how its numbers are stored, what it may cost, which rows it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from penjing.errors import ExportError
from penjing.exporters.gguf.content import Piece
from penjing.exporters.gguf.mixes import MIXES


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How ggml stores numbers: its own number of the type, and how many values a block has.

    `instead` is what takes rows that are not made of whole blocks.
    """

    kind: int
    block: int = 1
    instead: str = ""


STORAGE: dict[str, Storage] = {
    "f32": Storage(kind=0),
    "f16": Storage(kind=1),
    "bf16": Storage(kind=30),
    "q8_0": Storage(kind=8, block=32),
    "q5_1": Storage(kind=7, block=32),
    "q5_0": Storage(kind=6, block=32),
    "q4_1": Storage(kind=3, block=32),
    "q4_0": Storage(kind=2, block=32),
    "iq4_nl": Storage(kind=20, block=32),
    "q6_k": Storage(kind=14, block=256, instead="q8_0"),
    "q5_k": Storage(kind=13, block=256, instead="q5_1"),
    "q4_k": Storage(kind=12, block=256, instead="q5_0"),
    "iq4_xs": Storage(kind=23, block=256, instead="iq4_nl"),
    "q3_k": Storage(kind=11, block=256, instead="iq4_nl"),
    "q2_k": Storage(kind=10, block=256, instead="iq4_nl"),
}


@dataclass(frozen=True, kw_only=True)
class FileType:
    """One type of file: `file` is llama.cpp's number of it, `stored` how most matrices are.

    `ends` is how the embedding is stored where it is the output too, or else the output, which bear less. `loss` is how
    far predictions may move, as the mean KL divergence in nats, before the file counts as broken; it is no promise of
    quality.
    """

    what: str
    file: int
    stored: str
    ends: str = ""
    loss: float

    @property
    def block(self) -> int:
        """Values in a block of most matrices."""
        return STORAGE[self.stored].block


def _mixed(what: str, file: int, stored: str, loss: float) -> FileType:
    told = f"{what}; rows that are no multiples of 256 take {STORAGE[stored].instead}"
    return FileType(what=told, file=file, stored=stored, ends="q6_k", loss=loss)


TYPES: dict[str, FileType] = {
    "f32": FileType(what="as the model computes, 4 bytes a weight", file=0, stored="f32", loss=1e-5),
    "f16": FileType(what="half precision", file=1, stored="f16", loss=0.02),
    "bf16": FileType(what="half the bytes with the range of f32", file=32, stored="bf16", loss=0.05),
    "q8_0": FileType(what="8.5 bits a weight", file=7, stored="q8_0", loss=0.1),
    "q6_k": _mixed("6.6 bits a weight", 18, "q6_k", 0.2),
    "q5_k_m": _mixed("5.5 bits a weight, and 6.6 where they matter", 17, "q5_k", 0.5),
    "q5_k_s": _mixed("5.5 bits a weight", 16, "q5_k", 0.5),
    "q5_1": FileType(what="6 bits a weight", file=9, stored="q5_1", ends="q8_0", loss=0.5),
    "q5_0": FileType(what="5.5 bits a weight", file=8, stored="q5_0", ends="q8_0", loss=0.5),
    "q4_k_m": _mixed("4.5 bits a weight, and 6.6 where they matter", 15, "q4_k", 1.0),
    "q4_k_s": _mixed("4.5 bits a weight, and 5.5 where they matter", 14, "q4_k", 1.0),
    "q4_1": FileType(what="5 bits a weight", file=3, stored="q4_1", ends="q8_0", loss=1.0),
    "iq4_nl": FileType(
        what="4.5 bits a weight, steps that are not even", file=25, stored="iq4_nl", ends="q8_0", loss=1.0
    ),
    "iq4_xs": _mixed("4.3 bits a weight, steps that are not even", 30, "iq4_xs", 1.0),
    "q4_0": FileType(what="4.5 bits a weight", file=2, stored="q4_0", ends="q8_0", loss=1.0),
    "q3_k_l": _mixed("3.4 bits a weight, and 5.5 where they matter", 13, "q3_k", 3.0),
    "q3_k_m": _mixed("3.4 bits a weight, and 4.5 where they matter", 12, "q3_k", 3.0),
    "q3_k_s": _mixed("3.4 bits a weight", 11, "q3_k", 3.0),
    "q2_k": _mixed("2.6 bits a weight, and 3.4 where they matter", 10, "q2_k", 5.0),
}
"""Type -> what it is; the first is taken where none is named."""
ALWAYS_F32 = frozenset({"position_embd.weight", "rope_freqs.weight"})


def kinds(pieces: Sequence[Piece], asked: str, group: int) -> dict[str, str]:
    """Tensor -> how it is stored, in a file of this type; `group` query heads share a key.

    What has one dimension stays float32; a row that is not made of whole blocks takes what stands instead.

    Raises:
        ExportError: a row is not made of whole blocks of any; it says which, and of what length.
    """
    out = {}
    wanted = _wanted(pieces, asked, group)
    for piece in pieces:
        stored = wanted[piece.name]
        if piece.shape[-1] % STORAGE[stored].block and STORAGE[stored].instead:
            stored = STORAGE[stored].instead
        block = STORAGE[stored].block
        if piece.shape[-1] % block:
            near = piece.shape[-1] // block * block
            cut = f"cut to {near} (--multiple {block}), or " if near else ""
            raise ExportError(
                f"rows of {piece.source or piece.name} have {piece.shape[-1]} values, and {asked} holds blocks of "
                f"{block}; {cut}export as f16 or bf16, which hold any"
            )
        out[piece.name] = stored
    return out


def _wanted(pieces: Sequence[Piece], asked: str, group: int) -> dict[str, str]:
    """What each tensor is to be, whatever its rows."""
    chosen, places = TYPES[asked], _places(pieces)
    apart = chosen.block == 256 and any(p.name == "output.weight" for p in pieces)
    out = {}
    for piece in pieces:
        part, stored = piece.name.split(".")[-2], chosen.stored
        if len(piece.shape) == 1 or piece.name in ALWAYS_F32:
            stored = "f32"
        elif chosen.ends and (piece.name == "output.weight" or (piece.name == "token_embd.weight" and not apart)):
            stored = chosen.ends
        elif piece.name in places and asked in MIXES:
            stored = MIXES[asked](part, *places[piece.name], group) or stored
        out[piece.name] = stored
    return out


def _places(pieces: Sequence[Piece]) -> Mapping[str, tuple[int, int]]:
    """Matrix of a layer -> (how many like it come before, how many there are)."""
    by_part: dict[str, list[str]] = {}
    for piece in pieces:
        if piece.name.startswith("blk.") and len(piece.shape) > 1:
            by_part.setdefault(piece.name.split(".", 2)[2], []).append(piece.name)
    return {name: (i, len(names)) for names in by_part.values() for i, name in enumerate(names)}


def stored_note(pieces: Sequence[Piece], of: Mapping[str, str]) -> str:
    """How the matrices are stored, the most values first, for people."""
    counts: dict[str, int] = {}
    for piece in pieces:
        if len(piece.shape) > 1:
            counts[of[piece.name]] = counts.get(of[piece.name], 0) + prod(piece.shape)
    whole = sum(counts.values())
    shares = [f"{n / whole:.0%} as {kind}" for kind, n in sorted(counts.items(), key=lambda pair: -pair[1])]
    return f"weights in matrices: {', '.join(shares)}"
