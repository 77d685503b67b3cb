"""penjing plan."""

from penjing.cli import options as o


def run(
    model: o.MODEL,
    out: o.OUT,
    method: o.METHOD = "activation",
    keep: o.KEEP = None,
    parameters: o.PARAMETERS = None,
    size: o.BYTES = None,
    macs: o.MACS = None,
    axes: o.AXES = None,
    protect: o.PROTECT = None,
    multiple: o.MULTIPLE = None,
    setting: o.SETTINGS = None,
    text: o.TEXT = None,
    images: o.IMAGES = None,
    labels: o.LABELS = None,
    rows: o.ROWS = 32,
    length: o.LENGTH = 512,
    batch: o.BATCH = None,
    memory: o.MEMORY = None,
    seed: o.SEED = 0,
    allow_sensitive: o.SENSITIVE = False,
    table: o.TABLE = None,
    as_json: o.JSON = False,
) -> None:
    """Write plan.json and plan.safetensors into a folder, after a dry run with exact costs."""
    from penjing import api
    from penjing.cli.console import progress_bar, show, show_json
    from penjing.io import check_plan_folder, save_plan
    from penjing.pipeline.dry_run import dry_run
    from penjing.report.plan import plan_json, plan_page

    chosen = o.settings(setting, axes=axes, protect=protect, multiple=multiple, allow_sensitive=allow_sensitive)
    check_plan_folder(out)
    with progress_bar() as progress:
        made = api.plan(
            model, method=method, budget=o.budget(keep, parameters, size, macs), settings=chosen, texts=text or (),
            images=images or (), labels=labels, batch=batch,
            memory=None if memory is None else o.amount(memory, "--memory"), rows=rows, length=length, seed=seed,
            table=table, progress=progress,
        )  # fmt: skip
        progress("verifying the plan", 0, 0)
        verified = dry_run(model, made, table=table, allow_sensitive=allow_sensitive)
    save_plan(made, out)
    if as_json:
        show_json(plan_json(made, verified))
    else:
        show(plan_page(made, verified, out))
