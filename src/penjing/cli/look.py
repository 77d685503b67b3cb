"""penjing look."""

from penjing.cli.options import JSON
from penjing.pipeline.request import Looking, Source


def run(source: Source, looking: Looking, as_json: JSON = False) -> None:
    """Show totals, the share of each part, and the axes; no weights are read."""
    from penjing import api
    from penjing.cli.console import show, show_json
    from penjing.report.look import look_page

    seen = api.look(source, context=looking.context)
    if as_json:
        show_json(seen.to_json())
        return
    for part in look_page(seen):
        show(part)
