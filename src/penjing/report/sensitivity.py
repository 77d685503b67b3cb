"""What `penjing sensitivity` prints, and the report behind its page."""

import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from penjing.core import Measurement, Report, Subject
from penjing.report import formats
from penjing.report.views.auto import WHAT
from penjing.report.views.sensitivity import data_of, sensitivity, signed
from penjing.search.sensitivity import Point, Sensitivity

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

WIDE = 8
"""Letters of the longest bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


def sensitivity_page(found: Sensitivity) -> "Iterator[RenderableType]":
    """A line for each axis, a number and a bar for each fraction, and what was not removed."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    told = found.to_json()
    shown = sensitivity({"sensitivity": told})
    if shown is None:
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("axis", no_wrap=True)
    table.add_column("units", justify="right")
    tops = []
    for i, keep in enumerate(found.fractions):
        table.add_column(f"{formats.percent(keep)} kept", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        tops.append(max((p.increase or 0.0 for c in found.cuts for p in [c.points[i]]), default=0.0))
    for cut in found.cuts:
        cells = [cell for p, top in zip(cut.points, tops, strict=True) for cell in _cells(p, top)]
        table.add_row(Text(cut.axis), f"{cut.size:,}", *cells)
    yield Text(f"{shown.said}.")
    yield table
    unit = WHAT.get(found.objective, "the objective")
    yield Text(
        f"in {unit}, added when the axis alone is cut, units ranked by {found.method}; on {data_of(told)}; each "
        "column's bars have a scale of their own; dim: the 95 % interval holds 0",
        style="dim",
    )
    for name, why in shown.notes:
        yield Text(f"{name}: {why}", style="yellow")


def _cells(point: Point, top: float) -> "tuple[Text, Text]":
    """(the number, its bar)."""
    from rich.text import Text

    if point.increase is None:
        return Text("nothing went", style="yellow"), Text("")
    clear = point.low is not None and point.low > 0
    return Text(signed(point.increase), style="" if clear else "dim"), Text(bar(point.increase, top), style="green")


def bar(value: float, top: float) -> str:
    """A bar of up to `WIDE` letters; empty for what is not above 0.

    >>> bar(1.0, 2.0)
    '████'
    """
    eighths = round(8 * WIDE * value / top) if top > 0 and value > 0 else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def sensitivity_report(found: Sensitivity, *, command: str = "") -> Report:
    """The report of one model: its objective, and in the provenance all that was measured."""
    unit = "nats" if found.objective == "loss" else "nats of divergence"
    label = "Loss" if found.objective == "loss" else "Divergence from the original"
    figure = Measurement(
        name=found.objective, value=found.value, unit=unit, n=found.examples, label=label, better="lower",
        group="quality",
        protocol=f"the mean over {data_of(found.to_json())}; the whole model",
    )  # fmt: skip
    made = {
        "method": found.method,
        "settings": dict(found.settings),
        "data": dict(found.told),
        "seconds": found.seconds,
        "command": command or "called from Python",
        "versions": {name: _version(name) for name in ("penjing", "torch", "transformers")},
        "machine": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "sensitivity": found.to_json(),
    }
    return Report(
        title=f"Sensitivity of {found.model.rstrip('/').rpartition('/')[2]}",
        subjects=(Subject(name=found.model.rstrip("/").rpartition("/")[2], source=found.model, figures=(figure,)),),
        notes=(
            "each axis was cut alone: several cuts together add more, or less, than the sum",
            f"units were ranked by {found.method}: another ranking, or a repair afterwards, gives other figures",
        ),
        provenance=made,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"
