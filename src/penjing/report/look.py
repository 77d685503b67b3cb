"""What `penjing look` prints."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.table import Table

from penjing.report.layout import axes_table

if TYPE_CHECKING:
    from penjing.profiling.look import Look


def look_page(seen: "Look") -> Iterator[Any]:
    """Totals, the share of each part, the axes, and what could not be derived."""
    totals = Table(show_header=False, box=None, pad_edge=False)
    totals.add_column(style="bold")
    totals.add_column(justify="right")
    for name, value in _totals(seen):
        totals.add_row(name, value)
    yield f"[bold]{_escape(seen.name)}[/bold]"
    yield totals
    yield ""
    shares = Table(title="where the parameters are", title_justify="left", box=None, pad_edge=False)
    shares.add_column("part")
    shares.add_column("parameters", justify="right")
    shares.add_column("share", justify="right")
    for row in seen.shares:
        shares.add_row(row.part, f"{row.parameters:,}", f"{row.share:.1%}")
    yield shares
    yield ""
    yield axes_table(seen.layout)
    for note in seen.layout.notes:
        yield f"note: {_escape(note)}"


def _totals(seen: "Look") -> Iterator[tuple[str, str]]:
    yield "parameters", f"{seen.parameters:,}"
    yield "bytes of weights", f"{seen.bytes:,}"
    if seen.macs_per_token is None:
        yield "multiply-adds per sample", f"{seen.macs_per_sample:,.0f}"
    else:
        yield f"multiply-adds per token (after {seen.context})", f"{seen.macs_per_token:,.0f}"
    if seen.kv_cache_bytes_per_token is not None:
        yield "KV cache per token, bytes", f"{seen.kv_cache_bytes_per_token:,}"
    for blocks in seen.layout.blocks:
        yield f"blocks in {blocks.path}", str(blocks.size)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
