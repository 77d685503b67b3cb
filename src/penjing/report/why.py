"""What `penjing profile` prints: parts, cuts that would pay, and what zeros do."""

from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.table import Table

from penjing.profiling.cuts import Cut
from penjing.profiling.why import Part, Why
from penjing.report import formats

_INDEX_BYTES = 4
_WAITS = {"bytes": "memory", "arithmetic": "arithmetic", "calls": "calls"}


def why_page(seen: Why) -> Iterator[Any]:
    """The whole answer, piece by piece."""
    decodes = seen.step_bytes is not None
    yield f"[bold]where it goes[/bold]: {_jobs(seen)}"
    yield parts_table(seen)
    if seen.machine:
        yield f"[dim]times predicted for {escape(seen.machine)}[/dim]"
    elif not _timed(seen):
        yield "[dim]no times: this machine has not been calibrated; --calibrate does it, in half a minute[/dim]"
    yield ""
    yield from _amdahl(seen, decodes)
    yield ""
    yield from _zeros(seen)
    for note in seen.notes:
        yield f"note: {escape(note)}"


def _jobs(seen: Why) -> str:
    if seen.step_bytes is None:
        return "one pass"
    return f"one token after {seen.context}, and a prompt of {seen.tokens}"


def _timed(seen: Why) -> bool:
    return any(p.prefill_seconds is not None or p.measured_prefill_seconds is not None for p in seen.parts)


def parts_table(seen: Why) -> Table:
    """One line per part, the dearest first; columns that would be empty are left out."""
    decodes = seen.step_bytes is not None
    columns: list[tuple[str, Any]] = [
        ("parameters", lambda p: f"{p.parameters:,}" if p.parameters else ""),
    ]
    if decodes:
        columns += [
            ("read per token", lambda p: _amount(p.decode_bytes, "bytes")),
            ("multiply-adds per token", lambda p: _amount(p.decode_macs, "macs")),
        ]
    columns.append((f"per {'prompt' if decodes else 'pass'}", lambda p: _amount(p.prefill_macs, "macs")))
    for label, key in (
        ("ms per token", "decode_seconds"),
        ("ms per prompt" if decodes else "ms", "prefill_seconds"),
        ("measured ms per token", "measured_decode_seconds"),
        ("measured ms per prompt" if decodes else "measured ms", "measured_prefill_seconds"),
    ):
        if any(getattr(p, key) is not None for p in seen.parts):
            columns.append((label, lambda p, key=key: _ms(getattr(p, key))))
    columns.append(("share", lambda p: f"{p.decode_share if decodes else p.prefill_share:.1%}"))
    if any(p.bound for p in seen.parts):
        columns.append(("waits for", lambda p: _WAITS.get(p.bound, "")))
    table = Table(box=None, pad_edge=False)
    table.add_column("part")
    for label, _ in columns:
        table.add_column(label, justify="left" if label == "waits for" else "right")
    for part in seen.parts:
        table.add_row(part.part, *(show(part) for _, show in columns))
    return table


def _amount(value: float | None, unit: str) -> str:
    return formats.quantity(value, unit) if value else ""


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.2f}"


def _amdahl(seen: Why, decodes: bool) -> Iterator[Any]:
    """The cuts as a table, and what the best and the largest part mean in formats."""
    if not seen.cuts:
        yield "no cut of this model's axes would pay"
        return
    yield "[bold]which cut would pay[/bold] (what is left, as a share of now)"
    table = Table(box=None, pad_edge=False)
    table.add_column("without")
    for label in ("parameters", *(("time per token",) if decodes else ()), "time per prompt" if decodes else "time"):
        table.add_column(label, justify="right")
    table.add_column("")
    for cut in seen.cuts:
        ratios = [cut.parameters_ratio, *([cut.decode_ratio] if decodes else []), cut.prefill_ratio]
        remark = "changes what the rest computes" if cut.state == "sensitive" else ""
        table.add_row(cut.what, *(_times(r) for r in ratios), f"[dim]{remark}[/dim]")
    yield table
    yield f"[dim]from {seen.cuts[0].predicted_from}; halves and quarters are examples[/dim]"
    largest = seen.parts[0]
    yield _limit(largest, decodes)


def _limit(part: Part, decodes: bool) -> str:
    share = part.decode_share if decodes and part.decode_share is not None else part.prefill_share
    what = "a token" if decodes else "a pass"
    return (
        f"{part.part} is {share:.0%} of {what}: halving it leaves {1 - share / 2:.2f}x, and without any of it "
        f"{1 - share:.2f}x would be left"
    )


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def _zeros(seen: Why) -> Iterator[str]:
    """Why zeros do not help by themselves, with this model's own numbers."""
    yield "[bold]why zeros alone do not[/bold]"
    if seen.step_bytes is not None:
        read = formats.quantity(seen.step_bytes, "bytes")
        yield f"a zero is stored, read and multiplied like any number: {read} per token before, {read} after, 1.00x"
    else:
        yield "a zero is stored, read and multiplied like any number: the same work before and after, 1.00x"
    least = _INDEX_BYTES / (_INDEX_BYTES + seen.itemsize)
    yield (
        f"a sparse format stores {_INDEX_BYTES} bytes of place beside each {seen.itemsize}-byte value: it reads less "
        f"only above {least:.0%} zeros, and needs kernels that stock loaders do not have"
    )
    if seen.zeros is None:
        return
    found = seen.zeros
    yield f"this model: {found.zeros:,} of {found.weights:,} weights are exactly 0 ({formats.percent(found.share)})"
    if seen.cut_out is not None:
        yield f"{_units(found.units)} hold nothing else: cut out, {_gain(seen.cut_out)}"
    elif found.zeros:
        yield "no unit holds nothing but zeros, so none of them can be cut out as they are"


def _units(units: Any) -> str:
    kinds: dict[str, int] = {}
    for axis, count in units.items():
        kind = axis.split(".", 1)[0]
        kinds[kind] = kinds.get(kind, 0) + count
    return formats.listing([f"{n:,} {kind.replace('_', ' ')}" for kind, n in kinds.items()])


def _gain(cut: Cut) -> str:
    said = f"{cut.parameters_ratio:.2f}x the parameters"
    if cut.decode_ratio is not None:
        said += f", {cut.decode_ratio:.2f}x the time per token"
    return said + f", {cut.prefill_ratio:.2f}x the time per {'pass' if cut.decode_ratio is None else 'prompt'}"
