"""What is found out by trying: which part can be cut, which data to plan from, which shape is worth its size."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from penjing.api.keywords import Everyday, Model, asked, everyday
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.core.progress_line import shows_progress
from penjing.errors import RequestError
from penjing.pipeline.asking import AxisData, SelectedData, Selecting, Sensing, Shaping
from penjing.pipeline.heal_request import lessons_of
from penjing.pipeline.healing import course_of
from penjing.pipeline.request import Choice, Data, Heal, Request, Run
from penjing.pipeline.request import Source as AskedSource
from penjing.pipeline.shape_search import METHOD, Bench, ShapeSearch, Within
from penjing.pipeline.shape_search import search_shapes as find_shapes
from penjing.pipeline.surroundings import surroundings
from penjing.pipeline.values import lender_of, lent, module_of, open_source, order_of
from penjing.search.candidates import Search
from penjing.search.data_selection import Selection
from penjing.search.data_selection import select_data as choose_data
from penjing.search.sensitivity import Sensitivity, measure_sensitivity


@everyday(data=AxisData, leave=("keep", "budget"))
@shows_progress
def sensitivity(
    model: Model, *, axes: str | None = None, fractions: Sequence[float] = (0.75, 0.5, 0.25), held_out: int = 8,
    data: Any = None, choice: Choice | None = None, run: Run | None = None, progress: Progress = silent,
    **options: Unpack[Everyday],
) -> Sensitivity:  # fmt: skip
    """What cutting each axis alone, to each share of `fractions`, adds to the loss on data that no plan is made from.

    Raises:
        PenjingError: nothing was removed, or the model, the method or the data does not serve.
    """
    request = asked(model, data=data, choice=choice, run=run, options=options, usual=AxisData())
    request = request if axes is None else replace(request, choice=replace(request.choice, axes=axes))
    return sensed(request, Sensing(fractions=tuple(fractions), held_out=held_out), progress=progress)


def sensed(request: Request, sensing: Sensing, *, progress: Progress = silent) -> Sensitivity:
    """The sensitivities that a request asks for; its axes are those that are cut one by one.

    Raises:
        PenjingError: as `sensitivity`.
    """
    with surroundings(threads=request.run.threads, offline=request.run.offline):
        source = open_source(request.source)
        order = order_of(replace(request.choice, axes=None, keep=1.0), request.data, request.run, source.config)
        with lent(source, module_of(request.source), request.run, progress) as module:
            return measure_sensitivity(
                source, order, axes=request.choice.axes, fractions=sensing.fractions, held_out=sensing.held_out,
                cache=cache_folder(), module=module, progress=progress,
            )  # fmt: skip


@everyday(data=SelectedData)
@shows_progress
def select_data(
    model: Model, *, candidates: int | None = None, each: bool = False, held_out: int = 64,
    held_out_texts: Sequence[str | Path] = (), data: Any = None, choice: Choice | None = None, run: Run | None = None,
    progress: Progress = silent, **options: Unpack[Everyday],
) -> Selection:  # fmt: skip
    """Which calibration data to take: candidates ranked by the divergence that plans made from them leave.

    `candidates` draws (10) of all the data, or, with `each`, of each file (1), or each batch of `data`; `held_out` rows
    that none of them holds are judged on. `penjing.plan(model, **found.made_again)` makes the best one's plan.

    Raises:
        PenjingError: there is nothing to choose among, or the model, the method or the data does not serve.
    """
    request = asked(model, data=data, choice=choice, run=run, options=options, usual=SelectedData())
    selecting = Selecting(
        candidates=candidates, each=each, held_out=held_out, held_out_texts=tuple(map(str, held_out_texts))
    )
    return selected(request, selecting, progress=progress)


def selected(request: Request, selecting: Selecting, *, progress: Progress = silent) -> Selection:
    """The calibration data that a request asks to choose.

    Raises:
        PenjingError: as `select_data`.
    """
    search = Search(
        candidates=selecting.candidates, each=selecting.each, held_out=selecting.held_out,
        held_out_texts=tuple(map(Path, selecting.held_out_texts)),
    )  # fmt: skip
    with surroundings(threads=request.run.threads, offline=request.run.offline):
        source = open_source(request.source)
        order = order_of(request.choice, request.data, request.run, source.config)
        with lent(source, module_of(request.source), request.run, progress) as module:
            return choose_data(source, order, search, cache=cache_folder(), module=module, progress=progress)


@shows_progress
def search_shapes(
    model: Model, limit_parameters: int, *, tokens: int | None = None, kinds: Sequence[str] = (), candidates: int = 8,
    tolerance: float = 0.05, least: float = 0.4, texts: Sequence[str | Path] = (), how: Heal | None = None,
    data: Data | None = None, run: Run | None = None, progress: Progress = silent,
) -> ShapeSearch:  # fmt: skip
    """Which shape is worth so many parameters: candidates trimmed, healed on so many `tokens` each, and ranked.

    Shapes are within `tolerance` of the limit and keep at least the share `least` of each kind. `texts` are healed by;
    `how` holds all of healing where the keywords do not do. `penjing.shrink(model, out, method="minitron",
    settings={"shape": found.tried[0].shape}, ...)` makes the best one.

    Raises:
        PenjingError: no shape meets the limit, or the model or the data does not serve.
    """
    given: dict[str, Any] = {"tokens": tokens, "texts": tuple(map(str, texts))}
    given = {k: v for k, v in given.items() if v not in (None, ())}
    wish = Heal(**given) if how is None else replace(how, **given)
    asked_shapes = Shaping(
        limit_parameters=limit_parameters, kinds=tuple(kinds), candidates=candidates, tolerance=tolerance, least=least
    )
    source = model if isinstance(model, AskedSource) else AskedSource(model=model)
    request = Request(source=source, heal=wish, data=data or Data(), run=run or Run())
    return shaped(request, asked_shapes, progress=progress)


def shaped(request: Request, shaping: Shaping, *, progress: Progress = silent) -> ShapeSearch:
    """The shapes that a request asks to look for.

    Raises:
        RequestError: healing is asked for in minutes, in which shapes get different numbers of steps.
        PenjingError: as `search_shapes`.
    """
    wish = request.heal
    if wish is None or wish.tokens is None or wish.teacher is not None:
        raise RequestError("every shape is healed by the whole model on the same tokens; give tokens (--heal-tokens)")
    cache = cache_folder()
    with surroundings(threads=request.run.threads, offline=request.run.offline), lender_of(request.run) as lender:
        source = open_source(request.source)
        order = order_of(replace(request.choice, method=METHOD), request.data, request.run, source.config)
        found = lessons_of(source, source, wish, request.data, lender=lender, cache=cache, progress=progress)
        bench = Bench(
            source=source, order=order, course=course_of(wish, found, request.data.seed), lender=lender, cache=cache,
            progress=progress,
        )  # fmt: skip
        within = Within(
            parameters=shaping.limit_parameters, kinds=shaping.kinds, tolerance=shaping.tolerance,
            most=shaping.candidates, least=shaping.least, multiple=shaping.multiple,
        )  # fmt: skip
        return find_shapes(bench, within)
