"""A reproduction run again, in the clone that holds its program."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from penjing.errors import PenjingError
from penjing.papers.reading import read
from penjing.papers.schema import Paper
from penjing.papers.shelf import shelf


def clone_of(start: Path) -> Path | None:
    """The folder at or above `start`, or the one that this package runs from, that is a clone with reproductions."""
    for folder in (start, *start.parents, Path(__file__).resolve().parents[3]):
        if (folder / "papers" / "__main__.py").is_file() and (folder / "src" / "penjing").is_dir():
            return folder
    return None


def runnable(paper: Paper, start: Path) -> tuple[Path, Paper]:
    """(the clone, the paper as its own file there tells it).

    Raises:
        PenjingError: nothing is there to run, `start` is in no clone, or the clone does not hold this one.
    """
    if not paper.runs:
        able = ", ".join(p.folder for p in shelf() if p.runs)
        raise PenjingError(f"{paper.folder} has nothing to run: it is not reproduced yet; there are {able}")
    clone = clone_of(start)
    if clone is None:
        raise PenjingError(
            f"the program of {paper.folder} is not here: reproductions come with a clone of penjing, not with the "
            f"installed package, and {start} is in none; clone it, `make setup` there, and run `penjing papers "
            f"{paper.number or paper.name} --run` inside"
        )
    file = clone / "papers" / paper.folder / "expected.json"
    if not file.is_file():
        raise PenjingError(f"the clone {clone} has no papers/{paper.folder}; bring it up to date (git pull)")
    return clone, read(file)


def rerun(paper: Paper, clone: Path) -> Iterator[str]:
    """Yield each command of the paper before it is run in the clone, with the clone's own penjing.

    Raises:
        PenjingError: a command failed, or a signal stopped it.
    """
    paths = [str(clone / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    for run in paper.runs:
        yield run.command
        done = subprocess.run([sys.executable, *shlex.split(run.command)[1:]], cwd=clone, env=env, check=False)
        if done.returncode:
            code = done.returncode
            how = f"ended with exit code {code}" if code > 0 else f"was stopped by signal {-code}"
            raise PenjingError(f"`{run.command}` {how}; what it said stands above, and what it had stored stays")
