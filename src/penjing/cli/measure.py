"""penjing measure."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o

TEXT = Annotated[list[Path] | None, typer.Option("--text", help="Text to measure on; [default: shipped text]")]


def run(
    model: o.MODEL,
    text: TEXT = None,
    task: o.TASKS = None,
    limit: o.LIMIT = None,
    shots: o.SHOTS = 0,
    length: o.LENGTH = 512,
    speed: o.SPEED = True,
    runs: o.RUNS = None,
    as_json: o.JSON = False,
) -> None:
    """Show parameters, bytes, multiply-adds, cache, perplexity, tasks, prefill and decode time, peak memory."""
    from penjing import api
    from penjing.cli.console import command_line
    from penjing.cli.output import show_report
    from penjing.cli.run_folder import following
    from penjing.pipeline.tasks import read_tasks

    tasks = read_tasks(task or (), limit=limit, shots=shots)
    with following(runs, "measure", model) as followed:
        report = api.measure(
            model, texts=text or (), tasks=tasks, length=length, speed=speed, command=command_line(),
            progress=followed.progress, so_far=followed.so_far,
        )  # fmt: skip
    show_report(report, as_json=as_json)
