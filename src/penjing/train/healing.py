"""A healer and the loop: passes of student and teacher, side by side, until the run is finished."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor

from penjing.core import Heals, Masks, Seen
from penjing.core.progress import Progress, silent
from penjing.errors import RequestError
from penjing.train.alone import heal_alone
from penjing.train.keeper import Keeper, Keeps
from penjing.train.log import StepLog
from penjing.train.loop import autocast, fit, seeded
from penjing.train.minutes import decide, seconds_of
from penjing.train.pair import LOG, Pair, Place, looks_of
from penjing.train.ranks import parts_of
from penjing.train.run import Run
from penjing.train.seeing import Watched, placed
from penjing.train.sharded_state import SharedKeeper
from penjing.train.sharding import cut, shard, shard_beside
from penjing.train.teacher import ROOM, Teacher

SPARSE = 0.05
"""A matrix with a larger share of zeros was sparsified: its zeros stay."""


def heal(
    healer: Heals, run: Run, batches: Sequence[Any], *, pair: Pair | None = None, held_out: Sequence[Any] = (),
    place: Place | None = None, minutes: float | None = None, progress: Progress = silent,
) -> Keeps | None:  # fmt: skip
    """Train the run's module by a healer; what kept its states, where there is a `place`.

    With `minutes` the number of steps is what fits in there, by the time that a few passes take; it is kept in the
    place, and holds for a process that goes on.

    Raises:
        RequestError: the healer looks at a teacher, and there is none, or needs whole batches, which are shared.
        UnsupportedError: the healer cannot serve these models.
        TrainingError: the loss is not a number, or explodes.
        DataError: a batch does not serve.
        OutputError: the log cannot be written.
    """
    parts = parts_of(run.ranks.count, run.how.accumulate)
    if parts > 1 and getattr(healer, "compares", False):
        raise RequestError(
            f"this loss compares the examples of a batch, which {run.ranks.count} processes would share; give "
            f"accumulate={run.ranks.count}, or a multiple of it, so that each takes whole ones"
        )
    def decided(seconds: Callable[[], float]) -> None:
        if minutes is not None:
            decide(run, seconds, minutes, None if place is None else (place.folder, place.identity), progress)

    if looks_of(healer, pair or Pair()).alone:
        if run.ranks.several:
            raise RequestError("blocks by themselves are trained by one process; start it without torchrun")
        with seeded(run):
            return heal_alone(
                healer, run, batches, pair=pair or Pair(), zeros=zeros_of(run), place=place,
                decide=None if minutes is None else decided, progress=progress,
            )  # fmt: skip
    keeper: Keeps | None = Keeper(place.folder, place.identity, every=place.every) if place is not None else None
    if keeper is not None and run.ranks.several:
        keeper = SharedKeeper(keeper, run)
    log = StepLog(place.folder / LOG) if place is not None and run.ranks.first else None
    pieces = cut(batches, parts)
    with ExitStack() as stack:
        stack.enter_context(seeded(run))
        lesson = _Lesson(healer, run, pieces, pair or Pair())
        stack.callback(lesson.close)
        zeros = zeros_of(run)
        if run.ranks.several:
            _part(run, pair or Pair())
        decided(partial(seconds_of, run, lesson))
        fit(
            run, pieces, lesson, after=lambda: run.put(zeros if not run.step else None), keeper=keeper, log=log,
            held_out=(lambda: lesson.mean(held_out)) if held_out else None, progress=progress,
        )  # fmt: skip
    if run.ranks.several:
        run.put_together()
    return keeper


def _part(run: Run, pair: Pair) -> None:
    """Part the model among the processes; from here on each draws by itself."""
    shard(run.module, pair.blocks, run.ranks)
    shard_beside(run.beside, run.ranks)
    torch.manual_seed(run.seed + run.ranks.number)


class _Lesson:
    """The loss of the batch at a place, as a healer has it."""

    def __init__(self, healer: Heals, run: Run, batches: Sequence[Any], pair: Pair) -> None:
        looks = looks_of(healer, pair)
        self._healer, self._run, self._batches = healer, run, batches
        self._device = next(run.module.parameters()).device
        self._student = Watched(run.module, {own: pair.blocks[own] for own, _ in looks.blocks})
        self._teacher: Teacher | None = None
        if looks and pair.teacher is not None:
            given = _Placed(batches, self._device)
            self._teacher = Teacher(pair.teacher, given, looks, pair.teacher_blocks, room=ROOM)
        self._prepare()

    def __call__(self, place: int) -> Tensor:
        batch = placed(self._batches[place], self._device)
        taught = self._teacher(place) if self._teacher is not None else Seen()
        return self._healer.loss(self._run, batch, self._student(batch), taught)

    @torch.no_grad()
    def mean(self, batches: Sequence[Any]) -> float:
        """The mean loss over other batches, in evaluation mode."""
        module, total = self._run.module, 0.0
        module.eval()
        try:
            for one in batches:
                batch = placed(one, self._device)
                taught = self._teacher.of(batch) if self._teacher is not None else Seen()
                with autocast(self._run):
                    total += float(self._healer.loss(self._run, batch, self._student(batch), taught))
        finally:
            module.train()
        return total / len(batches)

    def forget(self) -> None:
        """Let the teacher see every batch for the first time again."""
        if self._teacher is not None:
            self._teacher.forget()

    def close(self) -> None:
        """Leave both modules as they were."""
        self._student.close()
        if self._teacher is not None:
            self._teacher.close()

    @torch.no_grad()
    def _prepare(self) -> None:
        batch = placed(self._batches[0], self._device)
        self._run.module.eval()
        seen = self._student(batch)
        self._run.module.train()
        taught = self._teacher.of(batch) if self._teacher is not None else Seen()
        self._healer.prepare(self._run, seen, taught)
        self._run.beside.to(self._device)


class _Placed(Sequence[Any]):
    """Batches that are brought to a device when they are asked for."""

    def __init__(self, batches: Sequence[Any], device: torch.device) -> None:
        self._batches, self._device = batches, device

    def __getitem__(self, place: Any) -> Any:
        return placed(self._batches[place], self._device)

    def __len__(self) -> int:
        return len(self._batches)


def zeros_of(run: Run) -> Masks:
    """The masks of matrices that were sparsified, whose zeros are to stay."""
    found = {}
    for name in run.layout.patterns:
        if name in run.layout.aliases or name not in run.model.shapes or len(run.model.shapes[name]) < 2:
            continue
        kept = run.weight(name) != 0
        if float(kept.float().mean()) < 1 - SPARSE:
            found[name] = kept
    return found
