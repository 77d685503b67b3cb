"""penjing data: choosing calibration data, and what may be left out of training."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o
from penjing.cli.flags import Only, Without, flagged
from penjing.cli.guard import guarded
from penjing.pipeline.asking import Pruning, SelectedData, Selecting
from penjing.pipeline.request import Choice, Request, Run, Source

HELP = "Choose data: to plan from, or to train on."
COMMANDS = {
    "select": "Rank sets of calibration data by what plans made from them do to the outputs.",
    "prune": "Choose which labelled pictures may be left out of training, against random choices.",
}

ROWS_OUT = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="A .jsonl to write the best rows to, for --text.")
]
KEPT_OUT = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="A .json to write what stays and what goes to.")
]


def select(
    source: Source,
    choice: Annotated[Choice, Without("limit_seconds", "max_loss", "allow_nonfinite")],
    selecting: Selecting,
    data: SelectedData,
    running: Annotated[Run, Without("memory", "output_dtype")],
    out: ROWS_OUT = None,
    as_json: o.JSON = False,
) -> None:
    """Draw sets of calibration data, make a plan from each, try each plan on data that none has seen, and rank them."""
    from penjing.api.search import selected
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.report.data_selection import check_rows, plan_command, save_rows, selecting_lines

    if out is not None:
        if data.images:
            raise typer.BadParameter("--out writes rows of text, and images are asked for; leave one of the two out")
        check_rows(out)
    request = Request(source=source, choice=choice, data=data, run=running)
    with progress_bar() as progress:
        found = selected(request, selecting, progress=progress)
    written = save_rows(found, out) if out is not None else ""
    if as_json:
        show_json(found.to_json())
        return
    for line in selecting_lines(found):
        show(line)
    # not wrapped by rich: a command is there to be copied
    typer.echo(f"\nto use it: {plan_command(found, request)}")
    if written:
        typer.echo(written)


def prune(
    asked: Pruning,
    running: Annotated[Run, Only("device", "threads", "offline")],
    out: KEPT_OUT = None,
    as_json: o.JSON = False,
) -> None:
    """Score labelled pictures, keep the hard or the easy ones, and hold that against as many drawn at random."""
    from penjing.api.data import pruned
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.report.pruned_data import check_kept, pruned_lines, save_kept

    if out is not None:
        check_kept(out)
    with progress_bar() as progress:
        found = pruned(asked, running, progress=progress)
    if out is not None:
        save_kept(found, out)
    if as_json:
        show_json(found.to_json())
        return
    for line in pruned_lines(found):
        show(line)
    typer.echo(f"kept and dropped: {out}" if out is not None else "name a file with -o to write what stays and goes")


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=HELP)
app.command("select", help=COMMANDS["select"])(guarded(flagged(select)))
app.command("prune", help=COMMANDS["prune"])(guarded(flagged(prune)))


@app.callback()
def _root() -> None:
    pass
