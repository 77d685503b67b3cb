"""What `penjing data select` prints and writes: the candidates, whether the choice means anything, how to use it."""

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.errors import OutputError
from penjing.io.shard_file import writing
from penjing.pipeline.command import typed
from penjing.pipeline.request import Data, Request
from penjing.report.files import check_page
from penjing.report.views.differences import p_value
from penjing.report.views.lines import tick
from penjing.report.views.sensitivity import signed
from penjing.search.data_selection import Selection, Tried

if TYPE_CHECKING:
    from rich.console import RenderableType

COLOURS = {"best": "green", "tie": "dim", "worse": "yellow"}
COLUMNS = ("data", "divergence", "s.e.", "behind best", "95 % interval", "p", "")


def said(found: Selection) -> str:
    """The outcome in a sentence or two: whether the best is clearly the best."""
    best, others, ties = found.tried[0], len(found.tried) - 1, found.ties
    if not ties:
        return f"{best.name} leaves the least divergence, clearly less than {_all(others)}"
    if len({t.plan for t in found.tried}) == 1:
        return f"all {others + 1} candidates give the same plan: which data is taken does not matter here"
    if len(ties) == others:
        return (
            f"{best.name} leaves the least divergence and ties with {_all(others)}: the choice means nothing, take any"
        )
    return (
        f"{best.name} leaves the least divergence and ties with {len(ties)} of {others} others: the choice among these "
        f"means nothing; {others - len(ties)} {'is' if others - len(ties) == 1 else 'are'} clearly worse"
    )


def _all(others: int) -> str:
    return "the other" if others == 1 else f"all {others} others"


def selecting_lines(found: Selection) -> "Iterator[RenderableType]":
    """The outcome, a table of the candidates, and what it cost."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for i, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if i in (0, len(COLUMNS) - 1) else "right", overflow="fold")
    for t in found.tried:
        table.add_row(Text(t.name), *_cells(t), Text(t.verdict, style=COLOURS[t.verdict]))
    yield Text(f"{said(found)}.")
    yield table
    yield Text(
        f"KL(original || pruned) in nats per token, plans by {found.method}; on {held_of(found)}, none of them "
        f"calibrated on; p corrected over all {len(found.tried) * (len(found.tried) - 1) // 2} pairs (Holm)",
        style="dim",
    )
    yield Text(cost_of(found), style="dim")


def _cells(t: Tried) -> tuple[str, ...]:
    own = (tick(float(f"{t.divergence:.4g}"), False), tick(float(f"{t.error:.2g}"), False))
    if t.behind is None:
        return (*own, "", "", "")
    return (*own, signed(t.behind[0]), f"{signed(t.behind[1])} to {signed(t.behind[2])}", p_value(t.p))


def held_of(found: Selection) -> str:
    """What was held out: `64 rows of 128 tokens`."""
    held = found.held_out
    if "rows" not in held:
        return f"{found.examples} examples"
    of = f" of {', '.join(held['files'])}" if held.get("files") else ""
    return f"{held['rows']} rows of {held['length']} tokens{of}"


def cost_of(found: Selection) -> str:
    """What the search took: passes of calibration data, runs over the held-out examples, seconds."""
    cost, total = found.cost, len(found.tried)
    return (
        f"cost of the search: {total} plans, {cost['passes']} with a pass of their data (statistics of the others were "
        f"on disk), {cost['tries']} run on the held-out examples; {cost['planning_seconds']:.0f} s planning + "
        f"{cost['trying_seconds']:.0f} s trying, {cost['seconds']:.0f} s in all"
    )


def plan_command(found: Selection, request: Request) -> str:
    """The command that makes the best one's plan from the same rows; empty for batches of one's own."""
    again = found.made_again
    if "texts" not in again and "images" not in again:
        return ""
    usual: dict[str, Any] = {"texts": (), "images": ()}
    usual |= {k: again[k] for k in ("texts", "images", "seed") if k in again}
    data = Data(**vars(request.data) | usual)
    words = ["penjing", "plan", *typed(request.source), "-o", "plan", *typed(request.choice), *typed(data)]
    return shlex.join(words)


def check_rows(path: Path) -> None:
    """Make sure that rows can be written here, before anything is measured.

    Raises:
        OutputError: it is not a new .jsonl file that can be written.
    """
    if path.suffix != ".jsonl":
        raise OutputError(f"found {path}, needed a name that ends in .jsonl, as --text reads it; give another")
    if path.exists():
        raise OutputError(f"{path} is there already; give another name, or remove it")
    check_page(path)


def save_rows(found: Selection, path: Path) -> str:
    """Write the best one's rows, an object with "text" and "tokens" on each line; what to know about them.

    Raises:
        OutputError: the rows are not of text, or the file cannot be written.
    """
    if not found.texts:
        raise OutputError(f"only rows of text are written, and these are not, so {path} was not; leave out --out")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lines = ({"text": t, "tokens": list(i)} for t, i in zip(found.texts, found.tokens, strict=True))
            part.write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines), encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return rows_told(found, path)


def rows_told(found: Selection, path: Path) -> str:
    """Whether the written texts, read again, are the same rows of tokens."""
    whole = len(found.texts)
    if found.same_tokens == whole:
        shape = f"--rows {whole} --length {len(found.tokens[0])}"
        return f"written: {path}, {whole} rows; --text {path} with {shape} reads them as the same tokens"
    return (
        f"written: {path}, {whole} rows; {whole - found.same_tokens} of them are other tokens when --text reads them "
        "again, since the cut falls within a word or a letter, and those after them shift: it is the same text, and "
        "not the same rows; the command with --seed takes the same rows"
    )
