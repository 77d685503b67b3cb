"""The card of a network that was trained: what it is, how well it does against chance, how it was made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penjing.core import Measurement, Report
from penjing.report.card import as_line
from penjing.report.files import write_text
from penjing.report.headline import headline
from penjing.report.provenance import as_text, label, limits


def save_trained_card(report: Report, folder: Path, *, load: str) -> Path:
    """Write `README.md` into the folder, whole or not at all; its path. `load` is the code that opens the network.

    Raises:
        OutputError: the folder cannot be written to.
    """
    return write_text(folder / "README.md", trained_card(report, load=load))


def trained_card(report: Report, *, load: str) -> str:
    """README.md of the one network of a report."""
    subject = report.subjects[0]
    rows = ["| figure | value | 95 % interval | chance | n | how |", "| --- | ---: | --- | ---: | ---: | --- |"]
    rows += [_row(f) for f in subject.figures]
    made: list[str] = []
    for name, value in report.provenance.items():
        table: Mapping[str, Any] = value if isinstance(value, Mapping) else {"": value}
        made += [f"- {as_line(f'{label(name)} {key}'.strip())}: {as_line(as_text(v))}" for key, v in table.items()]
    parts = [
        '---\nlibrary_name: "transformers"\ntags:\n- "penjing"\n---',
        f"# {as_line(subject.name)}",
        as_line(headline(report)),
        "## Figures",
        "\n".join(rows),
        "## How to load",
        f"```python\n{load}\n```",
        "## How it was made",
        "Trained with penjing.",
        "\n".join(made),
        "## Limits",
        "\n".join(f"- {as_line(s)}" for s in [*limits(report), "The licence was not stated."]),
    ]
    return "\n\n".join(parts) + "\n"


def _row(figure: Measurement) -> str:
    ends = figure.details.get("interval")
    interval = f"{ends['low']:.4g} to {ends['high']:.4g}" if isinstance(ends, Mapping) else ""
    value = "" if figure.value is None else f"{figure.value:.6g} {figure.unit}".strip()
    chance = "" if figure.chance is None else f"{figure.chance:.4g}"
    name = figure.label or figure.name.replace("_", " ").capitalize()
    return "| " + " | ".join(map(as_line, (name, value, interval, chance, str(figure.n), figure.protocol))) + " |"
