"""penjing heal."""

from typing import Annotated

from penjing.cli import options as o
from penjing.cli.flags import Called, Only, Without
from penjing.pipeline.command import short_flag
from penjing.pipeline.export_options import Export
from penjing.pipeline.option import flag_of, options
from penjing.pipeline.request import Data, Heal, Measure, Request, Run, Source

SHORTER = {name: short_flag(flag) for name, (one, _) in options(Heal).items() if (flag := flag_of(one))}


def run(
    source: Source,
    wish: Annotated[Heal, Called(**SHORTER)],
    out: o.OUT,
    data: Annotated[Data, Only("seed")],
    measure: Annotated[Measure | None, Without("curve")],
    export: Export,
    running: Annotated[Run, Without("memory")],
    force: o.FORCE = False,
    runs: o.RUNS = None,
    as_json: o.JSON = False,
) -> None:
    """Train MODEL, which was cut before, to do again what BASE does, and show both and what it was before."""
    from penjing.api.heal import healed
    from penjing.cli.output import show_finished, show_shrunk
    from penjing.cli.run_folder import following
    from penjing.errors import FinishedError

    request = Request(
        source=source, heal=wish, data=data, measure=measure, export=export, run=running, out=str(out),
        force=force,
    )  # fmt: skip
    with following(runs, "heal", str(source.model)) as followed:
        try:
            done = healed(request, progress=followed.progress, so_far=followed.so_far)
        except FinishedError:
            show_finished(str(out), as_json=as_json)
            return
    show_shrunk(done, as_json=as_json)
