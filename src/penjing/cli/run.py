"""penjing run."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from penjing.cli import options as o


def run(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A recipe (.toml), or the penjing.json of a result, to repeat it.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="PATH", help="The folder to write. [default: the recipe's own]"),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="The model, where it has moved since.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the recipe that says the same, and do nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a result of penjing that lies there; nothing else is replaced.")
    ] = False,
    runs: o.RUNS = None,
    as_json: o.JSON = False,
) -> None:
    """A recipe shrinks as its tables say. A penjing.json is repeated exactly, or it is said why it cannot be."""
    from penjing.api.run import asked_in, repeat
    from penjing.cli.output import show_finished, show_shrunk
    from penjing.cli.run_folder import following
    from penjing.errors import FinishedError
    from penjing.pipeline.recipe import as_toml

    recorded, request = asked_in(file, model=model, trusting=show)
    request = replace(request, force=force, **({} if out is None else {"out": str(out)}))
    if show:
        typer.echo(as_toml(request), nl=False)
        return
    with following(runs, "run", str(request.source.model)) as followed:
        try:
            done = repeat(request, recorded, progress=followed.progress, so_far=followed.so_far)
        except FinishedError:
            show_finished(str(request.out), as_json=as_json)
            return
    show_shrunk(done, as_json=as_json)
