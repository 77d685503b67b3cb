"""penjing profile."""

from typing import Annotated

import typer

from penjing.cli.options import JSON, MODEL, TABLE


def run(
    model: MODEL,
    context: Annotated[int, typer.Option("--context", min=1, help="Tokens in the cache, for one more token.")] = 512,
    prompt: Annotated[int, typer.Option("--prompt", min=1, help="Tokens of the prompt.")] = 128,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Time this machine first, for some half a minute.")
    ] = False,
    timed: Annotated[bool, typer.Option("--run", help="Run the model, and time its parts.")] = False,
    table: TABLE = None,
    as_json: JSON = False,
) -> None:
    """Show where bytes, work and time go, and which cut would pay; weights are read, to count zeros."""
    from penjing import api
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.report.why import why_page

    with progress_bar() as progress:
        found = api.profile(
            model, context=context, prompt=prompt, calibrate=calibrate, timed=timed, table=table, progress=progress
        )
    if as_json:
        show_json(found.to_json())
        return
    for part in why_page(found):
        show(part)
