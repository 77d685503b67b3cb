"""A recipe of training carried out by the one loop: fresh orders of the examples in each pass, changed as it says."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate.batches import run as forward
from penjing.calibrate.batches import some
from penjing.core import Budget, Layout
from penjing.core.progress import Progress, silent
from penjing.errors import DataError, RequestError
from penjing.io import open_checkpoint
from penjing.pipeline.networks import config_of, network_of, parametrised
from penjing.pipeline.train_recipe import Recipe
from penjing.pipeline.training_data import Pictures, Rows, Vectors, lessons
from penjing.train import Run, facts, settings_from
from penjing.train.healing import LOG
from penjing.train.keeper import EVERY, Keeper, Keeps
from penjing.train.log import StepLog
from penjing.train.loop import autocast, fit, seeded
from penjing.train.minutes import decide, seconds_of
from penjing.train.mup import factor, fold
from penjing.train.ranks import here, parts_of
from penjing.train.seeing import placed
from penjing.train.sharded_state import SharedKeeper
from penjing.train.sharding import shard

JOB = "train"
LOOKED_AT = 16
"""Held-out batches that are looked at on the way, at most."""
STEP, PLACE = 1_000_003, 7919
"""What sets the draws of a step, and of a batch in it, apart."""

Material = Pictures | Rows | Vectors


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """A recipe with its data and its network, nothing trained yet."""

    recipe: Recipe
    data: Material
    run: Run
    entries: Mapping[str, Any]
    told: Mapping[str, Any] = field(default_factory=dict)


def prepared(recipe: Recipe, *, device: str = "cpu", progress: Progress = silent) -> Prepared:
    """The data read, the network made, everything refused that does not fit.

    Raises:
        PenjingError: something does not.
    """
    how = settings_from(dict(recipe.loop))
    config = config_of(recipe.model)
    progress("reading the data", 0, 0)
    data = lessons(
        recipe.data, recipe.augment, seed=recipe.seed, side=_whole(config.get("image_size")),
        channels=_whole(config.get("num_channels")),
    )  # fmt: skip
    entries: dict[str, Any] = {"vocab_size": data.classes} if isinstance(data, Rows) else {"num_labels": data.classes}
    if isinstance(data, Rows) and int(config.get("vocab_size", 0)) >= data.classes:
        entries = {}  # a table may be larger than its tokenizer
    module = network_of(recipe.model, entries, seed=recipe.seed)
    factors: dict[str, float] = {}
    if recipe.mup is not None:
        known = parametrised(module, recipe.model, entries, recipe.mup)
        factors = {n: factor(n, known, "sgd" if how.optimiser == "sgd" else "adamw") for n in known}
    if recipe.train.batch > len(data):
        raise RequestError(f"a batch has {recipe.train.batch} examples, and there are {len(data)} to train on")
    run = Run(
        module=module.to(device), model=open_checkpoint(nn.Module()), layout=Layout(patterns={}, axes={}),
        budget=Budget(keep=1.0), steps=steps_of(recipe, data, how.accumulate), how=how, factors=factors,
        learning_rate=recipe.train.learning_rate, seed=recipe.seed, ranks=here(),
    )  # fmt: skip
    return Prepared(recipe=recipe, data=data, run=run, entries=entries)


def steps_of(recipe: Recipe, data: Material, accumulate: int) -> int:
    """Steps that the budget makes; 0 for minutes, which are counted later.

    Raises:
        RequestError: tokens are counted, and there are none.
    """
    of = recipe.train
    if of.tokens and data.unit != "tokens":
        raise RequestError("tokens are counted, and the data have none; give examples, steps or minutes")
    rows = of.examples or (of.tokens or 0) / data.per
    return of.steps or math.ceil(rows / (of.batch * accumulate))


def trained(found: Prepared, folder: Path | None, *, progress: Progress = silent) -> Keeps | None:
    """Train the network in place; with a `folder` states and a log are kept there, and it goes on from them.

    Raises:
        PenjingError: the loss is not a number, or explodes, or a process was lost.
    """
    run, recipe = found.run, found.recipe
    identity = identity_of(recipe, found.data)
    keeper: Keeps | None = Keeper(folder, identity, every=EVERY) if folder is not None else None
    if keeper is not None and run.ranks.several:
        keeper = SharedKeeper(keeper, run)
    log = StepLog(folder / LOG) if folder is not None and run.ranks.first else None
    lesson = Lesson(found)
    held_out = found.data.held_out(recipe.train.batch)[:LOOKED_AT]
    with seeded(run):
        if run.ranks.several:
            shard(run.module, (), run.ranks)
            torch.manual_seed(run.seed + run.ranks.number)
        if recipe.train.minutes is not None:
            place = None if folder is None else (folder, identity)
            decide(run, partial(seconds_of, run, lesson), recipe.train.minutes, place, progress)
        fit(
            run, lesson.stand_ins, lesson, held_out=lambda: lesson.mean(held_out), keeper=keeper, log=log,
            progress=progress,
        )  # fmt: skip
    if run.ranks.several:
        run.put_together()
    if recipe.mup is not None and run.ranks.first:
        fold(run.module)
    return keeper


def take_part(recipe: Recipe, device: str, folder: Path | None) -> None:
    """What a process does that is not the first: train along.

    Raises:
        PenjingError: as `trained`.
    """
    trained(prepared(recipe, device=here().device(device)), folder)


class Lesson:
    """The loss of the batch at a place; which examples are in it, and how they are changed, follows from seed and step.

    So a run that goes on sees what it would have seen, and several processes see what one would.
    """

    def __init__(self, found: Prepared) -> None:
        self._run, self._data = found.run, found.data
        self._size, self._count = found.recipe.train.batch, len(found.data) // found.recipe.train.batch
        self._parts = parts_of(found.run.ranks.count, found.run.how.accumulate)
        if self._size < self._parts:
            shared = f"the processes share it in {self._parts} parts"
            raise DataError(f"a batch has {self._size} rows, and {shared}; make batches larger")
        self._known: tuple[int, Tensor] | None = None
        self._device = next(found.run.module.parameters()).device

    @property
    def stand_ins(self) -> Sequence[Tensor]:
        """What the loop counts for the batches: as many, as large."""
        pieces = [len(p) for p in torch.arange(self._size).tensor_split(self._parts)]
        each = [self._data.stand_in(n) for n in pieces]
        return [each[i % self._parts] for i in range(self._count * self._parts)]

    def __call__(self, place: int) -> Tensor:
        """[]: the loss of this process's part of it."""
        at, part = divmod(place, self._parts)
        run = self._run
        order = self._order(run.step * run.how.accumulate // self._count)
        draw = torch.Generator().manual_seed(run.seed + STEP * (run.step + 1) + PLACE * (at + 1))
        taken = self._data.take(order[at * self._size : (at + 1) * self._size], draw)
        rows = torch.arange(self._size).tensor_split(self._parts)[part].tolist()
        batch = placed(taken.batch if self._parts == 1 else some(taken.batch, rows), self._device)
        output = forward(run.module, batch)
        loss = run.objective(batch, output)
        if taken.others is None:
            return loss
        others = taken.others[rows].to(self._device)
        return taken.own * loss + (1 - taken.own) * run.objective((batch[0], others), output)

    @torch.no_grad()
    def mean(self, batches: Sequence[Any]) -> float:
        """The mean loss over held-out batches, in evaluation mode."""
        module, total = self._run.module, 0.0
        module.eval()
        try:
            for one in batches:
                batch = placed(one, self._device)
                with autocast(self._run):
                    total += float(self._run.objective(batch, forward(module, batch)))
        finally:
            module.train()
        return total / len(batches)

    def forget(self) -> None:
        """Nothing is kept of a pass."""

    def _order(self, turn: int) -> Tensor:
        """The order of all examples in a pass over them."""
        if self._known is None or self._known[0] != turn:
            draw = torch.Generator().manual_seed(self._run.seed + STEP * turn)
            self._known = (turn, torch.randperm(len(self._data), generator=draw))
        return self._known[1]


def identity_of(recipe: Recipe, data: Material) -> str:
    """A digest of all that the bits of a run follow from, but for the machine."""
    from penjing.pipeline.train_recipe import told

    read = [told(recipe), data.digest, config_of(recipe.model), str(torch.__version__)]
    return sha256(json.dumps(read, sort_keys=True, default=str).encode()).hexdigest()


def told_of(found: Prepared) -> dict[str, Any]:
    """What is told of how a network was trained."""
    run, recipe = found.run, found.recipe
    seen = run.step * recipe.train.batch * run.how.accumulate
    return {
        **facts(run), found.data.unit: seen * found.data.per, "passes of the data": round(seen / len(found.data), 3),
        "held out loss": [round(loss, 6) for _, loss in (*run.held_out[:1], *run.held_out[-1:])],
        "stopped early": run.is_worn, "averaged over steps": run.average.count, "processes": run.ranks.count,
    }  # fmt: skip


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
