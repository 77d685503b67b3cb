"""penjing train."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe of training (.toml).")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="PATH", help="The folder to write. [default: the recipe's own]"),
    ] = None,
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
    from penjing.pipeline.train_recipe import read_training

    with following(runs, "train", recipe) as followed:
        try:
            done = train_model(recipe, out, force=force, progress=followed.progress)
        except FinishedError:
            show_finished(str(out or read_training(recipe).out), as_json=as_json)
            return
    if done.report is not None:
        show_report(done.report, as_json=as_json)
        if not as_json:
            show(f"\nwritten: {done.folder}   page: {done.folder}/report.html   card: {done.folder}/README.md")
