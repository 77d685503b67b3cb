"""penjing compare."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o
from penjing.cli.measure import TEXT


def run(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The model that the others are compared with.")],
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="One or more models.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("report.html"),
    text: TEXT = None,
    task: o.TASKS = None,
    limit: o.LIMIT = None,
    shots: o.SHOTS = 0,
    length: o.LENGTH = 512,
    speed: o.SPEED = True,
    runs: o.RUNS = None,
    as_json: o.JSON = False,
) -> None:
    """Measure all in turn, each next to the first, and write one self-contained page."""
    from penjing import api
    from penjing.cli.console import command_line
    from penjing.cli.output import show_report
    from penjing.cli.run_folder import following
    from penjing.pipeline.tasks import read_tasks
    from penjing.report import check_page, save_page

    check_page(out)
    tasks = read_tasks(task or (), limit=limit, shots=shots)
    with following(runs, "compare", base, *others) as followed:
        report = api.compare(
            base, others, texts=text or (), tasks=tasks, length=length, speed=speed, command=command_line(),
            progress=followed.progress, so_far=followed.so_far,
        )  # fmt: skip
    save_page(report, out)
    show_report(report, as_json=as_json)
