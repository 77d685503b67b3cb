"""penjing plan."""

from penjing.cli import options as o
from penjing.pipeline.request import Choice, Data, Request, Run, Source


def run(
    source: Source, out: o.OUT, choice: Choice, data: Data, running: Run, as_json: o.JSON = False
) -> None:
    """Write plan.json and plan.safetensors into a folder, after a dry run with exact costs."""
    from penjing.api.steps import planned
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.io import check_plan_folder, save_plan
    from penjing.pipeline.dry_run import dry_run
    from penjing.report.plan import plan_json, plan_page

    request = Request(source=source, choice=choice, data=data, run=running)
    check_plan_folder(out)
    with progress_bar() as progress:
        made = planned(request, progress=progress)
        progress("verifying the plan", 0, 0)
        verified = dry_run(request, made)
    save_plan(made, out)
    if as_json:
        show_json(plan_json(made, verified))
    else:
        show(plan_page(made, verified, out))
