"""What the rooms below get: values, made of a request. None of them receives the request itself."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from penjing.core import Budget
from penjing.core.places import cache_folder
from penjing.core.progress import Progress
from penjing.core.spec import opens_with
from penjing.data import shipped
from penjing.evaluate.scoring import fitting
from penjing.methods import METHODS
from penjing.pipeline.carry_out import Manner
from penjing.pipeline.evidence import Evidence
from penjing.pipeline.export_options import Export
from penjing.pipeline.exports import check_result, wanted
from penjing.pipeline.heal_options import Heal
from penjing.pipeline.healing_data import paths_of
from penjing.pipeline.request import Choice, Data, Measure, Run, Source
from penjing.planning.order import Order
from penjing.running import source as running_source
from penjing.running.lending import Lender
from penjing.running.opened import Opened
from penjing.running.placing import find_device
from penjing.search.max_seconds import Machine
from penjing.select.usual import beyond_entries
from penjing.tasks.reading import read_tasks

USUAL = Budget(keep=0.75)
"""What stays where nobody says, unless the method has a budget of its own."""


def open_source(source: Source, *, weights: bool = True) -> running_source.Source:
    """The model, opened, with its layout.

    Raises:
        CheckpointError: the model cannot be read.
        LayoutError: its axes cannot be derived, or the table does not fit.
    """
    model: Any = source.model
    return running_source.resolve(
        model, example=source.example, table=_path(source.table), weights=weights, revision=source.revision,
        graph=source.graph,
    )  # fmt: skip


def module_of(source: Source) -> nn.Module | None:
    """The model itself, where it lies in memory."""
    return source.model if isinstance(source.model, nn.Module) else None


def order_of(choice: Choice, data: Data, run: Run, config: Mapping[str, Any]) -> Order:
    """The order for a plan of the model with this config, whose positions bound the rows' length.

    Raises:
        BudgetError: the budget is out of range.
    """
    batches: Any = data.batches
    return Order(
        method=choice.method, budget=budget_of(choice), settings=choice.all_settings(),
        texts=tuple(map(Path, data.texts)), images=tuple(map(Path, data.images)),
        audio=tuple(map(Path, data.audio)), labels=_path(data.labels),
        batches=batches, batch=data.batch, rows=data.rows, length=fitting(data.length, config),
        seed=data.seed, memory=run.memory, stored=dtype_of(run.output_dtype),
    )  # fmt: skip


def to_plan(source: running_source.Source, choice: Choice) -> running_source.Source:
    """The model as plans are made of it: what `penjing.load` alone may open may go beyond the config's entries."""
    if choice.opens_with == "stock" and opens_with(source.config) == "stock":
        return source
    return replace(source, layout=beyond_entries(source.layout))


def budget_of(choice: Choice) -> Budget:
    """The budget that was given, or the method's own, or 0.75 of the units.

    Raises:
        BudgetError: it is out of range.
    """
    given = choice.budget()
    if given is not None:
        return given
    return getattr(METHODS.load(choice.method), "DEFAULT", USUAL) if choice.method in METHODS.names() else USUAL


@contextmanager
def lent(source: running_source.Source, module: nn.Module | None, run: Run, progress: Progress) -> Iterator[nn.Module]:
    """The module to try plans on: the one in memory, or that of the checkpoint, on the device that was asked for.

    Raises:
        DeviceError: there is no such device.
        CheckpointError: it cannot be opened.
    """
    with Opened(source, cache=cache_folder(), module=module, lender=lender_of(run), progress=progress) as opened:
        yield opened.module()


def machine_of(run: Run) -> Machine:
    """What times are of."""
    return Machine(device=run.device, dtype=run.dtype or run.output_dtype, threads=run.threads)


def placed_run(run: Run) -> Run:
    """The run on a device that is there: what `auto` stands for is named.

    Raises:
        DeviceError: there is no such device.
    """
    return replace(run, device=find_device(run.device))


def lender_of(run: Run) -> Lender:
    """What opens models, on the device and in the type that were asked for.

    Raises:
        DeviceError: there is no such device.
    """
    return Lender(device=run.device, dtype=run.dtype, threads=run.threads)


def dtype_of(name: str | None) -> torch.dtype | None:
    """The type of a name such as "bfloat16"; None for None."""
    return None if name is None else getattr(torch, name)


def manner_of(
    choice: Choice, run: Run, *, reopening: bool = True, told: Mapping[str, Any] | None = None,
    export: Export | None = None,
) -> Manner:  # fmt: skip
    """How a plan is carried out; a result that a format of `export` cannot hold is refused."""
    asked = wanted(export.to) if export is not None else ()
    return Manner(
        allow_sensitive=choice.allow_sensitive, allow_nonfinite=choice.allow_nonfinite, reopening=reopening,
        dtype=dtype_of(run.output_dtype), told=told or {}, by_layer=choice.opens_with == "penjing",
        check=partial(check_result, asked),
    )  # fmt: skip


def evidence_of(
    measure: Measure, data: Data | None = None, *, calibrated: bool = False, heal: Heal | None = None
) -> Evidence:
    """What is to be measured; text that a plan was made from (`calibrated`) or that healed (`heal`) is refused.

    Raises:
        DataError: a task is unknown or its file cannot be read.
    """
    data = data or Data()
    named = [t for t in measure.tasks if isinstance(t, str)]
    own: list[Any] = [t for t in measure.tasks if not isinstance(t, str)]
    read = read_tasks(named, limit=measure.limit, shots=measure.shots, seed=data.seed)
    seen = tuple(map(Path, data.texts)) if calibrated else None
    if heal is not None and heal.texts:
        seen = (*(seen or (() if heal.teacher else shipped("calibration"))), *paths_of(heal, data))
    return Evidence(
        texts=tuple(map(Path, measure.texts)), calibration=seen,
        length=measure.length or data.length, speed=measure.speed,
        answers=measure.answers,
        by_block=measure.by_block,
        tasks=(*read, *own),
    )  # fmt: skip


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
