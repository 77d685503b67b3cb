"""Whom a run learns from, and where it keeps itself."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from penjing.core import Heals, Looks
from penjing.errors import RequestError
from penjing.train.keeper import EVERY

LOG = "log.jsonl"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The paths of the student's blocks, in order, and the teacher with those of its own."""

    blocks: tuple[str, ...] = ()
    teacher: nn.Module | None = None
    teacher_blocks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run keeps its states and its log, and which run it is."""

    folder: Path
    identity: str
    every: float = EVERY


def looks_of(healer: Heals, pair: Pair) -> Looks:
    """What a healer looks at, of these two.

    Raises:
        RequestError: it looks at a teacher, and there is none.
        UnsupportedError: their blocks do not serve.
    """
    known = pair.teacher_blocks if pair.teacher is not None else pair.blocks
    looks = healer.looks((len(pair.blocks), len(known)))
    if looks and pair.teacher is None:
        raise RequestError(f"{type(healer).__module__.rpartition('.')[2]} looks at a teacher; name one")
    return looks
