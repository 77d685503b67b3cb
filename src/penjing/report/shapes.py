"""What `penjing search shapes` prints: the shapes, whether the choice means anything, how to get the best one."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from penjing.pipeline.request import Request
from penjing.pipeline.shape_search import METHOD, ShapeSearch, Tried
from penjing.report.views.lines import tick
from penjing.report.views.sensitivity import signed

if TYPE_CHECKING:
    from rich.console import RenderableType

COLOURS = {"best": "green", "tie": "dim", "worse": "yellow"}
COLUMNS = ("shape", "parameters", "before", "healed", "behind best (95 %)", "")


def said(found: ShapeSearch) -> str:
    """The outcome in a sentence: which is best, and how many are no worse for sure."""
    best, *others = found.tried
    ties = sum(t.verdict == "tie" for t in others)
    if not others:
        return f"{best.shape} is the only shape of that size"
    told = f"{best.shape} is nearest to the whole model"
    if not ties:
        return f"{told}, clearly nearer than all {len(others)} others"
    return f"{told}, and {ties} of {len(others)} others are not clearly behind it"


def shape_lines(found: ShapeSearch) -> "Iterator[RenderableType]":
    """The outcome, a table of the shapes, and what was measured."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for i, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if i in (0, len(COLUMNS) - 1) else "right", no_wrap=i > 0)
    for t in found.tried:
        shape = t.shape.replace(":", "\u00a0").replace(",", ", ")
        table.add_row(Text(shape), f"{t.parameters:,}", *_cells(t), Text(t.verdict, style=COLOURS[t.verdict]))
    yield Text(f"{said(found)}.")
    yield table
    yield Text(
        f"KL(whole || shape) in nats per token on {found.rows} rows of {found.length} tokens, none of them trained on, "
        f"\u00b1 standard error; each shape healed on {found.tokens:,} tokens by {found.heal['method']}",
        style="dim",
    )
    if found.tau is not None:
        yield Text(f"ranks before and after healing agree by {found.tau:.2f} (Kendall's tau)", style="dim")


def _cells(t: Tried) -> tuple[str, ...]:
    own = (_short(t.before), f"{_short(t.after)} \u00b1 {tick(float(f'{t.error:.2g}'), False)}")
    if t.behind is None:
        return (*own, "")
    value, low, high = (signed(float(f"{v:.2g}")) for v in t.behind)
    return (*own, f"{value} ({low} to {high})")


def _short(value: float) -> str:
    return tick(float(f"{value:.3g}"), False)


def shrink_line(found: ShapeSearch, request: Request) -> str:
    """The command that makes the best one and heals it for longer."""
    heal = request.heal
    texts = [p for t in (heal.texts if heal is not None else ()) for p in ("--heal-text", t)]
    if heal is not None and heal.written:
        texts = ["--heal-written"]
    more = ["--method", METHOD, "--set", f"shape={found.tried[0].shape}", "--heal-minutes", "30", *texts]
    allowed = ["--allow-sensitive"] if "residual" in found.tried[0].shape else []
    return shlex.join(["penjing", "shrink", str(request.source.model), "-o", "smaller", *more, *allowed])
