"""Each step of the path on its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from penjing.api.arguments import Batches, Model, order
from penjing.api.arguments import budget as wanted_budget
from penjing.core import Budget, Layout, Plan, Report
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.errors import OutputError
from penjing.io import OpenCheckpoint, load_plan, open_checkpoint
from penjing.pipeline.carry_out import Applied, carry_out
from penjing.pipeline.evidence import Evidence, SoFar, measured
from penjing.planning.plans import LENGTH, ROWS
from penjing.profiling.look import Look, look_at
from penjing.running.source import as_folder, resolve
from penjing.search.auto import plan_for
from penjing.tasks.task import Task


def open(model: Model, *, revision: str | None = None) -> OpenCheckpoint:
    """The checkpoint of a folder, a hub id, a GGUF file, a state dict or a module, read lazily.

    Raises:
        CheckpointError: it cannot be read.
    """
    return open_checkpoint(model, revision=revision)


def layout(model: Model, *, example: Any = None, table: Path | None = None) -> Layout:
    """The axes of a model; `example` is an input for modules that are not of transformers.

    Raises:
        CheckpointError: the model cannot be read.
        LayoutError: its axes cannot be derived.
    """
    return resolve(model, example=example, table=table, weights=False).layout


def look(model: Model, *, example: Any = None, table: Path | None = None, context: int = LENGTH) -> Look:
    """What a model is made of: parameters, bytes, multiply-adds, cache, the share of each part, the axes.

    Raises:
        CheckpointError: the model cannot be read.
        LayoutError: its axes cannot be derived.
    """
    return look_at(resolve(model, example=example, table=table, weights=False), context=context)


def plan(
    model: Model, *, method: str = "activation", budget: Budget | None = None, keep: float | None = None,
    settings: Mapping[str, Any] | None = None, texts: Sequence[str | Path] = (), images: Sequence[str | Path] = (),
    labels: str | Path | None = None, data: Batches | None = None, rows: int = ROWS, length: int = LENGTH,
    batch: int | None = None, memory: int | None = None, seed: int = 0, example: Any = None, table: Path | None = None,
    progress: Progress = silent,
) -> Plan:  # fmt: skip
    """What a method would remove. Nothing is changed.

    Give `keep` or a whole `budget`; with neither, 0.75 of the units stay, or what the method says. `texts` are
    files of calibration text, `images` folders, .npz or idx files (these with `labels`), `data` batches for a module
    of your own, or a callable that gives them anew each time; `batch` is how many examples go together. A
    model that takes more than `memory` bytes is run block by block. Method "auto" tries several on held-out data and
    takes the best.

    Raises:
        PenjingError: the model, the method, the budget or the data does not serve; each error says why.
    """
    source = resolve(model, example=example, table=table)
    asked = order(
        method, wanted_budget(method, budget, keep), settings=settings, texts=texts, images=images, labels=labels,
        data=data, batch=batch, rows=rows, length=length, seed=seed, memory=memory,
    )  # fmt: skip
    module = model if isinstance(model, nn.Module) else None
    return plan_for(source, asked, cache=cache_folder(), module=module, progress=progress)


def apply(
    model: Model,
    plan: Plan | str | Path,
    out: str | Path | None = None,
    *,
    example: Any = None,
    table: Path | None = None,
    allow_sensitive: bool = False,
    allow_nonfinite: bool = False,
    reopening: bool = True,
    stock: bool = True,
    progress: Progress = silent,
) -> Applied | nn.Module:
    """Carry out a plan: into the folder `out`, or, for a module without `out`, as a smaller module.

    A module of transformers stays one that its config can build, unless `stock` is False: then any free axis may go, an
    `example` is needed to hold the result to its mask, and what it saves no stock loader opens.

    `reopening` opens the result with the stock loader in a fresh process and compares outputs, which needs the model
    in memory; without it nothing larger than one tensor is.

    Raises:
        PlanError: it cannot be carried out; nothing was written.
        OutputError: `out` cannot be written.
    """
    edits = plan if isinstance(plan, Plan) else load_plan(Path(plan))
    source = resolve(model, example=example, table=table)
    if isinstance(model, nn.Module) and out is None:
        from penjing import surgery

        return surgery.apply(model, source.layout, edits, example=example, allow_sensitive=allow_sensitive, stock=stock)
    if out is None:
        raise OutputError("a checkpoint on disk is carried out into a folder; found no folder; pass out=...")
    return carry_out(
        source, edits, Path(out), cache=cache_folder(), allow_sensitive=allow_sensitive,
        allow_nonfinite=allow_nonfinite, reopening=reopening, progress=progress,
    )  # fmt: skip


def measure(
    model: str | Path, *, texts: Sequence[str | Path] = (), tasks: Sequence[Task] = (), speed: bool = True,
    length: int = LENGTH, command: str = "", progress: Progress = silent, so_far: SoFar | None = None,
) -> Report:  # fmt: skip
    """The figures of one model; `tasks` are those of `penjing.pipeline.tasks.read_tasks`, or your own.

    Raises:
        PenjingError: the model or the text does not serve.
    """
    return compare(
        model, [], texts=texts, tasks=tasks, speed=speed, length=length, command=command, progress=progress,
        so_far=so_far
    )


def compare(
    base: str | Path, others: Sequence[str | Path], *, texts: Sequence[str | Path] = (), tasks: Sequence[Task] = (),
    speed: bool = True, length: int = LENGTH, command: str = "", progress: Progress = silent,
    so_far: SoFar | None = None,
) -> Report:  # fmt: skip
    """The figures of several models, with ratios to the first, and paired differences from it.

    `so_far` is called with the report as it grows: after the costs, texts and times, and after each model's tasks.

    Raises:
        PenjingError: a model or the text does not serve.
    """
    cache = cache_folder()
    folders = [as_folder(resolve(m), cache, progress) for m in [base, *others]]
    wish = Evidence(texts=tuple(Path(t) for t in texts), tasks=tuple(tasks), speed=speed, length=length)
    return measured(folders, wish, command=command, progress=progress, so_far=so_far)


def compact(module: nn.Module, *, example: Any, axes: str | None = None, protect: Sequence[str] = ()) -> nn.Module:
    """A smaller copy of a pruned module, without the units that do nothing; its outputs are the same.

    Masks of `torch.nn.utils.prune` may still be attached. Constants that units leave go into the biases behind them.
    Where nothing can go, the module itself comes back, with a warning.

    Raises:
        LayoutError: the axes cannot be derived, or no axis matches.
        PlanError: the smaller module's outputs are not the same.
    """
    from penjing.pipeline.compacting import compact as compacted

    return compacted(module, example=example, axes=axes, protect=tuple(protect))
