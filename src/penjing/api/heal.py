"""A model that was cut before, healed by the one that it was made from."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from penjing.api.keywords import Model
from penjing.api.shrink import Shrunk, carry
from penjing.core.progress import Progress, silent
from penjing.core.progress_line import shows_progress
from penjing.errors import RequestError
from penjing.pipeline.evidence import SoFar
from penjing.pipeline.export_options import Export
from penjing.pipeline.request import Data, Heal, Measure, Request, Run, Source


@shows_progress
def heal(
    model: Model, out: str | Path, *, teacher: str | PathLike[str] | None = None, method: str = "logits",
    minutes: float | None = None, tokens: int | None = None, texts: Sequence[str | PathLike[str]] = (),
    how: Heal | None = None, data: Data | None = None, measure: Measure | bool = True, run: Run | None = None,
    progress: Progress = silent, so_far: SoFar | None = None, force: bool = False,
    export: str | Sequence[str] = (),
) -> Shrunk:  # fmt: skip
    """Train a pruned model so that it does again what its `teacher` does, write it into `out`, and report.

    The teacher is the model that it was made from. It is trained for so many `minutes` or `tokens` of the `texts`
    (without any, the text that penjing ships), with what the `method` makes small. `how` holds all of that and more
    where the keywords do not do, `data` the batches of a model that takes neither text nor images. The report has the
    teacher, the model before and after, and, with `Heal(control=True)`, the teacher trained on the same tokens. A run
    that was stopped, at any moment, goes on when the same is asked again, to the same bits on the same machine.

    Raises:
        PenjingError: something does not serve; each error says what, and nothing is half written.
    """
    given: dict[str, Any] = {"teacher": teacher, "minutes": minutes, "tokens": tokens, "texts": tuple(texts)}
    given = {k: v for k, v in given.items() if v not in (None, ())} | ({} if method == "logits" else {"method": method})
    wish = Heal(**given) if how is None else replace(how, **given)
    source = model if isinstance(model, Source) else Source(model=model)
    request = Request(
        source=source, heal=wish, data=data or Data(), measure=Measure() if measure is True else measure or None,
        run=run or Run(), out=str(out), force=force, export=Export(to=export),  # type: ignore[arg-type]
    )  # fmt: skip
    return healed(request, progress=progress, so_far=so_far)


def healed(request: Request, *, progress: Progress = silent, so_far: SoFar | None = None) -> Shrunk:
    """What a request to heal asks for, done.

    Raises:
        RequestError: no teacher is named.
        PenjingError: as `heal`.
    """
    if request.heal is None or request.heal.teacher is None:
        raise RequestError("healing needs the model that this one was made from; give teacher=... (--teacher)")
    return carry(request, progress=progress, so_far=so_far)
