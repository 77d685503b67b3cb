"""Commands that others may watch: progress on stderr and, if asked for, in a run's folder."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.cli.console import command_line, progress_bar
from penjing.core.launched import follows
from penjing.core.progress import silent

if TYPE_CHECKING:
    from penjing.core import Report
    from penjing.core.progress import Progress


@dataclass(frozen=True)
class Followed:
    """Where work tells how far it is, and gives the figures it has so far."""

    progress: "Progress"
    so_far: "Callable[[Report], None] | None"


@contextmanager
def following(runs: Path | None, command: str, *models: str | Path) -> Iterator[Followed]:
    """A bar on stderr; with `runs`, also a run's folder in it, which `penjing serve` lists and follows.

    Raises:
        OutputError: the folder cannot be written to.
    """
    if follows():  # the first of several processes tells of them all
        yield Followed(silent, None)
        return
    if runs is None:
        with progress_bar() as progress:
            yield Followed(progress, None)
        return
    from penjing.report.runs import RunWriter

    names = [Path(m).name for m in models]
    title = f"{command} {', '.join(names)}"
    with RunWriter(runs / _folder(command, names[0]), title[:200], command_line()) as run, progress_bar() as bar:

        def both(what: str, done: int, total: int) -> None:
            bar(what, done, total)
            run.progress(what, done, total)

        yield Followed(both, run.report)


def _folder(command: str, name: str) -> str:
    """A name that sorts by time and that no other run has."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "model"
    return f"{datetime.now(UTC).strftime('%Y%m%d-%H%M%S-%f')}-{command}-{plain}"
