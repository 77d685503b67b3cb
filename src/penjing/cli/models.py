"""penjing models."""

from typing import Annotated

import typer

from penjing.cli.complete import models
from penjing.cli.options import JSON


def run(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One architecture.", autocompletion=models)
    ] = None,
    as_json: JSON = False,
) -> None:
    """Without a name, one line each; with a name, its card and sizes."""
    from penjing.cli.console import show, show_json
    from penjing.report.models import model_json, model_page, models_json, models_page

    if as_json:
        show_json(model_json(name) if name else models_json())
    else:
        show(model_page(name) if name else models_page())
