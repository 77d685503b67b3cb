"""penjing restore."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli.complete import devices
from penjing.cli.options import OUT


def run(
    pictures: Annotated[
        Path, typer.Argument(metavar="PICTURES", exists=True, help="A folder of photographs, or one of them.")
    ],
    out: OUT,
    model: Annotated[Path, typer.Option("--model", metavar="FOLDER", help="A folder with a model that restores.")],
    tile: Annotated[
        int, typer.Option("--tile", metavar="PIXELS", help="Cut what is wider or higher into tiles of this side.")
    ] = 512,
    overlap: Annotated[
        int, typer.Option("--overlap", metavar="PIXELS", help="How much neighbouring tiles share.")
    ] = 64,
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help="Where the model runs.", autocompletion=devices)
    ] = "auto",
) -> None:
    """Write photographs restored, as PNG, with a page that shows each before and after."""
    from penjing.cli.console import progress_bar, show
    from penjing.pipeline.restoring import PAGE, restore
    from penjing.report.restored import restored_lines, restored_page

    with progress_bar() as progress:
        found = restore(
            pictures, model, out, tile=tile, overlap=overlap, device=device, page=restored_page, progress=progress
        )
    for line in restored_lines(found):
        show(line)
    show(f"written: {found.folder / PAGE}")
