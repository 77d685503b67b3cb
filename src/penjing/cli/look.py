"""penjing look."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.cli import options as o

if TYPE_CHECKING:
    from penjing.profiling.why import Why
    from penjing.search.sensitivity import Sensitivity

SENSITIVITY = "With --sensitivity: "


def run(
    model: o.MODEL,
    context: Annotated[int, typer.Option("--context", min=1, help="Tokens in the cache, for the counts.")] = 512,
    table: o.TABLE = None,
    why: Annotated[
        bool, typer.Option("--why", help="Show where bytes, work and time go, and which cut would pay; reads weights.")
    ] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="With --why: time this machine first, for some half a minute.")
    ] = False,
    timed: Annotated[bool, typer.Option("--run", help="With --why: run the model, and time its parts.")] = False,
    prompt: Annotated[int, typer.Option("--prompt", min=1, help="With --why: tokens of the prompt.")] = 128,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Cut each axis alone, and show what that adds to the loss.")
    ] = False,
    fraction: Annotated[
        list[float] | None,
        typer.Option("--fraction", help=f"{SENSITIVITY}a share kept; may be repeated. [default: 0.75, 0.5, 0.25]"),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", "-m", help=f"{SENSITIVITY}the method that ranks units.")
    ] = "activation",
    axes: o.AXES = None,
    setting: o.SETTINGS = None,
    text: o.TEXT = None,
    images: o.IMAGES = None,
    labels: o.LABELS = None,
    rows: o.ROWS = 16,
    held_out: Annotated[int, typer.Option("--held-out", min=2, help=f"{SENSITIVITY}rows of text to measure on.")] = 8,
    length: o.LENGTH = 256,
    seed: o.SEED = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help=f"{SENSITIVITY}a page to write, such as sensitivity.html.")
    ] = None,
    as_json: o.JSON = False,
) -> None:
    """Show totals, the share of each part, and the axes; no weights are read without --why or --sensitivity."""
    from penjing import api
    from penjing.cli.console import show, show_json
    from penjing.report.look import look_page

    if not why and (calibrate or timed):
        raise typer.BadParameter("--calibrate and --run belong to --why; add it")
    if not sensitivity and any([fraction, axes, setting, text, images, labels, out]):
        raise typer.BadParameter("data, --axes, --fraction, --set and --out belong to --sensitivity; add it")
    if out is not None:
        from penjing.report import check_page

        check_page(out)
    sensed = None
    if sensitivity:
        asked: dict[str, Any] = {
            "axes": axes, "method": method, "settings": o.settings(setting), "texts": text or (),
            "images": images or (), "labels": labels, "rows": rows, "held_out": held_out, "length": length,
            "seed": seed, "table": table,
        }  # fmt: skip
        sensed = _sensitivity(model, asked | ({"fractions": fraction} if fraction else {}), out)
    found = _why(model, table, context=context, prompt=prompt, calibrate=calibrate, timed=timed) if why else None
    seen = api.look(model, table=table, context=context)
    if as_json:
        more = {"why": found, "sensitivity": sensed}
        show_json(seen.to_json() | {k: v.to_json() for k, v in more.items() if v is not None})
        return
    for part in look_page(seen):
        show(part)
    if found:
        from penjing.report.why import why_page

        show("")
        for part in why_page(found):
            show(part)
    if sensed:
        _show_sensitivity(sensed, out)


def _sensitivity(model: str, asked: dict[str, Any], out: Path | None) -> "Sensitivity":
    from penjing import api
    from penjing.cli.console import command_line, progress_bar

    with progress_bar() as progress:
        found = api.sensitivity(model, **asked, progress=progress)
    if out is not None:
        from penjing.report import save_page
        from penjing.report.sensitivity import sensitivity_report

        save_page(sensitivity_report(found, command=command_line()), out)
    return found


def _show_sensitivity(found: "Sensitivity", out: Path | None) -> None:
    from penjing.cli.console import show
    from penjing.report.sensitivity import sensitivity_page

    show("")
    for part in sensitivity_page(found):
        show(part)
    if out is not None:
        show(f"page: {out}")


def _why(model: str, table: Path | None, *, context: int, prompt: int, calibrate: bool, timed: bool) -> "Why":
    from penjing.cli.console import progress_bar
    from penjing.core.places import cache_folder
    from penjing.profiling import roofline
    from penjing.profiling.why import dtype_of, explain, measure_parts
    from penjing.running.source import resolve

    with progress_bar() as progress:
        source = resolve(model, table=table, weights=False)
        dtype = dtype_of(source)
        if calibrate:
            profile = roofline.calibrate(dtype=dtype, progress=lambda d, n: progress("calibrating this machine", d, n))
        else:
            profile = roofline.find(dtype=dtype)
        inside = None
        if timed:
            inside = measure_parts(source, cache_folder(), context=context, tokens=prompt, progress=progress)
        return explain(source, context=context, tokens=prompt, profile=profile, measured=inside, progress=progress)
