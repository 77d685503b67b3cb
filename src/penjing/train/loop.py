"""The one training loop: batches, a loss, an optimiser, and a method that acts at four places."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate.batches import examples, tokens
from penjing.calibrate.batches import run as forward
from penjing.core import Plan, Trains, View
from penjing.core.copies import copy_of
from penjing.core.progress import Progress, silent
from penjing.errors import DataError, TrainingError
from penjing.train.keeper import Keeps
from penjing.train.log import Pace, StepLog
from penjing.train.ranks import parts_of, told_if_lost
from penjing.train.run import Run
from penjing.train.sharding import mine
from penjing.train.state import restore, state_of

WORTH = 10_000_000
"""Parameters from which a processor with matrix units for bfloat16 is the faster by them."""
LOOKS = 10
"""How often, in all, the loss on held-out data is taken."""
WINDOW = 20
"""Steps over which losses are averaged to see whether they explode."""


def fit(
    run: Run, batches: Sequence[Any], loss: Callable[[int], Tensor], *, after: Callable[[], None] = lambda: None,
    held_out: Callable[[], float] | None = None, keeper: Keeps | None = None, log: StepLog | None = None,
    progress: Progress = silent,
) -> None:  # fmt: skip
    """Train until the run is finished; with a `keeper` it goes on where an earlier process of the same run was killed.

    `loss` gives [] of the batch at a place; `after` comes before the first step and after each. The order of the
    batches is drawn by the run's seed, all of them and so again. On a processor, the same threads compute the same
    bits, killed and gone on or not. The random state of torch is the caller's to fork (`seeded`). Of several processes
    each takes its part of the rows of a step, and `batches` are the parts that `sharding.cut` makes.

    Raises:
        TrainingError: the loss is not a number, or explodes; the newest state stays.
        DataError: a batch does not serve.
        OutputError: the log cannot be written.
    """
    known = keeper.newest() if keeper is not None else None
    if known is not None:
        restore(run, *known)
    else:
        after()
    if log is not None:
        log.go_on(run.step)
    pace = Pace(progress, run.step, run.steps, unit_of(batches[0]))
    batches_of_all = len(batches) // parts_of(run.ranks.count, run.how.accumulate)
    turns = islice(in_turn(batches_of_all, run.seed), run.step * run.how.accumulate, None)
    between = max(1, run.steps // LOOKS)
    while not run.finished:
        count = 0
        for place, weight in mine(list(islice(turns, run.how.accumulate)), batches, run.ranks, run.how.accumulate):
            with autocast(run), told_if_lost(run.ranks):
                value = loss(place)
            run.gather(value, weight=weight)
            count += size_of(batches[place]) * run.ranks.count
        run.descend()
        after()
        _refuse_exploded(run, keeper)
        told = {"step": run.step, "loss": run.losses[-1], "norm": run.norm, "rate": _rate(run)}
        told |= pace.tell(run.step, count)
        if held_out is not None and (run.step % between == 0 or run.step == run.steps):
            run.judge(run.ranks.agree(held_out()))
            told["held_out"] = run.held_out[-1][1]
        if log is not None:
            log.write(**told)
        if keeper is not None and (keeper.due() or run.finished):
            keeper.save(*state_of(run))
    run.settle()


def train(
    method: Trains, view: View, module: nn.Module, *, names: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Plan:  # fmt: skip
    """What the method makes of a copy of the module, trained on the data in view; the module itself stays.

    `names` maps stored names to those of the module where they differ. The plan's `made["training"]` tells the steps,
    the learning rate, and the losses of the first and the last tenth of the steps.

    Raises:
        DataError: there are no data, or they do not serve.
        TrainingError: the loss is not a number.
        BudgetError: the budget cannot be met.
    """
    batches = list(view.examples().again())
    if not batches:
        raise DataError("found no data to train on, needed at least one batch; give a text or examples")
    run = Run(
        module=copy_of(module).float().train(), model=view.model, layout=view.layout, budget=view.budget,
        steps=method.steps, learning_rate=method.learning_rate, seed=view.seed, names=names or {},
    )  # fmt: skip
    with seeded(run):
        method.prepare(run)

        def loss(place: int) -> Tensor:
            return method.loss(run, batches[place], forward(run.module, batches[place]))

        fit(run, batches, loss, after=lambda: run.put(method.step(run)), progress=progress)
    plan = method.finish(run)
    return Plan(plan.edits, {**plan.made, "training": facts(run)})


@contextmanager
def seeded(run: Run) -> Iterator[None]:
    """Everything random follows from the run's seed while the block runs; afterwards torch draws as if nothing were."""
    devices = sorted({p.device.index for p in run.module.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices):
        torch.manual_seed(run.seed)
        yield


def in_turn(count: int, seed: int) -> Iterator[int]:
    """The places of so many batches without end: all of them in an order that is drawn, and so again."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(count, generator=generator).tolist()


def autocast(run: Run) -> AbstractContextManager[Any]:
    """Products in bfloat16 where the run's settings say so, or where `auto` finds that it pays (`in_bfloat16`)."""
    if in_bfloat16(run):
        return torch.autocast(_kind(run), dtype=torch.bfloat16)
    return nullcontext()


def in_bfloat16(run: Run) -> bool:
    """Whether products run in bfloat16: as wished, or on a GPU that has it, or on matrix units of a processor.

    On a processor only from `WORTH` parameters on: small products are not faster by it, and float32 says more.
    """
    wished = run.how.autocast
    if wished != "auto":
        return wished == "bfloat16"
    if _kind(run) == "cuda":
        return torch.cuda.is_bf16_supported()
    return _kind(run) == "cpu" and has_matrix_units() and sum(p.numel() for p in run.module.parameters()) >= WORTH


def has_matrix_units() -> bool:
    """Whether the processor multiplies matrices of bfloat16 by units of its own (AMX)."""
    told = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(told.get("amx_bf16"))


def _kind(run: Run) -> str:
    return next(iter(run.module.parameters())).device.type


def unit_of(batch: Any) -> str:
    """What a batch is counted in: tokens or examples."""
    return "tokens" if tokens(batch) is not None else "examples"


def size_of(batch: Any) -> int:
    """How many tokens a batch has, padding left out, or examples where there are no tokens."""
    found = tokens(batch)
    if found is None:
        return examples(batch)
    ids, mask = found
    return int(ids.numel() if mask is None else (mask != 0).sum())


def facts(run: Run) -> dict[str, Any]:
    """What a plan tells of a run: steps, learning rate, the mean losses of its first and last tenth."""
    tenth = max(1, len(run.losses) // 10)
    first, last = run.losses[:tenth], run.losses[-tenth:]
    means = [round(sum(part) / len(part), 6) for part in (first, last) if part]
    return {"steps": run.step, "learning_rate": run.learning_rate, "loss": means}


def _rate(run: Run) -> float:
    return run.learning_rate * run.rate(run.step - 1)


def _refuse_exploded(run: Run, keeper: Keeps | None) -> None:
    """Stop where the mean loss of the last steps is far above the lowest one so far.

    Without a keeper a method prunes as it trains, and a loss that rises is its own.
    """
    if keeper is None or run.step < 2 * WINDOW or run.step % WINDOW:
        return
    means = [sum(run.losses[i : i + WINDOW]) / WINDOW for i in range(0, run.step, WINDOW)]
    lowest = min(means)
    if means[-1] > 2 * abs(lowest) + 2:
        raise TrainingError(
            f"the loss explodes: over the steps to {run.step} it is {means[-1]:.4g}, and it was {lowest:.4g}; lower "
            "the learning rate, or clip more"
        )
