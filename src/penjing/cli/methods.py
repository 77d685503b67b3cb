"""penjing methods."""

from typing import Annotated

import typer

from penjing.cli.complete import one_method
from penjing.cli.options import JSON


def run(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One method.", autocompletion=one_method)
    ] = None,
    as_json: JSON = False,
) -> None:
    """Without a name, one line each; with a name, its card and settings."""
    from penjing.cli.console import console, show, show_json
    from penjing.report.methods import method_json, method_page, methods_failed, methods_json, methods_page

    if as_json:
        show_json(method_json(name) if name else methods_json())
    else:
        show(method_page(name) if name else methods_page())
    for line in () if name else methods_failed():
        console(stderr=True).print(line, markup=False)
