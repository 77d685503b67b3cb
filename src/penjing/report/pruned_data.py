"""What `penjing data prune` prints and writes: what an end of the scores is worth, and which pictures stay."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from penjing.errors import OutputError
from penjing.io import write_whole, writing
from penjing.pipeline.data_pruning import Against, PrunedData
from penjing.report.views.lines import tick

if TYPE_CHECKING:
    from rich.console import RenderableType


def said(found: PrunedData) -> str:
    """The outcome in a sentence."""
    told = found.told
    much = f"{len(found.kept):,} of {found.scored:,} pictures stay, the {found.end} end of '{found.score}'"
    sure = "better than" if told.low > 0 else "worse than" if told.high < 0 else "not clearly other than"
    return f"{much}: {sure} as many at random ({_points(told.gain)}, {_points(told.low)} to {_points(told.high)})"


def pruned_lines(found: PrunedData) -> "Iterator[RenderableType]":
    """The outcome, accuracies, how classes fared, and remarks."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    yield Text(f"{said(found)}.")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for i, name in enumerate(("what is kept", "accuracy", "as many at random", "gain (95 %)", "worst class")):
        table.add_column(name, justify="right" if i else "left")
    for one, where in (*((a, "deciding") for a in found.decided), (found.told, "told")):
        table.add_row(*_row(one, where))
    yield table
    yield Text(
        f"all {found.scored:,} pictures for as many steps: {_percent(found.whole)}; {found.seeds} pairs of networks; "
        "the last row is on pictures by which nothing was decided",
        style="dim",
    )
    kept = ", ".join(f"{name} {stay} of {there}" for name, (there, stay) in list(found.classes.items())[:12])
    yield Text(f"by class: {kept}{', ...' if len(found.classes) > 12 else ''}", style="dim")
    for note in found.notes:
        yield Text(f"note: {note}", style="yellow")


def _row(one: Against, where: str) -> tuple[str, ...]:
    gain = f"{_points(one.gain)} ({_points(one.low)} to {_points(one.high)})"
    worst = f"{_percent(one.worst_class)} against {_percent(one.worst_class_random)}"
    return (f"{one.end}, {where}", _percent(one.accuracy), _percent(one.random), gain, worst)


def _percent(value: float) -> str:
    return tick(float(f"{value:.3g}"), True)


def _points(value: float) -> str:
    return f"{100 * value:+.1f} points".replace("-", "\u2212")


def check_kept(path: Path) -> None:
    """Refuse a file that cannot be written, before any work.

    Raises:
        OutputError: it is there already, is no .json, or its folder is not.
    """
    if path.suffix != ".json":
        raise OutputError(f"{path} is no .json; what stays and goes is written as one")
    if path.exists():
        raise OutputError(f"{path} is there already; name a new file")
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} is not there; make it first")


def save_kept(found: PrunedData, path: Path) -> None:
    """Write the ids that stay and those that go, with all figures.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path):
        write_whole(path, (json.dumps(found.to_json(), indent=1) + "\n").encode())
