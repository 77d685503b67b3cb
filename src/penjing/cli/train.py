"""penjing train."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penjing.cli import options as o
from penjing.cli.flags import settings

if TYPE_CHECKING:
    from penjing.pipeline.train_recipe import Recipe


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe of training (.toml).")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="PATH", help="The folder to write. [default: the recipe's own]"),
    ] = None,
    mup: Annotated[
        list[str] | None,
        typer.Option(
            "--mup", metavar="NAME=WIDTH", help="A width of the base network, as [mup] has it; may be repeated."
        ),
    ] = None,
    coordinate_check: Annotated[
        bool,
        typer.Option(
            "--coordinate-check",
            help="Train a few steps at five widths instead, and tell how layers move; --out is a page.",
        ),
    ] = False,
    force: o.FORCE = False,
    runs: o.RUNS = None,
    as_json: o.JSON = False,
) -> None:
    """The recipe is the whole experiment: network, data, changes of the data, loop. Run again, it goes on."""
    from penjing.api.train import train_model
    from penjing.cli.console import show
    from penjing.cli.output import show_finished, show_report
    from penjing.cli.run_folder import following
    from penjing.errors import FinishedError
    from penjing.pipeline.train_recipe import read_training, with_base

    asked = with_base(read_training(recipe), settings(mup or []))
    if coordinate_check:
        _check(asked, out, as_json=as_json)
        return
    with following(runs, "train", recipe) as followed:
        try:
            done = train_model(asked, out, force=force, progress=followed.progress)
        except FinishedError:
            show_finished(str(out or asked.out), as_json=as_json)
            return
    if done.report is not None:
        show_report(done.report, as_json=as_json)
        if not as_json:
            show(f"\nwritten: {done.folder}   page: {done.folder}/report.html   card: {done.folder}/README.md")


def _check(recipe: "Recipe", out: Path | None, *, as_json: bool) -> None:
    from penjing.api.train import check_coordinates
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.report.coordinates import coordinates_lines

    with progress_bar() as progress:
        found = check_coordinates(recipe, out, progress=progress)
    if as_json:
        show_json(found.to_json())
        return
    for line in coordinates_lines(found):
        show(line)
    if out is not None:
        show(f"page: {out}   figures: {out.with_suffix('.json')}")
