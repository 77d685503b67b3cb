"""The whole path in one: open, plan, carry out, measure, report."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from torch import nn

from penjing import surgery
from penjing.api.keywords import Everyday, Model, asked, everyday
from penjing.core import Plan, Report
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.errors import OutputError
from penjing.io import check_output
from penjing.pipeline.carry_out import Applied, carry_out
from penjing.pipeline.command import shrink_command
from penjing.pipeline.evidence import SoFar, measured
from penjing.pipeline.record import Recorded, check_model, check_plan, record
from penjing.pipeline.request import Choice, Measure, Request, Run
from penjing.pipeline.surroundings import surroundings
from penjing.pipeline.time_check import time_notes
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
)
from penjing.report import save, save_card
from penjing.running.source import Source, as_folder
from penjing.search.plan_for import plan_for


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """What `shrink` gives: the plan, and the folder with its report, or the smaller module."""

    plan: Plan
    folder: Path | None = None
    module: nn.Module | None = None
    report: Report | None = None
    applied: Applied | None = None


@everyday()
def shrink(
    model: Model, out: str | Path | None = None, *, data: Any = None, choice: Choice | None = None,
    measure: Measure | bool = True, run: Run | None = None, progress: Progress = silent, so_far: SoFar | None = None,
    **options: Unpack[Everyday],
) -> Shrunk:  # fmt: skip
    """Make a model smaller: plan, verify, write, re-open, measure, report.

    A module gives a smaller module; anything else is written into `out`, with `report.html` and a model card.
    Text, images or `data` (batches, or a `Data`) calibrate, as in `plan`. `measure` says what is measured before and
    after, and False that nothing is; text that is also calibrated on is refused.

    Raises:
        PenjingError: something does not serve; each error says what, and nothing is half written.
    """
    request = asked(model, out, data=data, choice=choice, measure=measure, run=run, options=options)
    return carry(request, progress=progress, so_far=so_far)


def carry(
    request: Request, *, earlier: Recorded | None = None, progress: Progress = silent, so_far: SoFar | None = None
) -> Shrunk:
    """What a request asks for, done; with an `earlier` run, only if it comes to the same plan.

    Raises:
        PenjingError: as `shrink`.
    """
    with surroundings(threads=request.run.threads, offline=request.run.offline):
        request = replace(request, run=placed_run(request.run))
        source, module, cache = open_source(request.source), module_of(request.source), cache_folder()
        in_memory = module is not None and request.out is None
        out = Path() if in_memory else _checked(request.out, source)
        wish = evidence_of(request.measure, request.data, calibrated=True) if request.measure is not None else None
        if earlier is not None:
            check_model(earlier, source.weights())

        with lender_of(request.run) as lender:
            plan = plan_for(
                source, order_of(request.choice, request.data, request.run), machine=machine_of(request.run),
                cache=cache, module=module if in_memory else None, lender=lender, progress=progress,
            )  # fmt: skip
            if earlier is not None:
                check_plan(earlier, plan)
            if module is not None and in_memory:
                return Shrunk(plan=plan, module=_smaller(module, source, plan, request))

            told = {"request": record(request, source.weights(), plan)}
            manner = manner_of(request.choice, request.run, told=told)
            done = carry_out(source, plan, out, manner, cache=cache, lender=lender, progress=progress)
            if request.measure is None or wish is None:
                return Shrunk(plan=plan, folder=out, applied=done)

            report = measured(
                [as_folder(source, cache, progress), out], wish, lender=lender, applied=done,
                notes=(*request.measure.notes, *plan.made.get("notes", ())), command=shrink_command(request),
                progress=progress, so_far=so_far,
            )  # fmt: skip
        report = replace(report, notes=(*report.notes, *time_notes(plan.made, report)))
        save(report, out)
        hub_id = None if Path(source.name).exists() else source.name
        save_card(report, out, base=hub_id, licence=request.measure.licence)
        return Shrunk(plan=plan, folder=out, report=report, applied=done)


def _smaller(module: nn.Module, source: Source, plan: Plan, request: Request) -> nn.Module:
    sensitive, dtype = request.choice.allow_sensitive, dtype_of(request.run.output_dtype)
    smaller = surgery.apply(module, source.layout, plan, example=request.source.example, allow_sensitive=sensitive)
    return smaller if dtype is None else smaller.to(dtype)


def _checked(out: str | None, source: Source) -> Path:
    """Where the result is to lie, found free before any work.

    Raises:
        OutputError: nothing was named, or it is taken.
    """
    if out is None:
        raise OutputError("a checkpoint on disk is shrunk into a folder; found no folder; pass out=...")
    folder = source.weights().folder
    check_output(Path(out), [folder] if folder else [])
    return Path(out)
