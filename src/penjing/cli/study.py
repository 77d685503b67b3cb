"""penjing study: many runs of an experiment, from one file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penjing.cli import options as o
from penjing.cli.flags import settings
from penjing.cli.guard import guarded

if TYPE_CHECKING:
    from penjing.studies import Done, Study

HELP = "Run an experiment over settings and seeds, from one file."
COMMANDS = {
    "run": "Run what is not finished yet of a study.",
    "show": "Show what is finished of a study; run nothing.",
    "resume": "Go on with a study that was begun; try again what failed.",
}

FILE = Annotated[Path, typer.Argument(metavar="FILE", help="A study (.toml).")]
EXECUTOR = Annotated[
    str | None,
    typer.Option("--executor", metavar="NAME", help="here, processes or ray. [default: as the file says, or here]"),
]
SET = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of the executor, as workers=2; may be repeated."),
]


def run(file: FILE, executor: EXECUTOR = None, given: SET = None, as_json: o.JSON = False) -> None:
    """Run every setting with every seed, in the study's folder; what is finished there is not run again."""
    _carried(_asked(file, executor, given), again=False, begun=None, as_json=as_json)


def resume(file: FILE, executor: EXECUTOR = None, given: SET = None, as_json: o.JSON = False) -> None:
    """Go on where a study was stopped, at whatever moment; runs that failed are tried once more."""
    _carried(_asked(file, executor, given), again=True, begun=True, as_json=as_json)


def show(file: FILE, as_json: o.JSON = False) -> None:
    """Print each figure's mean and spread, and how settings differ from the base over equal seeds."""
    from penjing.studies import read_study, shown

    _print(shown(read_study(file)), as_json=as_json)


def _asked(file: Path, executor: str | None, given: list[str] | None) -> "Study":
    from penjing.studies import read_study
    from penjing.studies.start import with_executor

    return with_executor(read_study(file), executor, settings(given or []))


def _carried(study: "Study", *, again: bool, begun: bool | None, as_json: bool) -> None:
    from penjing.cli.console import progress_bar
    from penjing.studies import carry

    with progress_bar() as progress:
        done = carry(study, again=again, begun=begun, progress=progress)
    _print(done, as_json=as_json)
    if not as_json:
        typer.echo(f"\nwritten: {study.out}/runs.npz   page: {study.out}/study.html")
    if done.rows and all(row.error for row in done.rows):
        raise typer.Exit(1)


def _print(done: "Done", *, as_json: bool) -> None:
    from penjing.cli.console import show as show_one
    from penjing.cli.console import show_json
    from penjing.report.study import study_json, study_lines

    if as_json:
        show_json(study_json(done.table))
        return
    for line in study_lines(done.table):
        show_one(line)


app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=HELP)
for _name, _run in (("run", run), ("show", show), ("resume", resume)):
    app.command(_name, help=COMMANDS[_name])(guarded(_run))


@app.callback()
def _root() -> None:
    pass
