"""What `penjing layout` prints: axes that differ only in their block number share a line."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from penjing.core import Layout
from penjing.core.pattern import show
from penjing.layouts.table import rows

STYLE = {"free": "green", "sensitive": "yellow", "uncut": "dim"}


def axes_table(layout: Layout) -> Table:
    """The axes, one line for those that are alike."""
    table = Table(title="axes", title_justify="left", box=None, pad_edge=False)
    for name in ("axis", "units", "state", "held by", "why"):
        table.add_column(name, justify="right" if name == "units" else "left", overflow="fold")
    for row in rows(layout):
        proofs = f" (proved: {', '.join(row.proofs)})" if row.proofs else ""
        held = ", ".join(row.entries) or ("" if row.state == "uncut" else "no config entry")
        table.add_row(
            row.axis, str(row.size), f"[{STYLE[row.state]}]{row.state}[/]{proofs}", escape(held), escape(row.reason)
        )
    return table


def layout_page(layout: Layout, *, tensors: bool = False) -> Iterator[Any]:
    """The axes, then the pattern of every tensor if wanted, then notes."""
    yield axes_table(layout)
    if tensors:
        table = Table(title="tensors", title_justify="left", box=None, pad_edge=False)
        table.add_column("tensor")
        table.add_column("pattern")
        for name, pattern in layout.patterns.items():
            table.add_row(escape(name), escape(show(pattern)))
        yield table
    for name in layout.unreached:
        yield f"unreached: {escape(name)}"
    for note in layout.notes:
        yield f"note: {escape(note)}"


def layout_json(layout: Layout) -> dict[str, Any]:
    """Plain data with stable keys."""
    return {
        "axes": [asdict(a) for a in layout.axes.values()],
        "tensors": {n: show(p) for n, p in layout.patterns.items()},
        "blocks": [asdict(b) for b in layout.blocks],
        "entries": [asdict(e) for e in layout.entries],
        "aliases": dict(layout.aliases),
        "unreached": list(layout.unreached),
        "notes": list(layout.notes),
    }
