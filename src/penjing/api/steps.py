"""Each step of the path on its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from torch import nn

from penjing.api.elsewhere import measured_file, runs_elsewhere
from penjing.api.keywords import Everyday, Model, asked, everyday
from penjing.core import Layout, Plan, Report
from penjing.core.layout import globs_of
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.core.progress_line import shows_progress
from penjing.errors import OutputError
from penjing.io import OpenCheckpoint, load_plan, open_checkpoint
from penjing.pipeline.carry_out import Applied, carry_out
from penjing.pipeline.evidence import Evidence, SoFar, measured
from penjing.pipeline.outlines import outline_of
from penjing.pipeline.request import Choice, Measure, Request, Run, Source
from penjing.pipeline.surroundings import surroundings
from penjing.pipeline.unfinished import Unfinished
from penjing.pipeline.values import (
    dtype_of,
    evidence_of,
    lender_of,
    machine_of,
    manner_of,
    module_of,
    open_source,
    order_of,
    placed_run,
    to_plan,
)
from penjing.profiling.look import Look, look_at
from penjing.running.source import as_folder
from penjing.search.plan_for import plan_for
from penjing.tasks.task import Task


def open(model: str | Path | nn.Module, *, revision: str | None = None) -> OpenCheckpoint:
    """The checkpoint of a folder, a hub id, a GGUF file, a state dict or a module, read lazily.

    Raises:
        CheckpointError: it cannot be read.
    """
    return open_checkpoint(model, revision=revision)


def layout(model: Model, *, example: Any = None, table: str | Path | None = None) -> Layout:
    """The axes of a model; `example` is an input for modules that are not of transformers.

    Raises:
        CheckpointError: the model cannot be read.
        LayoutError: its axes cannot be derived.
    """
    return outline_of(_source(model, example, table)).layout


def look(model: Model, *, example: Any = None, table: str | Path | None = None, context: int = 512) -> Look:
    """What a model is made of: parameters, bytes, multiply-adds, cache, the share of each part, the axes.

    Raises:
        CheckpointError: the model cannot be read.
        LayoutError: its axes cannot be derived.
    """
    return look_at(outline_of(_source(model, example, table)), context=context)


def _source(model: Model, example: Any, table: str | Path | None) -> Source:
    return model if isinstance(model, Source) else Source(
        model=model, example=example, table=None if table is None else str(table)
    )


@everyday()
@shows_progress
def plan(
    model: Model, *, data: Any = None, choice: Choice | None = None, run: Run | None = None,
    progress: Progress = silent, **options: Unpack[Everyday],
) -> Plan:  # fmt: skip
    """What a method would remove. Nothing is changed.

    Give `keep` or a whole `budget`; with neither, 0.75 of the units stay, or what the method says. `texts` are
    files of calibration text, `images` folders, .npz or idx files (these with `labels`), `data` batches for a module
    of your own, or a callable that gives them anew each time; `batch` is how many examples go together. Method "auto"
    tries several on held-out data and takes the best. What has no keyword of its own is in `choice` and `run`.

    Raises:
        PenjingError: the model, the method, the budget or the data does not serve; each error says why.
    """
    return planned(asked(model, data=data, choice=choice, run=run, options=options), progress=progress)


def planned(request: Request, *, progress: Progress = silent) -> Plan:
    """The plan that a request asks for.

    Raises:
        PenjingError: as `plan`.
    """
    with surroundings(threads=request.run.threads, offline=request.run.offline):
        source, module = open_source(request.source), module_of(request.source)
        order = order_of(request.choice, request.data, request.run, source.config)
        run = placed_run(request.run)
        with lender_of(run) as lender:
            return plan_for(
                to_plan(source, request.choice), order, machine=machine_of(run), cache=cache_folder(), module=module,
                lender=lender, progress=progress,
            )  # fmt: skip


@shows_progress
def apply(
    model: Model, plan: Plan | str | Path, out: str | Path | None = None, *, example: Any = None,
    table: str | Path | None = None, allow_sensitive: bool = False, allow_nonfinite: bool = False,
    reopening: bool = True, stock: bool = True, opens_with: str = "stock", run: Run | None = None,
    progress: Progress = silent,
) -> Applied | nn.Module:  # fmt: skip
    """Carry out a plan: into the folder `out`, or, for a module without `out`, as a smaller module.

    A module of transformers stays one that its config can build, unless `stock` is False: then any free axis may go, an
    `example` is needed to hold the result to its mask, and what it saves no stock loader opens.

    With `opens_with="penjing"` the layers of a stock model may end at widths of their own; then `penjing.load` opens
    the result, and no stock loader does. `reopening` opens the result in a fresh process and compares outputs, which
    needs the model in memory; without it nothing larger than one tensor is.

    Raises:
        PlanError: it cannot be carried out; nothing was written.
        OutputError: `out` cannot be written.
    """
    source = _source(model, example, table)
    choice = Choice(allow_sensitive=allow_sensitive, allow_nonfinite=allow_nonfinite, opens_with=opens_with)
    edits = plan if isinstance(plan, Plan) else load_plan(Path(plan))
    if (module := module_of(source)) is not None and out is None:
        from penjing import surgery

        layout = open_source(source).layout
        known = None
        if stock:
            known = surgery.verify(
                open_checkpoint(module, config=surgery.stock_config(module)), layout, edits,
                allow_sensitive=allow_sensitive, by_layer=opens_with == "penjing",
            )  # fmt: skip
        smaller = surgery.apply(
            module, layout, edits, verified=known, example=example, allow_sensitive=allow_sensitive, stock=stock
        )
        dtype = dtype_of((run or Run()).output_dtype)
        return smaller if dtype is None else smaller.to(dtype)
    if out is None:
        raise OutputError("a checkpoint on disk is carried out into a folder; found no folder; pass out=...")
    return applied(source, edits, Path(out), choice, run or Run(), reopening=reopening, progress=progress)


def applied(
    source: Source, plan: Plan, out: Path, choice: Choice, run: Run, *, reopening: bool = True,
    progress: Progress = silent,
) -> Applied:  # fmt: skip
    """A plan carried out into a folder; of `choice` only what it allows is heeded.

    Raises:
        PlanError: as `apply`.
        OutputError: as `apply`.
    """
    with surroundings(threads=run.threads, offline=run.offline):
        opened = open_source(source)
        asked = _applying(opened.weights().fingerprint, plan, choice, run)
        manner = manner_of(choice, run, reopening=reopening, told={"applied": asked})
        with lender_of(run) as lender, Unfinished(out, asked, entry="applied") as unfinished:
            done = carry_out(
                opened, plan, out, manner, cache=cache_folder(), lender=lender, unfinished=unfinished,
                progress=progress,
            )  # fmt: skip
            unfinished.finish()
            return done


def _applying(fingerprint: str, plan: Plan, choice: Choice, run: Run) -> dict[str, Any]:
    """What was asked of a plan, as the result's `penjing.json` says it: the same again goes on where it was stopped."""
    return {
        "fingerprint": fingerprint, "plan_sha256": plan.digest(), "allow_sensitive": choice.allow_sensitive,
        "allow_nonfinite": choice.allow_nonfinite, "opens_with": choice.opens_with, "output_dtype": run.output_dtype,
    }  # fmt: skip


@shows_progress
def measure(
    model: str | Path, *, texts: Sequence[str | Path] = (), tasks: Sequence[str | Task] = (), speed: bool = True,
    length: int | None = None, against: str | Path | None = None, run: Run | None = None, command: str = "",
    progress: Progress = silent, so_far: SoFar | None = None,
) -> Report:  # fmt: skip
    """The figures of one model; `tasks` are named as on the command line, or your own.

    A GGUF or ONNX file is measured in the runtime that runs it, and held `against` the checkpoint that it was made of,
    where that is named.

    Raises:
        PenjingError: the model or the text does not serve.
    """
    wish = evidence_of(Measure(texts=tuple(map(str, texts)), tasks=tuple(tasks), speed=speed, length=length))
    source, other = Source(model=model), None if against is None else Source(model=str(against))
    return measured_alone(source, wish, run or Run(), against=other, command=command, progress=progress, so_far=so_far)


def measured_alone(
    source: Source, wish: Evidence, run: Run, *, against: Source | None = None, notes: Sequence[str] = (),
    command: str = "", progress: Progress = silent, so_far: SoFar | None = None,
) -> Report:  # fmt: skip
    """The figures that are wished for, of one model or file.

    Raises:
        PenjingError: as `measure`.
    """
    if runs_elsewhere(source.model, against):
        path = Path(str(source.model))
        return measured_file(path, wish, run, against=against, notes=notes, command=command, progress=progress)
    return compared([source], wish, run, notes=notes, command=command, progress=progress, so_far=so_far)


@shows_progress
def compare(
    base: str | Path, others: Sequence[str | Path], *, texts: Sequence[str | Path] = (),
    tasks: Sequence[str | Task] = (), speed: bool = True, length: int | None = None, run: Run | None = None,
    command: str = "", progress: Progress = silent, so_far: SoFar | None = None,
) -> Report:  # fmt: skip
    """The figures of several models, with ratios to the first, and paired differences from it.

    `so_far` is called with the report as it grows: after the costs, texts and times, and after each model's tasks.

    Raises:
        PenjingError: a model or the text does not serve.
    """
    wish = evidence_of(Measure(texts=tuple(map(str, texts)), tasks=tuple(tasks), speed=speed, length=length))
    models = [m if isinstance(m, Source) else Source(model=m) for m in (base, *others)]
    return compared(models, wish, run or Run(), command=command, progress=progress, so_far=so_far)


def compared(
    models: Sequence[Source], wish: Evidence, run: Run, *, notes: Sequence[str] = (), command: str = "",
    progress: Progress = silent, so_far: SoFar | None = None,
) -> Report:  # fmt: skip
    """The figures that are wished for, of models of which the first is the original.

    Raises:
        PenjingError: as `compare`.
    """
    cache = cache_folder()
    with surroundings(threads=run.threads, offline=run.offline), lender_of(run) as lender:
        folders = [as_folder(open_source(m), cache, progress) for m in models]
        return measured(
            folders, wish, lender=lender, notes=notes, command=command, progress=progress, so_far=so_far
        )


def compact(
    module: nn.Module, *, example: Any, axes: str | None = None, protect: str | Sequence[str] = ()
) -> nn.Module:
    """A smaller copy of a pruned module, without the units that do nothing; its outputs are the same.

    Masks of `torch.nn.utils.prune` may still be attached. Constants that units leave go into the biases behind them.
    Where nothing can go, the module itself comes back, with a warning.

    Raises:
        LayoutError: the axes cannot be derived, or no axis matches.
        PlanError: the smaller module's outputs are not the same.
    """
    from penjing.pipeline.compacting import compact as compacted

    return compacted(module, example=example, axes=axes, protect=globs_of(protect))
