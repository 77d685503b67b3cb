"""penjing data: choosing calibration data."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o
from penjing.cli.guard import guarded

HELP = "Choose the data that plans are made from."
COMMANDS = {"select": "Rank sets of calibration data by what plans made from them do to the outputs."}

METHOD = Annotated[
    str, typer.Option("--method", "-m", help="The method that makes the plans; see 'penjing methods'.")
]
CANDIDATES = Annotated[
    int | None,
    typer.Option(
        "--candidates", min=1, help="Draws of all the text, or with --each of each file. [default: 10, or 1 of each]"
    ),
]
EACH = Annotated[bool, typer.Option("--each", help="Each --text file (or --images) is a candidate of its own.")]
HELD_OUT = Annotated[int, typer.Option("--held-out", min=2, help="Rows, or images, to judge on.")]
HELD_TEXT = Annotated[
    list[Path] | None,
    typer.Option("--held-out-text", metavar="FILE", help="Text to judge on. [default: the rest of the same text]"),
]
ROWS_OUT = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="A .jsonl to write the best rows to, for --text.")
]


def select(
    model: o.MODEL,
    method: METHOD = "activation",
    keep: o.KEEP = None,
    parameters: o.PARAMETERS = None,
    size: o.BYTES = None,
    macs: o.MACS = None,
    axes: o.AXES = None,
    protect: o.PROTECT = None,
    multiple: o.MULTIPLE = None,
    setting: o.SETTINGS = None,
    text: o.TEXT = None,
    images: o.IMAGES = None,
    labels: o.LABELS = None,
    candidates: CANDIDATES = None,
    each: EACH = False,
    held_out: HELD_OUT = 64,
    held_out_text: HELD_TEXT = None,
    rows: o.ROWS = 32,
    length: o.LENGTH = 128,
    batch: o.BATCH = None,
    seed: o.SEED = 0,
    allow_sensitive: o.SENSITIVE = False,
    table: o.TABLE = None,
    out: ROWS_OUT = None,
    as_json: o.JSON = False,
) -> None:
    """Draw sets of calibration data, make a plan from each, try each plan on data that none has seen, and rank them."""
    from penjing import api
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.report.data_selection import check_rows, plan_command, save_rows, selecting_lines

    if out is not None:
        if images:
            raise typer.BadParameter("--out writes rows of text, and images are asked for; leave one of the two out")
        check_rows(out)
    settings = o.settings(setting, axes=axes, protect=protect, multiple=multiple, allow_sensitive=allow_sensitive)
    with progress_bar() as progress:
        found = api.select_data(
            model, method=method, budget=o.budget(keep, parameters, size, macs), settings=settings, texts=text or (),
            images=images or (), labels=labels, candidates=candidates, each=each, held_out=held_out,
            held_out_texts=held_out_text or (), rows=rows, length=length, batch=batch, seed=seed, table=table,
            progress=progress,
        )  # fmt: skip
    written = save_rows(found, out) if out is not None else ""
    if as_json:
        show_json(found.to_json())
        return
    for line in selecting_lines(found):
        show(line)
    # not wrapped by rich: a command is there to be copied
    typer.echo(f"\nto use it: {plan_command(found, model)}")
    if written:
        typer.echo(written)


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=HELP)
app.command("select", help=COMMANDS["select"])(guarded(select))


@app.callback()
def _root() -> None:
    pass
