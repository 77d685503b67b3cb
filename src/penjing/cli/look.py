"""penjing look."""

from typing import Annotated

import typer

from penjing.cli.options import JSON, MODEL, TABLE


def run(
    model: MODEL,
    context: Annotated[int, typer.Option("--context", min=1, help="Tokens in the cache, for the counts.")] = 512,
    table: TABLE = None,
    as_json: JSON = False,
) -> None:
    """Show totals, the share of each part, and the axes; no weights are read."""
    from penjing import api
    from penjing.cli.console import show, show_json
    from penjing.report.look import look_page

    seen = api.look(model, table=table, context=context)
    if as_json:
        show_json(seen.to_json())
        return
    for part in look_page(seen):
        show(part)
