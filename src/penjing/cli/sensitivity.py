"""penjing sensitivity."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o


def run(
    model: o.MODEL,
    fraction: Annotated[
        list[float] | None,
        typer.Option("--fraction", help="A share kept; may be repeated. [default: 0.75, 0.5, 0.25]"),
    ] = None,
    method: Annotated[str, typer.Option("--method", "-m", help="The method that ranks units.")] = "activation",
    axes: o.AXES = None,
    setting: o.SETTINGS = None,
    text: o.TEXT = None,
    images: o.IMAGES = None,
    labels: o.LABELS = None,
    rows: o.ROWS = 16,
    held_out: Annotated[int, typer.Option("--held-out", min=2, help="Rows of text to measure on.")] = 8,
    length: o.LENGTH = 256,
    seed: o.SEED = 0,
    table: o.TABLE = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A page to write, such as sensitivity.html.")] = None,
    as_json: o.JSON = False,
) -> None:
    """Cut each axis alone, run the model, and show what that adds to the loss."""
    from penjing import api
    from penjing.cli.console import command_line, progress_bar, show, show_json
    from penjing.report import check_page, save_page
    from penjing.report.sensitivity import sensitivity_page, sensitivity_report

    if out is not None:
        check_page(out)
    with progress_bar() as progress:
        found = api.sensitivity(
            model, axes=axes, method=method, settings=o.settings(setting), texts=text or (), images=images or (),
            labels=labels, rows=rows, held_out=held_out, length=length, seed=seed, table=table, progress=progress,
            **({"fractions": fraction} if fraction else {}),
        )  # fmt: skip
    if out is not None:
        save_page(sensitivity_report(found, command=command_line()), out)
    if as_json:
        show_json(found.to_json())
        return
    for part in sensitivity_page(found):
        show(part)
    if out is not None:
        show(f"page: {out}")
