"""penjing profile."""

from typing import Annotated

from penjing.cli.flags import Only
from penjing.cli.options import JSON
from penjing.pipeline.asking import Profiling
from penjing.pipeline.request import Run, Source


def run(
    source: Source,
    profiling: Profiling,
    running: Annotated[Run, Only("device", "dtype", "threads", "offline")],
    as_json: JSON = False,
) -> None:
    """Show where bytes, work and time go, and which cut would pay; weights are read, to count zeros."""
    from penjing.api.inspection import profiled
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.report.why import why_page

    with progress_bar() as progress:
        found = profiled(source, profiling, running, progress=progress)
    if as_json:
        show_json(found.to_json())
        return
    for part in why_page(found):
        show(part)
