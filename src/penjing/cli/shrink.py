"""penjing shrink."""

from pathlib import Path
from typing import Annotated

import typer

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
    evaluation: Annotated[
        list[Path] | None, typer.Option("--eval-text", help="Text to measure on; [default: shipped text]")
    ] = None,
    rows: o.ROWS = 32,
    length: o.LENGTH = 512,
    batch: o.BATCH = None,
    memory: o.MEMORY = None,
    seed: o.SEED = 0,
    measure: Annotated[bool, typer.Option("--measure/--no-measure", help="Measure before and after.")] = True,
    speed: o.SPEED = True,
    allow_sensitive: o.SENSITIVE = False,
    allow_nonfinite: o.NONFINITE = False,
    table: o.TABLE = None,
    runs: o.RUNS = None,
    as_json: o.JSON = False,
) -> None:
    """Without a budget, 0.75 of the chosen units stay. The folder opens with plain transformers."""
    from penjing import api
    from penjing.cli.console import command_line
    from penjing.cli.output import show_shrunk
    from penjing.cli.run_folder import following

    with following(runs, "shrink", model) as followed:
        done = api.shrink(
            model, out, method=method, budget=o.budget(keep, parameters, size, macs),
            settings=o.settings(
                setting, axes=axes, protect=protect, multiple=multiple, allow_sensitive=allow_sensitive
            ), texts=text or (),
            images=images or (), labels=labels, batch=batch,
            memory=None if memory is None else o.amount(memory, "--memory"),
            evaluation=evaluation or (), rows=rows, length=length, seed=seed, table=table, measure=measure,
            speed=speed, allow_sensitive=allow_sensitive, allow_nonfinite=allow_nonfinite, command=command_line(),
            progress=followed.progress, so_far=followed.so_far,
        )  # fmt: skip
    show_shrunk(done, as_json=as_json)
