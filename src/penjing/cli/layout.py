"""penjing layout."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli.options import JSON
from penjing.pipeline.request import Source


def run(
    source: Source,
    prove: Annotated[
        bool, typer.Option("--prove", help="Cut every free axis of a small build and compare with masking.")
    ] = False,
    save: Annotated[Path | None, typer.Option("--save", help="Write the table here, to read or correct.")] = None,
    tensors: Annotated[bool, typer.Option("--tensors", help="Show the pattern of every tensor too.")] = False,
    as_json: JSON = False,
) -> None:
    """Show every axis: free (proved how), sensitive (why) or uncut (why), and the config entry that holds it."""
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.layouts import save_layout
    from penjing.pipeline.outlines import outline_of
    from penjing.report.layout import layout_json, layout_page

    opened = outline_of(source)
    layout = opened.layout
    if prove:
        from penjing.running.proving import proved

        with progress_bar() as progress:
            layout = proved(opened, progress)
    if save:
        save_layout(layout, save)
    if as_json:
        show_json(layout_json(layout))
    else:
        for part in layout_page(layout, tensors=tensors):
            show(part)
