"""How a command ends when it cannot go on: one line on stderr, and an exit code."""

import os
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from functools import wraps

import typer

from penjing.core.launched import follows
from penjing.errors import PenjingError

FAILED, INTERRUPTED = 1, 130


def guarded(run: Callable[..., None]) -> Callable[..., None]:
    """The same command, with our errors as one line and Ctrl-C as a calm end."""

    @wraps(run)
    def inner(*args: object, **named: object) -> None:
        try:
            with ExitStack() as stack:
                if follows():  # the first of several processes prints
                    stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w", encoding="utf-8"))))
                run(*args, **named)
        except PenjingError as error:
            typer.echo(f"{type(error).__name__}: {error}", err=True)
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt as error:
            typer.echo("stopped; nothing stands half-written under its final name; run it again to go on", err=True)
            raise typer.Exit(INTERRUPTED) from error

    return inner
