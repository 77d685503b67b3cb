"""What was exported, for the terminal."""

from collections.abc import Iterator
from typing import Any

from penjing.exporters.exporter import Exporter, Written
from penjing.report.formats import quantity


def written_lines(found: Written, exporter: Exporter) -> Iterator[str]:
    """What was written, how it was tested, and how it is opened."""
    yield f"{found.path}  {quantity(found.bytes, 'bytes')}"
    largest = f"{found.difference:.1e} of the largest" if found.difference else "nothing"
    yield f"run and compared with the model at {len(found.compared)} sizes: outputs differ by {largest}"
    yield from found.notes
    yield "to open it:"
    yield from (f"    {line}" for line in exporter.opens.replace("FILE", repr(str(found.path))).splitlines())


def written_json(found: Written) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "file": str(found.path), "bytes": found.bytes, "difference": found.difference, "compared": list(found.compared),
        "notes": list(found.notes),
    }  # fmt: skip
