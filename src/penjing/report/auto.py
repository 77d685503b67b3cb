"""What the terminal shows of a tournament: a table of the candidates, and who had no turn."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from penjing.report.views.auto import tournament

if TYPE_CHECKING:
    from rich.console import RenderableType

COLOURS = {"better": "green", "worse": "yellow", "even": "dim"}


def tournament_lines(made: Mapping[str, Any]) -> "Iterator[RenderableType]":
    """Nothing for plans that were not chosen by `auto`."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    found = tournament(made)
    if found is None:
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("method", "loss added", "95 % interval", "p behind best", "", "against random"):
        table.add_column(name, justify="left" if name in ("method", "", "against random") else "right")
    for r in found.rows:
        verdict = Text(r.verdict, style=COLOURS[r.tone])
        table.add_row(Text(r.name), r.increase, r.interval, r.behind_p, verdict, r.against)
    yield Text(f"{found.said}.")
    yield table
    yield Text(f"in {found.unit}, on {found.held_out}; random choice: {found.random_told or 'not tried'}", style="dim")
    for name, why in found.left_out:
        yield Text(f"{name} had no turn: {why}", style="dim")
    yield Text()
