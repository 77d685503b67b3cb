"""The options of files for other runtimes."""

from dataclasses import dataclass

from penjing.exporters.formats import FORMATS
from penjing.pipeline.option import option, settle

FORMAT = f"{', '.join(FORMATS.names())}; with a type as gguf:q8_0"


@dataclass(frozen=True, kw_only=True)
class Export:
    """Which files for other runtimes are written beside the result. Widths are rounded to what they hold."""

    to: tuple[str, ...] = option(
        (), f"Also write a file for another runtime: {FORMAT}; may be repeated.", flag="--export", metavar="FORMAT"
    )

    def __post_init__(self) -> None:
        settle(self)
