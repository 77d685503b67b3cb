"""penjing create."""

from typing import Annotated

import typer

from penjing.cli.complete import models
from penjing.cli.flags import settings
from penjing.cli.options import OUT


def run(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="An architecture; see 'penjing models'.", autocompletion=models)
    ],
    out: OUT,
    size: Annotated[
        str, typer.Option("--size", metavar="SIZE", help="A size of it; see 'penjing models NAME'.")
    ] = "tiny",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An entry of its config; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the weights.")] = 0,
) -> None:
    """Write a folder with fresh weights, which the Auto classes of transformers open once penjing is imported."""
    from penjing.cli.console import show
    from penjing.pipeline.creating import create

    made = create(name, size, out, settings(changes or []), seed=seed)
    show(f"{out}  {made:,} parameters, not trained")
