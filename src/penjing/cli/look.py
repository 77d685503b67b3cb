"""penjing look."""

from penjing.cli.options import JSON
from penjing.pipeline.asking import Looking
from penjing.pipeline.request import Source


def run(source: Source, looking: Looking, as_json: JSON = False) -> None:
    """Show totals, the share of each part, and the axes; no weights are read."""
    from penjing.cli.console import show, show_json
    from penjing.pipeline.outlines import outline_of
    from penjing.profiling.look import look_at
    from penjing.report.look import look_page

    seen = look_at(outline_of(source), context=looking.context)
    if as_json:
        show_json(seen.to_json())
        return
    for part in look_page(seen):
        show(part)
