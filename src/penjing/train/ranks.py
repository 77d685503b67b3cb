"""Several processes that train one model together: which of them this is, and what they tell each other.

The first one does everything; the others wait until it trains and then take part (`serve`). They are started by
`torchrun`, or by whoever has made torch's process group before. What they tell each other on the way is pickled, which
no file of ours is: they are processes of one run, of one user.
"""

import atexit
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from penjing.core.launched import launched_with_others
from penjing.errors import TrainingError

T = TypeVar("T")
PATIENCE = timedelta(days=7)
"""How long one waits for the others: while the first one measures, they have nothing to do."""
GONE = ("connection closed", "connection reset", "broken pipe", "nccl", "gloo", "socket")
"""Words of what torch says when a process that it waits for has ended."""


class LostError(TrainingError):
    """Another process of the run has ended."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process is `number` of `count`, from 0. Alone it tells itself everything, and nothing is sent."""

    number: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether it prints, writes and measures."""
        return self.number == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def agree(self, value: T) -> T:
        """What the first process gives; all must ask."""
        if not self.several:
            return value
        held: list[Any] = [value if self.first else None]
        with told_if_lost(self):
            distributed.broadcast_object_list(held, src=0)
        return held[0]

    def mean(self, value: float) -> float:
        """The mean of what all give."""
        if not self.several:
            return value
        held = torch.tensor([value], dtype=torch.float64)
        with told_if_lost(self):
            distributed.all_reduce(held)
        return float(held) / self.count

    def all_of(self, value: T) -> list[T]:
        """What each gives, in order."""
        if not self.several:
            return [value]
        held: list[Any] = [None] * self.count
        with told_if_lost(self):
            distributed.all_gather_object(held, value)
        return held

    def call(self, job: str, *given: Any) -> None:
        """Let the others do a job of `serve` now, as the first one will."""
        if self.several:
            self.agree((job, given))

    def device(self, kind: str) -> str:
        """The device that this process has, of a kind such as "cuda": that of its place on its machine."""
        bare = kind.partition(":")[0]
        return f"cuda:{os.environ.get('LOCAL_RANK', self.number)}" if bare == "cuda" and self.several else kind


def here() -> Ranks:
    """This process among those of torch's process group; alone where there is none."""
    if not distributed.is_available() or not distributed.is_initialized():
        return Ranks()
    return Ranks(number=distributed.get_rank(), count=distributed.get_world_size())


def join() -> Ranks:
    """This process among those that were started with it: the process group is made if torchrun asks for one."""
    if here().several or not launched_with_others():
        return here()
    has_cuda = torch.cuda.is_available()
    if has_cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if has_cuda else "gloo", timeout=PATIENCE)
    atexit.register(_leave)
    return here()


def _leave() -> None:
    with suppress(Exception):  # at the end of a process nobody is left to be told
        distributed.destroy_process_group()


@contextmanager
def leading(ranks: Ranks) -> Iterator[None]:
    """Around what the first process does: at its end the others are told to end too, and whether it went well."""
    went_well = lost = False
    try:
        yield
        went_well = True
    except LostError:
        lost = True
        raise
    finally:
        if ranks.several and not lost:
            with suppress(LostError):
                ranks.agree(went_well)


def serve(ranks: Ranks, jobs: Mapping[str, Callable[..., object]]) -> None:
    """What a process that is not the first one does: each job that this one calls for, until it is done.

    Raises:
        LostError: another process has ended.
        SystemExit: the first process ended with an error, which it tells of itself.
    """
    while True:
        told: Any = ranks.agree(None)
        if isinstance(told, bool):
            if not told:
                raise SystemExit(1)
            return
        job, given = told
        try:
            jobs[job](*given)
        except LostError:
            raise
        except TrainingError as error:  # the loss is one for all, and so the first one has the same error
            raise SystemExit(1) from error


@contextmanager
def told_if_lost(ranks: Ranks) -> Iterator[None]:
    """Errors of torch because another process has ended say so.

    Raises:
        LostError: one has.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, LostError) or not ranks.several or not _is_lost(error):
            raise
        raise LostError(
            f"another of the {ranks.count} processes that train together has ended, or cannot be reached "
            f"({' '.join(str(error).split())[:200]}); its own message says why. The newest state stays: the same "
            "command goes on from it, with as many processes or others"
        ) from error


def _is_lost(error: BaseException) -> bool:
    said = str(error).lower()
    kinds: Sequence[type] = [getattr(distributed, n) for n in ("DistError",) if hasattr(distributed, n)]
    return isinstance(error, tuple(kinds)) or any(word in said for word in GONE)


def parts_of(count: int, accumulate: int) -> int:
    """Into how many parts a batch is cut so that `count` processes have as many parts each in a step.

    >>> parts_of(2, 4), parts_of(2, 1), parts_of(4, 6)
    (1, 2, 2)
    """
    return count // math.gcd(count, accumulate)
