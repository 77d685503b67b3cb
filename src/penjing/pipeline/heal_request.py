"""A request that heals, as values: what is trained, on what, from whom, and where it is kept on the way."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from penjing.core import Plan
from penjing.core.places import cache_folder
from penjing.core.progress import Progress
from penjing.errors import RequestError
from penjing.pipeline.exports import wanted
from penjing.pipeline.healing import check_pair, course_of
from penjing.pipeline.healing_data import Lessons, lessons
from penjing.pipeline.record import Recorded, record, remember
from penjing.pipeline.repair import Repaired, Workshop, repair
from penjing.pipeline.request import Data, Heal, Request
from penjing.pipeline.request import Source as Asked
from penjing.pipeline.teacher_text import about, written
from penjing.pipeline.unfinished import Unfinished
from penjing.pipeline.values import manner_of, open_source
from penjing.running.lending import Lender
from penjing.running.source import Source


def recorded(request: Request, unfinished: Unfinished, plan: Plan) -> dict[str, Any]:
    """What `penjing.json` tells of the request, once the plan is known; where its files lie is remembered here.

    Raises:
        OutputError: the cache cannot be written to.
    """
    told: dict[str, Any] = {"request": record(unfinished.asked, plan)}
    if request.export.to:
        told["exports"] = [one.file(unfinished.out.name) for one in wanted(request.export.to)]
    remember(told["request"], request, cache_folder())
    return told


def repaired(
    request: Request, source: Source, unfinished: Unfinished, lender: Lender, *, planned: Callable[[], Plan],
    earlier: Recorded | None, progress: Progress,
) -> Repaired:  # fmt: skip
    """The request's model cut as `planned` (unless a teacher was named), healed and written.

    What does not fit is refused before the model is cut.

    Raises:
        PenjingError: something does not serve.
    """
    wish, cache = request.heal, cache_folder()
    if wish is None:
        raise RequestError("nothing is asked to be healed; give minutes or tokens of healing")
    teacher, notes = source, []
    if wish.teacher is not None:
        teacher = open_source(Asked(model=wish.teacher))
        notes = check_pair(source, teacher, cache)
    found = lessons_of(source, teacher, wish, request.data, lender=lender, cache=cache, progress=progress)
    course = course_of(wish, found, request.data.seed)

    def told(plan: Plan) -> Mapping[str, Any]:
        return recorded(request, unfinished, plan)

    shop = Workshop(
        unfinished=unfinished, lender=lender, cache=cache,
        manner=manner_of(request.choice, request.run, export=request.export),
        progress=progress,
    )  # fmt: skip
    done = repair(
        source, teacher, course, shop, cut=planned if wish.teacher is None else None, record=told,
        control=wish.control,
    )  # fmt: skip
    if earlier is not None and done.applied.plan.digest() != earlier.plan_sha256:
        notes.append("training came to other bits than in the run that this one repeats, as on another machine it does")
    return replace(done, notes=(*notes, *done.notes))


def lessons_of(
    source: Source, teacher: Source, wish: Heal, data: Data, *, lender: Lender, cache: Path, progress: Progress
) -> Lessons:
    """What a model is healed on: what was named for it, or what its teacher writes.

    Raises:
        PenjingError: there is none, it is too short or cannot be read, or the teacher does not write.
    """
    seed = data.seed

    def writes(tokens: int, length: int) -> tuple[Tensor, Mapping[str, Any]]:
        rows = written(teacher, tokens=tokens, length=length, seed=seed, lender=lender, cache=cache, progress=progress)
        return rows, about(rows, seed)

    return lessons(source, wish, data, cache=cache, writes=writes, progress=progress)
