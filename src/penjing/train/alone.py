"""Healing block by block: each is trained alone, on the stream that comes through those that were trained before.

The hidden states of all rows are kept, of the student and of the teacher, and pushed through one block at a time; no
pass goes back through more than one block. Each block is a run of its own in the one loop, with its own schedule, mean
of weights, states and log, so that a process that is killed goes on with the block where it was.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate.batches import run as forward
from penjing.calibrate.calling import Call, Pool, calls_of, form_of, states_in
from penjing.calibrate.hidden import Hidden
from penjing.core import Heals, Looks, Masks, Seen
from penjing.core.progress import Progress
from penjing.errors import DataError, RequestError, UnsupportedError
from penjing.train.keeper import Keeper
from penjing.train.log import StepLog
from penjing.train.loop import autocast, fit
from penjing.train.pair import LOG, Pair, Place, looks_of
from penjing.train.run import Run
from penjing.train.seeing import counted, placed

ROOM = 2 << 30
"""Bytes of hidden states that lie in memory, of the student's and of the teacher's each; beyond, in a file."""
REHEARSALS = 3


@dataclass(eq=False, kw_only=True)
class Stream:
    """A model that is gone through block by block: how its blocks are called, and the states that came so far."""

    module: nn.Module
    blocks: Sequence[nn.Module]
    calls: list[list[Call]]
    states: Hidden
    done: int = 0

    @torch.no_grad()
    def push(self, to: int, run: Run) -> None:
        """Take the states through the blocks up to `to`, which is left out."""
        for number in range(self.done, to):
            block = self.blocks[number].eval()
            for place in range(len(self.calls)):
                with autocast(run):
                    self.states[place] = self.through(block, number, place).float().cpu()
        self.done = max(self.done, to)

    def through(self, block: nn.Module, number: int, place: int) -> Tensor:
        """What a block makes of the states of a batch."""
        device = next(block.parameters()).device
        return states_in(self.calls[place][number](block, self.states[place].to(device)))


@torch.no_grad()
def stream(run: Run, module: nn.Module, paths: Sequence[str], batches: Sequence[Any], scratch: Path) -> Stream:
    """The stream of a model in evaluation mode, before its first block.

    Raises:
        UnsupportedError: its blocks do not take what the one before gives, one after the other.
        DataError: a batch does not serve.
    """
    blocks = [module.get_submodule(path) for path in paths]
    device = next(module.parameters()).device
    module.eval()
    pool, states, calls = Pool(), Hidden(scratch, ROOM), []

    def form(call: Call, hidden: Tensor) -> Callable[[Tensor], Any]:
        instead: Any = blocks[0].__dict__.pop("forward")
        try:
            return form_of(call(blocks[0], hidden))
        finally:
            blocks[0].forward = instead

    for batch in batches:
        given = placed(batch, device)
        try:
            with autocast(run):
                called, first = calls_of(blocks, lambda given=given: forward(module, given), form, pool)
        except DataError as error:
            raise UnsupportedError(f"{error}, so they cannot be healed one by one; heal by logits") from error
        calls.append(called)
        states.append(first.detach().float().cpu())
    states.settle()
    return Stream(module=module, blocks=blocks, calls=calls, states=states)


@dataclass(frozen=True, kw_only=True)
class Alone:
    """What every block's run is made from."""

    healer: Heals
    run: Run
    looks: Looks
    paths: tuple[str, ...]
    batches: Sequence[Any]
    ours: Stream
    theirs: Stream
    zeros: Masks
    place: Place | None

    def block(self, number: int, there: int, progress: Progress) -> tuple[Run, Keeper | None]:
        """Train one block, whose inputs lie in `ours`, on what `theirs` gives after block `there`."""
        run, path, place = self.run, self.paths[number], self.place
        keeper = log = None
        if place is not None:
            own = place.folder / f"block-{number:04d}"
            keeper = Keeper(own, f"{place.identity} block {number}", every=place.every)
            log = StepLog(own / LOG)
        part = self.ours.blocks[number]
        every = {stored: run.names.get(stored, stored) for stored in run.layout.patterns}
        names = {s: n.removeprefix(f"{path}.") for s, n in every.items() if n.startswith(f"{path}.")}
        one = Run(
            module=part.train(), model=run.model, layout=run.layout, budget=run.budget, steps=run.steps,
            learning_rate=run.learning_rate, seed=run.seed + number, how=run.how, names=names,
        )  # fmt: skip
        held = {name: kept for name, kept in self.zeros.items() if name in names}

        def loss(batch: int) -> Tensor:
            return self.loss(one, number, there, batch)

        def said(what: str, done: int, total: int) -> None:
            progress(what.replace("training", f"training block {number + 1} of {len(self.looks.blocks)}"), done, total)

        self.ours.push(number, run)
        self.theirs.push(there + 1, run)
        fit(
            one, self.batches, loss, after=lambda: one.put(held if not one.step else None), keeper=keeper, log=log,
            progress=said,
        )  # fmt: skip
        return one, keeper

    def loss(self, one: Run, number: int, there: int, batch: int) -> Tensor:
        """[]: of one block on the states of a batch, which both streams have come to.

        Raises:
            UnsupportedError: the states have other widths, or other positions.
        """
        found = self.ours.through(self.ours.blocks[number], number, batch)
        wanted = self.theirs.states[batch].to(found.device)
        given = placed(self.batches[batch], found.device)
        student = Seen(states={number: found}, counts=counted(given))
        teacher = Seen(states={there: wanted})
        if not one.losses:
            self.healer.prepare(one, student, teacher)
        return self.healer.loss(one, given, student, teacher)

    def seconds(self) -> float:
        """What a step of a block takes with its share of going through the streams, by the first block and batch."""
        number, there = self.looks.blocks[0]
        took = []
        for _ in range(REHEARSALS):
            began = time.monotonic()
            self.theirs.done = 0
            self.theirs.push(1, self.run)
            with torch.no_grad(), autocast(self.run):
                self.ours.through(self.ours.blocks[number], number, 0)
            with autocast(self.run):
                value = self.loss(self.run, number, there, 0)
            value.backward()
            took.append(time.monotonic() - began)
        self.run.module.zero_grad()
        return max(1e-6, min(took))


def heal_alone(
    healer: Heals, run: Run, batches: Sequence[Any], *, pair: Pair, zeros: Masks, place: Place | None,
    decide: Callable[[Callable[[], float]], None] | None, progress: Progress,
) -> Keeper | None:  # fmt: skip
    """Train the blocks of the run's module one after the other; `run` and its log then tell of them together.

    `decide` sets the run's steps by what a step of all blocks takes, in seconds.

    Raises:
        RequestError: a setting means nothing here.
        UnsupportedError: the blocks cannot be run one by one, or have other widths than the teacher's.
        PenjingError: as `fit`.
    """
    if run.how.patience:
        raise RequestError("blocks by themselves are not judged on held-out data; leave patience out")
    if pair.teacher is None:
        raise RequestError("blocks by themselves learn from a teacher's; name one")
    looks = looks_of(healer, pair)
    with TemporaryDirectory(prefix="penjing-streams-") as scratch:

        def both(rows: Sequence[Any], name: str) -> tuple[Stream, Stream]:
            assert pair.teacher is not None  # noqa: S101 - refused above
            ours = stream(run, run.module, pair.blocks, rows, Path(scratch) / f"{name}-ours")
            return ours, stream(run, pair.teacher, pair.teacher_blocks, rows, Path(scratch) / f"{name}-theirs")

        def alone(rows: Sequence[Any], name: str, where: Place | None) -> Alone:
            ours, theirs = both(rows, name)
            return Alone(
                healer=healer, run=run, looks=looks, paths=pair.blocks, batches=rows, ours=ours, theirs=theirs,
                zeros=zeros, place=where,
            )  # fmt: skip

        if decide is not None:
            decide(lambda: len(looks.blocks) * run.how.accumulate * alone(batches[:1], "timing", None).seconds())
        run.put(zeros)
        own = alone(batches[: run.steps * run.how.accumulate], "rows", place)
        done = [own.block(number, there, progress) for number, there in looks.blocks]
    runs = [one for one, _ in done]
    run.step, run.average.count = run.steps, runs[-1].average.count
    run.losses = [sum(each) / len(each) for each in zip(*(one.losses for one in runs), strict=True)]
    if place is not None:
        log = StepLog(place.folder / LOG)
        log.go_on(0)
        for step, loss in enumerate(run.losses, 1):
            log.write(step=step, loss=loss)
    keepers = [keeper for _, keeper in done if keeper is not None]
    if not keepers:
        return None
    keepers[-1].refused = [line for keeper in keepers for line in keeper.refused]
    return keepers[-1]
