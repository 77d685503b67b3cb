"""The figures as a table for the terminal."""

from typing import TYPE_CHECKING

from penjing.core import Report
from penjing.report.absent import absent, present
from penjing.report.build import Cell, rows, speeds
from penjing.report.elsewhere import terminal_lines
from penjing.report.formats import ratio
from penjing.report.headline import headline

if TYPE_CHECKING:
    from rich.console import RenderableType

COLOURS = {"better": "green", "worse": "yellow", "even": "dim"}


def table(report: Report) -> "RenderableType":
    """The headline, and under it figures by models: before, after and the change, missing ones with their reason."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    pair = len(report.subjects) == 2
    out = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    out.add_column("")
    for place, subject in enumerate(report.subjects):
        out.add_column(Text(("before", "after")[place] if pair else subject.name), justify="right", overflow="fold")
    if pair:
        out.add_column("change", justify="right")
    reasons: dict[str, str] = {}
    every = rows(report)
    for row in present(every):
        cells = [_value(c, row.label, reasons) if pair or not c.change else _both(c) for c in row.cells]
        last = row.cells[-1]
        ends = [Text(last.change or ("withheld" if last.withheld else ""), style=COLOURS[last.tone])] if pair else []
        if last.withheld:
            reasons[f"{row.label}, ratio"] = last.withheld
        out.add_row(Text(row.label), *cells, *ends)
    reasons |= {", ".join(a.labels): _told(a.reason) for a in absent(every)}
    lines = [f"{label}: {reason}" for label, reason in reasons.items()]
    for speed in speeds(report):
        if speed.value is not None and speed.predicted is not None:
            null = (
                f", the original against itself {ratio(speed.null, speed.null_spread)}"
                if speed.null is not None
                else ""
            )
            lines.append(
                f"{speed.label}: {ratio(speed.value, speed.spread)} of the original's measured, "
                f"{ratio(speed.predicted)} predicted from {speed.predicted_from or 'its size'}{null}"
            )
    lines += list(report.notes)
    files = [Text(line) for line in terminal_lines(report.provenance)]
    return Group(
        Text(headline(report), style="bold"), Text(), out, Text(), *files, *(Text(line, style="dim") for line in lines)
    )


def _value(cell: Cell, label: str, reasons: dict[str, str]) -> "RenderableType":
    from rich.text import Text

    if cell.text == "not measured":
        if cell.missing:
            reasons[label] = _told(cell.missing)
        return Text("withheld" if cell.missing.startswith("withheld") else "not measured", style="dim")
    return Text(cell.text)


def _told(missing: str) -> str:
    return missing if missing.startswith(("withheld", "not measured")) else f"not measured: {missing}"


def _both(cell: Cell) -> "RenderableType":
    from rich.text import Text

    return Text.assemble(cell.text, "\n", (cell.change, COLOURS[cell.tone]))
