"""How a command ends when it cannot go on: one line on stderr, and an exit code."""

from collections.abc import Callable
from functools import wraps

import typer

from penjing.errors import PenjingError

FAILED, INTERRUPTED = 1, 130


def guarded(run: Callable[..., None]) -> Callable[..., None]:
    """The same command, with our errors as one line and Ctrl-C as a calm end."""

    @wraps(run)
    def inner(*args: object, **named: object) -> None:
        try:
            run(*args, **named)
        except PenjingError as error:
            typer.echo(f"{type(error).__name__}: {error}", err=True)
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt as error:
            typer.echo("stopped; nothing stands half-written under its final name; run it again to go on", err=True)
            raise typer.Exit(INTERRUPTED) from error

    return inner
