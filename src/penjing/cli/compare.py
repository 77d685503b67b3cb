"""penjing compare."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o
from penjing.cli.flags import Without
from penjing.cli.measure import Figures
from penjing.pipeline.request import Request, Run, Source


def run(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The model that the others are compared with.")],
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help="One or more models.")],
    figures: Figures,
    running: Annotated[Run, Without("memory", "output_dtype")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("report.html"),
    runs: o.RUNS = None,
    as_json: o.JSON = False,
) -> None:
    """Measure all in turn, each next to the first, and write one self-contained page."""
    from penjing.api.steps import compared
    from penjing.cli.console import command_line
    from penjing.cli.output import show_report
    from penjing.cli.run_folder import following
    from penjing.pipeline.tables import places
    from penjing.pipeline.values import evidence_of
    from penjing.report import check_page, published, save_page

    check_page(out)
    wish, models = evidence_of(figures), [Source(model=m) for m in (base, *others)]
    with following(runs, "compare", base, *others) as followed:
        report = compared(
            models, wish, running, notes=figures.notes, command=command_line(), progress=followed.progress,
            so_far=followed.so_far,
        )  # fmt: skip
    named = places(Request(source=models[0], measure=figures))
    save_page(published(report, [*named, *others, out]), out)
    show_report(report, as_json=as_json)
