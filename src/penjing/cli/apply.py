"""penjing apply."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o
from penjing.cli.flags import Only, Without
from penjing.pipeline.request import Choice, Run, Source


def run(
    source: Source,
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A folder that 'penjing plan' wrote.")],
    out: o.OUT,
    allowed: Annotated[Choice, Only("allow_sensitive", "allow_nonfinite", "opens_with")],
    running: Annotated[Run, Without("memory", "dtype")],
    reopen: Annotated[
        bool, typer.Option("--reopen/--no-reopen", help="Open the result in a fresh process and compare outputs.")
    ] = True,
    as_json: o.JSON = False,
) -> None:
    """Verify, write tensor by tensor, then open the result with the stock loader and compare outputs."""
    from penjing.api.steps import applied
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.io import load_plan
    from penjing.report.plan import applied_json, applied_page

    edits = load_plan(plan)
    with progress_bar() as progress:
        done = applied(source, edits, out, allowed, running, reopening=reopen, progress=progress)
    if as_json:
        show_json(applied_json(done))
    else:
        show(applied_page(done))
