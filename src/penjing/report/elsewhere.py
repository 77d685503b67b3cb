"""The files for other runtimes that lie beside a result: what they are, what they lost, how they are opened."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from penjing.core import Measurement
from penjing.report.build import known, quantity, reason
from penjing.report.figures import kind
from penjing.report.formats import quantity as shown
from penjing.report.provenance import sentence

KEY = "files"
"""The entry of a report's provenance that tells of them."""


@dataclass(frozen=True, kw_only=True)
class OtherFile:
    """One file: its name and size, (label, figure) of what was measured in its runtime, remarks, code that opens it."""

    name: str
    to: str
    size: str
    figures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    code: str


def other_files(provenance: Mapping[str, Any]) -> list[OtherFile]:
    """The files that a report's provenance tells of."""
    return [_file(told) for told in provenance.get(KEY, ())]


def _file(told: Mapping[str, Any]) -> OtherFile:
    apart = f"{told['difference']:.1e} of the largest" if told["difference"] else "nothing"
    checked = f"run and compared with the model at {len(told['compared'])} sizes: outputs differ by {apart}"
    every = (measurement(f) for f in told.get("figures", ()))
    return OtherFile(
        name=told["file"],
        to=told["to"],
        size=shown(told["bytes"], "bytes"),
        figures=tuple((kind(f).label, quantity(f) if known(f) is not None else reason(f)) for f in every),
        notes=tuple(map(sentence, (checked, *told["notes"]))),
        code=told["opens"].replace("FILE", repr(told["file"])),
    )


def measurement(table: Mapping[str, Any]) -> Measurement:
    """A figure from what `dataclasses.asdict` made of it."""
    known_keys = {f.name for f in fields(Measurement)}
    return Measurement(**{k: v for k, v in table.items() if k in known_keys})


def terminal_lines(provenance: Mapping[str, Any]) -> Iterator[str]:
    """What a terminal says of them."""
    for file in other_files(provenance):
        yield f"{file.name}, {file.size}, for {file.to.partition(':')[0]}: {file.notes[0]}"
        yield from (f"    {label}: {text}" for label, text in file.figures)
        yield from (f"    {note}" for note in file.notes[1:])


def card_section(provenance: Mapping[str, Any], escape: Callable[[str], str]) -> list[str]:
    """Paragraphs of a model card, in Markdown; none where there are no files."""
    found = other_files(provenance)
    parts = ["## Files for other runtimes"] if found else []
    for file in found:
        told = [*(f"{label}: {text}" for label, text in file.figures), *file.notes]
        parts.append(f"### {escape(file.name)}, {escape(file.size)}")
        parts.append("\n".join(f"- {escape(line)}" for line in told))
        parts.append(f"```python\n{file.code}\n```")
    return parts
