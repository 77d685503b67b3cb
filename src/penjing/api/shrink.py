"""The whole path in one: open, plan, carry out, measure, report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from torch import nn

from penjing import surgery
from penjing.api.keywords import Everyday, Model, asked, everyday
from penjing.api.shrunk import Shrunk
from penjing.core import Measurement, Plan, Report
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.core.progress_line import shows_progress
from penjing.errors import OutputError
from penjing.io import open_checkpoint, outside
from penjing.pipeline.carry_out import Applied, carry_out
from penjing.pipeline.command import shrink_command
from penjing.pipeline.evidence import SoFar, counted, measured, read_material
from penjing.pipeline.export_options import Export
from penjing.pipeline.exports import suited, written
from penjing.pipeline.file_evidence import with_figures
from penjing.pipeline.heal_request import recorded, repaired
from penjing.pipeline.healing import JOB, take_part
from penjing.pipeline.in_memory import Metric, Trial, module_report
from penjing.pipeline.parts import Figures
from penjing.pipeline.record import Recorded, asked_table, check_model, check_plan
from penjing.pipeline.refusals import check_export_wish, check_folder_wish, check_graph_wish, check_module_wish
from penjing.pipeline.repair import held_against
from penjing.pipeline.request import Choice, Heal, Measure, Request, Run
from penjing.pipeline.sizes import with_sizes
from penjing.pipeline.surroundings import surroundings
from penjing.pipeline.tables import from_python, place_names
from penjing.pipeline.time_check import time_notes
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
from penjing.report import SOURCE_CARD, base_of, published, save, save_card, source_card
from penjing.running.lending import Lender
from penjing.running.source import Source, as_folder, hub_id
from penjing.search.curve import check_shares, size_curve
from penjing.search.plan_for import plan_for
from penjing.surgery.memory import stock_config
from penjing.surgery.rebuilding import rebuilding_code
from penjing.train.ranks import join, leading, serve


@everyday()
@shows_progress
def shrink(
    model: Model, out: str | Path | None = None, *, data: Any = None, choice: Choice | None = None,
    heal: Heal | None = None, measure: Measure | bool = True, speed: bool = True, run: Run | None = None,
    progress: Progress = silent, so_far: SoFar | None = None, force: bool = False, held_out: Any = None,
    metric: Metric | None = None, graph: bool = False, export: str | Sequence[str] = (), **options: Unpack[Everyday],
) -> Shrunk:  # fmt: skip
    """Make a model smaller: plan, verify, write, re-open, measure, report.

    A module gives a smaller module and a report of both; anything else is written into `out`, with `report.html` and a
    model card. Text, images or `data` (batches, or a `Data`) calibrate, as in `plan`. `measure` says what is measured
    before and after, and False that nothing is; text that is also calibrated on is refused. Without `speed` nothing is
    timed. A run that was stopped, at any moment, goes on when the same is asked again. `force` replaces a result of
    penjing in `out`, and nothing else.

    Of a module in memory the report has sizes, multiply-adds, the time of a pass, how far outputs moved on the batches
    `held_out` (as the module takes them; without, on the example and one like it), and what `metric` says: it is
    called with each module and gives a number, or several by name.

    With `heal` what is left is trained before it is written, as `Heal` says; `heal` of this package is for a model that
    was cut before.

    `export` names files for other runtimes that are also written into `out`, as "gguf:q8_0": each is run there and held
    against the model, and widths are rounded to what it holds. What it cannot hold is refused before any work.

    With `graph` the smaller module is a `torch.fx.GraphModule`, recorded from the module on its example, in which every
    size is rewritten: so it is cut also where the module's code holds a size as a number, or a scale made of one.

    Raises:
        PenjingError: something does not serve; each error says what, and nothing is half written.
    """
    request = replace(
        asked(model, out, data=data, choice=choice, measure=measure, run=run, options=options), heal=heal
    )
    if request.measure is not None and not speed:
        request = replace(request, measure=replace(request.measure, speed=False))
    if request.measure is not None and (held_out is not None or metric is not None):
        request = replace(request, measure=replace(request.measure, held_out=held_out, metric=metric))
    if graph:
        request = replace(request, source=replace(request.source, graph=True))
    request = replace(request, force=force, export=Export(to=export))  # type: ignore[arg-type]
    return carry(request, progress=progress, so_far=so_far)


def carry(
    request: Request, *, earlier: Recorded | None = None, progress: Progress = silent, so_far: SoFar | None = None
) -> Shrunk:
    """What a request asks for, done; with an `earlier` run, only if it comes to the same plan.

    Of several processes the first one does it; the others train along, and give the folder alone, when it is done.

    Raises:
        PenjingError: as `shrink`.
    """
    ranks = join()
    if not ranks.first:
        serve(ranks, {JOB: take_part})
        return Shrunk(plan=Plan(), folder=Path(request.out) if request.out is not None else None)
    with leading(ranks), surroundings(threads=request.run.threads, offline=request.run.offline):
        request = replace(request, run=placed_run(request.run))
        check_graph_wish(request)
        source, module = open_source(request.source), module_of(request.source)
        if earlier is not None:
            check_model(earlier, source.weights())
        if module is not None and request.out is None:
            check_module_wish(request)
        else:
            check_folder_wish(request.measure)
            check_export_wish(request, source, progress)
        with lender_of(request.run) as lender:
            if module is not None and request.out is None:
                plan = _planned(request, source, module, lender, progress)
                if earlier is not None:
                    check_plan(earlier, plan)
                return _in_memory(module, source, plan, request, progress)
            with _unfinished(request, source) as unfinished:
                return _into_folder(request, source, unfinished, lender, earlier, progress, so_far)


def _into_folder(
    request: Request, source: Source, unfinished: Unfinished, lender: Lender, earlier: Recorded | None,
    progress: Progress, so_far: SoFar | None,
) -> Shrunk:  # fmt: skip
    cache, measure, out = cache_folder(), request.measure, unfinished.out
    wish = evidence_of(measure, request.data, calibrated=True, heal=request.heal) if measure is not None else None
    if measure is not None:
        check_shares(request.choice.method, measure.curve)
    material = read_material(as_folder(source, cache, progress), wish) if wish is not None else None

    done, plan, folders, notes = _carried_out(request, source, unfinished, lender, earlier, progress)
    files = written(request.export.to, unfinished.out, unfinished.pages, unfinished.parts, progress)
    curve = _curve(request, source, unfinished, lender, progress)
    command = shrink_command(request)
    report, notes = None, (*plan.made.get("notes", ()), *notes)
    if measure is None or wish is None:
        known = counted(folders, applied=done, notes=notes, command=command)
    else:
        known = measured(
            folders, wish, lender=lender, applied=done, material=material, notes=(*measure.notes, *notes),
            command=command, parts=unfinished.parts, progress=progress, so_far=so_far,
        )  # fmt: skip
        known = replace(known, notes=(*known.notes, *time_notes(plan.made, known)))
        if request.heal is not None:
            known = replace(known, notes=(*held_against(known), *known.notes))
        if material is not None:
            places = (unfinished.pages, out)
            files = with_figures(
                files, out, places, wish, material, lender=lender, parts=unfinished.parts, progress=progress
            )
        report = known
    known = replace(known, provenance={**known.provenance, **curve, **({"files": files} if files else {})})
    known = with_sizes(known, source, request.run.output_dtype)
    report = known if report is not None else None
    _save(published(known, place_names(request)), request, source, unfinished, pages=report is not None)
    unfinished.finish()
    return Shrunk(plan=plan, folder=out, report=report, applied=done, files=tuple(files))


def _carried_out(
    request: Request, source: Source, unfinished: Unfinished, lender: Lender, earlier: Recorded | None,
    progress: Progress,
) -> tuple[Applied, Plan, list[Path], tuple[str, ...]]:  # fmt: skip
    """(what was carried out, what of the original was taken, the folders to measure, remarks)."""
    if request.heal is not None:
        healing = repaired(
            request, source, unfinished, lender, earlier=earlier, progress=progress,
            planned=lambda: _planned(request, source, None, lender, progress),
        )  # fmt: skip
        return healing.applied, healing.cut or healing.applied.plan, list(healing.folders), healing.notes
    plan = unfinished.plan() or _planned(request, source, None, lender, progress)
    if earlier is not None:
        check_plan(earlier, plan)
    unfinished.keep_plan(plan)
    told, cache = recorded(request, unfinished, plan), cache_folder()
    manner = manner_of(request.choice, request.run, told=told, export=request.export)
    done = carry_out(
        source, plan, unfinished.out, manner, cache=cache, lender=lender, unfinished=unfinished, progress=progress
    )
    return done, plan, [as_folder(source, cache, progress), unfinished.out], ()


def _curve(
    request: Request, source: Source, unfinished: Unfinished, lender: Lender, progress: Progress
) -> dict[str, Any]:  # fmt: skip
    """The entry `curve` of the provenance, where one was asked for."""
    shares = request.measure.curve if request.measure is not None else ()
    if not shares:
        return {}

    def make() -> Figures:
        order = order_of(suited(request.choice, request.export.to), request.data, request.run, source.config)
        asked = to_plan(source, request.choice)
        found = size_curve(asked, order, shares, cache=cache_folder(), lender=lender, progress=progress)
        return {"all": [Measurement(name="curve", value=None, unit="", details=found)]}

    return {"curve": dict(unfinished.parts.take("curve", make)["all"][0].details)}


def _save(report: Report, request: Request, source: Source, unfinished: Unfinished, *, pages: bool) -> None:
    """The pages, if there is more than sizes, and the card."""
    if pages:
        save(report, unfinished.pages)
    front = source_card(unfinished.out / SOURCE_CARD)
    licence = request.measure.licence if request.measure is not None else None
    save_card(report, unfinished.pages, base=hub_id(source) or base_of(front), licence=licence, source=front)


def _planned(
    request: Request, source: Source, module: nn.Module | None, lender: Lender, progress: Progress
) -> Plan:  # fmt: skip
    choice = suited(request.choice, request.export.to)
    return plan_for(
        to_plan(source, request.choice), order_of(choice, request.data, request.run, source.config),
        machine=machine_of(request.run),
        cache=cache_folder(), module=module, lender=lender, progress=progress,
    )  # fmt: skip


def _in_memory(module: nn.Module, source: Source, plan: Plan, request: Request, progress: Progress) -> Shrunk:
    """The smaller module, with its report."""
    checkpoint, dtype = open_checkpoint(module, config=stock_config(module)), dtype_of(request.run.output_dtype)
    verified = surgery.verify(
        checkpoint, source.layout, plan, allow_sensitive=request.choice.allow_sensitive,
        by_layer=request.choice.opens_with == "penjing",
    )  # fmt: skip
    example: Any = request.source.example
    if request.source.graph:
        smaller: nn.Module = surgery.as_graph(module, source.layout, plan, verified, example=example)
    else:
        smaller = surgery.apply(module, source.layout, plan, verified=verified, example=example)
    smaller = smaller if dtype is None else smaller.to(dtype)
    report, wish = None, request.measure
    if wish is not None:
        metric: Any = wish.metric
        report = module_report(
            (module, smaller), plan, source.layout, verified,
            Trial(batches=wish.held_out, metric=metric, speed=wish.speed), example=example,
            notes=(*wish.notes, *plan.made.get("notes", ())), progress=progress,
        )  # fmt: skip
    code = "" if request.source.graph else rebuilding_code(module, smaller)
    return Shrunk(plan=plan, module=smaller, report=report, code=code)


def _unfinished(request: Request, source: Source) -> Unfinished:
    """The run that writes the result, its place found free, or left by a run of the same request, before any work.

    Raises:
        OutputError: nothing was named, or it is taken.
        FinishedError: the result is there already.
    """
    if request.out is None:
        raise OutputError("a checkpoint on disk is shrunk into a folder; found no folder; pass out=...")
    checkpoint = source.weights()
    out = outside(Path(request.out), [checkpoint.folder] if checkpoint.folder else [])
    table = asked_table(request, checkpoint)
    return Unfinished(out, table, whole=not from_python(request), replacing=request.force)
