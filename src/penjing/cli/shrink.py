"""penjing shrink."""

from typing import Annotated

from penjing.cli import options as o
from penjing.cli.flags import Without
from penjing.pipeline.request import Request


def run(
    request: Annotated[Request, Without("heal.teacher")], runs: o.RUNS = None, as_json: o.JSON = False
) -> None:
    """Without a budget, 0.75 of the chosen units stay. The folder opens with plain transformers, or is said not to."""
    from penjing.api.shrink import carry
    from penjing.cli.output import show_finished, show_shrunk
    from penjing.cli.run_folder import following
    from penjing.errors import FinishedError

    with following(runs, "shrink", str(request.source.model)) as followed:
        try:
            done = carry(request, progress=followed.progress, so_far=followed.so_far)
        except FinishedError:
            show_finished(str(request.out), as_json=as_json)
            return
    show_shrunk(done, as_json=as_json)
