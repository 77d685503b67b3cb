"""The one training loop: batches, a loss, an optimiser, and a method that acts at four places."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from penjing.calibrate.batches import run as forward
from penjing.core import Plan, Trains, View
from penjing.core.copies import copy_of
from penjing.core.progress import Progress, silent
from penjing.errors import DataError
from penjing.train.run import Run


def train(
    method: Trains, view: View, module: nn.Module, *, names: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Plan:
    """What the method makes of a copy of the module, trained on the data in view; the module itself stays.

    `names` maps stored names to those of the module where they differ. The plan's `made["training"]` tells the steps,
    the learning rate, and the losses of the first and the last tenth of the steps.

    Raises:
        DataError: there are no data, they do not serve, or the loss is not a number.
        BudgetError: the budget cannot be met.
    """
    batches = list(view.examples().again())
    if not batches:
        raise DataError("found no data to train on, needed at least one batch; give a text or examples")
    run = Run(
        module=copy_of(module).float().train(), model=view.model, layout=view.layout, budget=view.budget,
        steps=method.steps, learning_rate=method.learning_rate, seed=view.seed, names=names or {},
    )  # fmt: skip
    devices = sorted({p.device.index for p in run.module.parameters() if p.device.type == "cuda"})
    with torch.random.fork_rng(devices):
        torch.manual_seed(view.seed)
        method.prepare(run)
        run.put(method.step(run))
        for batch in _in_turn(batches, run):
            run.descend(method.loss(run, batch, forward(run.module, batch)))
            run.put(method.step(run))
            progress("training", run.step, run.steps)
    plan = method.finish(run)
    return Plan(plan.edits, {**plan.made, "training": _facts(run)})


def _in_turn(batches: list[Any], run: Run) -> Iterator[Any]:
    """As many batches as there are steps: all of them in an order that is drawn, and so again."""
    generator = torch.Generator().manual_seed(run.seed)
    while run.step < run.steps:
        for place in torch.randperm(len(batches), generator=generator).tolist()[: run.steps - run.step]:
            yield batches[place]


def _facts(run: Run) -> dict[str, Any]:
    tenth = max(1, len(run.losses) // 10)
    first, last = run.losses[:tenth], run.losses[-tenth:]
    means = [round(sum(part) / len(part), 6) for part in (first, last) if part]
    return {"steps": run.step, "learning_rate": run.learning_rate, "loss": means}
