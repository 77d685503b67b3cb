"""Where commands print: results on stdout, progress on stderr."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from penjing.core.progress import Progress


def console(*, stderr: bool = False) -> "Console":
    """A rich console."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def show(renderable: Any) -> None:
    """Print something rich on stdout."""
    console().print(renderable)


def show_json(data: Any) -> None:
    """Print JSON on stdout."""
    typer.echo(json.dumps(data, indent=1, default=str))


def command_line() -> str:
    """What the user typed, for the report."""
    import shlex
    import sys

    return shlex.join(["penjing", *sys.argv[1:]])


@contextmanager
def progress_bar() -> Iterator["Progress"]:
    """A bar on stderr for each kind of work, or a plain line now and then in a log; yields the callback for it."""
    if not console(stderr=True).is_terminal:
        from penjing.core.progress_line import progress_line

        with progress_line() as line:
            yield line
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.table import Column

    clock = Column(min_width=7, no_wrap=True)
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True)),
        BarColumn(bar_width=16), TextColumn("{task.percentage:>3.0f}%", table_column=Column(min_width=4)),
        TimeElapsedColumn(table_column=clock), TimeRemainingColumn(table_column=clock.copy()),
        console=console(stderr=True), expand=True, transient=False,
    )  # fmt: skip
    tasks: dict[str, Any] = {}

    def progress(what: str, done: int, total: int) -> None:
        if what not in tasks:
            for other in tasks.values():
                _finish(bar, other)
            tasks[what] = bar.add_task(what, total=total or None)
        bar.update(tasks[what], completed=done, total=total or None)

    with bar:
        yield progress
        for task in tasks.values():
            _finish(bar, task)


def _finish(bar: Any, task: Any) -> None:
    bar.update(task, total=1, completed=1)
