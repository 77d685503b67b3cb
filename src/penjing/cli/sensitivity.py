"""penjing sensitivity."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli.flags import Only, Without
from penjing.cli.options import JSON
from penjing.pipeline.asking import AxisData, Sensing
from penjing.pipeline.request import Choice, Request, Run, Source


def run(
    source: Source,
    sensing: Sensing,
    choice: Annotated[Choice, Only("method", "axes", "settings", "allow_sensitive")],
    data: AxisData,
    running: Annotated[Run, Without("memory", "output_dtype")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A page to write, such as sensitivity.html.")] = None,
    as_json: JSON = False,
) -> None:
    """Cut each axis alone, run the model, and show what that adds to the loss."""
    from penjing.api.search import sensed
    from penjing.cli.console import command_line, progress_bar, show, show_json
    from penjing.report import check_page, save_page
    from penjing.report.sensitivity import sensitivity_page, sensitivity_report

    if out is not None:
        check_page(out)
    request = Request(source=source, choice=choice, data=data, run=running)
    with progress_bar() as progress:
        found = sensed(request, sensing, progress=progress)
    if out is not None:
        save_page(sensitivity_report(found, command=command_line()), out)
    if as_json:
        show_json(found.to_json())
        return
    for part in sensitivity_page(found):
        show(part)
    if out is not None:
        show(f"page: {out}")
