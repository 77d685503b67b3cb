"""penjing measure."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o

TEXT = Annotated[list[Path] | None, typer.Option("--text", help="Text to measure on; [default: shipped text]")]


def run(
    model: o.MODEL, text: TEXT = None, length: o.LENGTH = 512, speed: o.SPEED = True, as_json: o.JSON = False
) -> None:
    """Show parameters, bytes, multiply-adds, cache, perplexity, prefill and decode time, peak memory."""
    from penjing import api
    from penjing.cli.console import command_line, progress
    from penjing.cli.outcome import show_report

    with progress() as tell:
        report = api.measure(
            model, texts=text or (), length=length, speed=speed, command=command_line(), tell=tell
        )  # fmt: skip
    show_report(report, as_json=as_json)
