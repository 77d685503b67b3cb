"""penjing search: which shape is worth its size."""

from typing import Annotated

import typer

from penjing.cli import options as o
from penjing.cli.flags import Only, Without, flagged
from penjing.cli.guard import guarded
from penjing.pipeline.asking import Shaping
from penjing.pipeline.request import Data, Heal, Request, Run, Source

HELP = "Look for the best model of a size by trying several."
COMMANDS = {"shapes": "Rank shapes of one size: each is trimmed, healed briefly, and held against the whole model."}


def shapes(
    source: Source,
    shaping: Shaping,
    wish: Annotated[Heal, Without("teacher", "minutes", "control")],
    data: Annotated[Data, Only("texts", "rows", "length", "seed")],
    running: Annotated[Run, Without("memory", "output_dtype")],
    as_json: o.JSON = False,
) -> None:
    """List shapes with so many parameters, trim the model to each, heal each on the same few tokens, and rank them."""
    from penjing.api.search import shaped
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.report.shapes import shape_lines, shrink_line

    request = Request(source=source, heal=wish, data=data, run=running)
    with progress_bar() as progress:
        found = shaped(request, shaping, progress=progress)
    if as_json:
        show_json(found.to_json())
        return
    for line in shape_lines(found):
        show(line)
    # not wrapped by rich: a command is there to be copied
    typer.echo(f"\nto use it: {shrink_line(found, request)}")


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=HELP)
app.command("shapes", help=COMMANDS["shapes"])(guarded(flagged(shapes)))


@app.callback()
def _root() -> None:
    pass
