"""A run from a file: a recipe, or the record of an earlier run, which is repeated exactly."""

from dataclasses import replace
from pathlib import Path

from penjing.api.shrink import Shrunk, carry
from penjing.core.progress import Progress, silent
from penjing.core.progress_line import shows_progress
from penjing.errors import OutputError
from penjing.pipeline.evidence import SoFar
from penjing.pipeline.recipe import read_recipe
from penjing.pipeline.record import Recorded, read_record
from penjing.pipeline.request import Request


@shows_progress
def run(
    file: str | Path, out: str | Path | None = None, *, model: str | None = None, progress: Progress = silent,
    so_far: SoFar | None = None,
) -> Shrunk:  # fmt: skip
    """What a recipe (.toml) asks for; or the run that a `penjing.json` tells of, again, to the same bytes.

    `out` is the folder to write, which a recipe may also name. `model` is where the model lies, if it has moved.

    Raises:
        PenjingError: the file or something in it does not serve, or the run comes out otherwise than it did.
    """
    recorded, request = asked_in(Path(file), model=model)
    request = request if out is None else replace(request, out=str(out))
    return repeat(request, recorded, progress=progress, so_far=so_far)


def asked_in(file: Path, *, model: str | None = None, trusting: bool = False) -> tuple[Recorded | None, Request]:
    """(the earlier run, if the file tells of one, what is asked for); with `trusting`, nothing is compared.

    Raises:
        RequestError: the file cannot be read, or something in it does not serve.
        BudgetError: it has two budgets.
    """
    if file.suffix == ".json":
        recorded = read_record(file, model=model, trusting=trusting)
        return recorded, recorded.request
    request = read_recipe(file)
    return None, request if model is None else replace(request, source=replace(request.source, model=model))


def repeat(
    request: Request, recorded: Recorded | None, *, progress: Progress = silent, so_far: SoFar | None = None
) -> Shrunk:
    """The request carried out; with an earlier run, only to the same plan.

    Raises:
        OutputError: nothing says where the result is to lie.
        PenjingError: as `run`.
    """
    if request.out is None:
        raise OutputError("nothing says where the result is to lie; name a new folder with --out (in Python, out=...)")
    return carry(request, earlier=recorded, progress=progress, so_far=so_far)
