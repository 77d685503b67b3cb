"""penjing export."""

from typing import Annotated

from penjing.cli.flags import Only
from penjing.cli.options import JSON
from penjing.pipeline.asking import Exporting
from penjing.pipeline.request import Run, Source


def run(
    source: Source, exporting: Exporting, running: Annotated[Run, Only("threads", "offline")], as_json: JSON = False
) -> None:
    """Write one file, which is run and compared with the model before it bears its name."""
    from penjing.api.export import exported
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.exporters.formats import FORMATS, parted
    from penjing.report.export import written_json, written_lines

    with progress_bar() as progress:
        found = exported(source, exporting, running, progress=progress)
    if as_json:
        show_json(written_json(found))
        return
    for line in written_lines(found, FORMATS.load(parted(exporting.to)[0]).EXPORTER):
        show(line)
