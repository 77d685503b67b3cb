"""Sizes told beside each other as they are: the file as it lay on disk, and both models in one type."""

from dataclasses import replace
from pathlib import Path

from penjing.core import Measurement, Report
from penjing.running.source import Source

FILE = Measurement(
    name="file_bytes", value=None, unit="bytes", label="File as it lay on disk", better="lower", group="size"
)
SAME = Measurement(name="dtype_bytes", value=None, unit="bytes", label="Size in one type", better="lower", group="size")
ITEM = {"float32": 4, "bfloat16": 2, "float16": 2}
QUANTISED = 9.0
"""Bits a weight below which a file is quantised: what is stored whole has at least 16, with scales 8 and a little."""


def with_sizes(report: Report, source: Source, dtype: str | None) -> Report:
    """The report of an original and its result, with the sizes that the files alone do not tell.

    `dtype` is what the result is stored in, if another one than the original's. Nothing is added where both lie in
    folders in the same type.
    """
    first, last = report.subjects[0], report.subjects[:2][-1]
    held, counts = (s.figure("bytes") for s in (first, last)), [s.figure("parameters") for s in (first, last)]
    sizes = [f.value for f in held if f is not None and f.value]
    numbers = [f.value for f in counts if f is not None and f.value]
    if len(sizes) < 2 or len(numbers) < 2:
        return report
    before: list[Measurement] = []
    after: list[Measurement] = []
    notes: list[str] = []
    lay = _file_size(source)
    if lay is not None and abs(lay / sizes[0] - 1) > 0.01:
        before.append(replace(FILE, value=float(lay), n=1, protocol="size of the file that was named"))
        after.append(replace(FILE, value=sizes[1], n=1, protocol="size of the weight files"))
        bits = 8 * lay / numbers[0]
        if bits < QUANTISED:
            notes.append(
                f"the original lay on disk in {lay / 1e6:.0f} MB, quantised to {bits:.1f} bits a weight, and the "
                f"result in {sizes[1] / 1e6:.0f} MB, not quantised; quantised likewise it would take some "
                f"{bits / 8 * numbers[1] / 1e6:.0f} MB, and its figures would change: measure it again then"
            )
    if dtype is not None:
        label = f"Size in {dtype}"
        one, other = (replace(SAME, label=label, value=n * ITEM[dtype], n=1, protocol=f"parameters in {dtype}")
                      for n in numbers)  # fmt: skip
        if abs(sizes[0] / (one.value or 1) - 1) > 0.05:
            before.append(one)
            after.append(other)
    subjects = (
        replace(first, figures=(*first.figures, *before)), replace(last, figures=(*last.figures, *after)),
        *report.subjects[2:],
    )  # fmt: skip
    return replace(report, subjects=subjects, notes=(*report.notes, *notes))


def _file_size(source: Source) -> int | None:
    """Bytes of the file that was named; None for a folder, which is measured itself."""
    path = Path(source.name)
    return path.stat().st_size if path.is_file() and path.suffix != ".json" else None
