"""penjing papers."""

from typing import Annotated

import typer

from penjing.cli.options import JSON


def run(
    name: Annotated[str | None, typer.Argument(metavar="NUMBER", help="One paper: its number or its name.")] = None,
    again: Annotated[bool, typer.Option("--run", help="Measure its figures again; needs a clone.")] = False,
    as_json: JSON = False,
) -> None:
    """Without a number, a few lines each; with one, its claims, figures and verdicts."""
    from penjing.cli.console import show, show_json
    from penjing.papers import find, page, shelf

    if again:
        _again(name, as_json)
    elif as_json:
        show_json(page.paper_json(find(name)) if name else page.papers_json(shelf()))
    else:
        show(page.paper_page(find(name)) if name else page.list_page(shelf()))


def _again(name: str | None, as_json: bool) -> None:
    from pathlib import Path

    from penjing.errors import PenjingError
    from penjing.papers import clone, find

    if name is None or as_json:
        raise PenjingError(
            "--run takes one paper and prints what its program prints; name one, as in `penjing papers 29 --run`, "
            "without --json; all of them: `make papers` in a clone"
        )
    place, paper = clone.runnable(find(name), Path.cwd())
    for command in clone.rerun(paper, place):
        typer.echo(f"in {place}: {command}", err=True)
