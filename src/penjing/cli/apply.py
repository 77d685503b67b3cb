"""penjing apply."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o


def run(
    model: o.MODEL,
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A folder that 'penjing plan' wrote.")],
    out: o.OUT,
    allow_sensitive: o.SENSITIVE = False,
    allow_nonfinite: o.NONFINITE = False,
    reopen: Annotated[
        bool, typer.Option("--reopen/--no-reopen", help="Open the result in a fresh process and compare outputs.")
    ] = True,
    table: o.TABLE = None,
    as_json: o.JSON = False,
) -> None:
    """Verify, write tensor by tensor, then open the result with the stock loader and compare outputs."""
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.core.places import cache_folder
    from penjing.io import load_plan
    from penjing.pipeline.carry_out import carry_out
    from penjing.report.plan import applied_json, applied_page
    from penjing.running.source import resolve

    with progress_bar() as progress:
        done = carry_out(
            resolve(model, table=table), load_plan(plan), out, cache=cache_folder(), allow_sensitive=allow_sensitive,
            allow_nonfinite=allow_nonfinite, reopening=reopen, progress=progress,
        )  # fmt: skip
    if as_json:
        show_json(applied_json(done))
    else:
        show(applied_page(done))
