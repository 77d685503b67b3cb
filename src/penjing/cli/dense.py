"""penjing dense."""

from pathlib import Path
from typing import Annotated

import typer

from penjing.cli.options import JSON, OUT


def run(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A result whose matrices are products or chains.")],
    out: OUT,
    as_json: JSON = False,
) -> None:
    """Multiply products and chains of matrices out; stock loaders open what is written."""
    from penjing.api.dense import dense
    from penjing.cli.console import show, show_json

    found = dense(folder, out)
    if as_json:
        show_json({
            "folder": str(found.folder), "modules": found.modules, "parameters_before": found.parameters_before,
            "parameters_after": found.parameters_after,
        })  # fmt: skip
        return
    show(f"{found.modules} modules are stock layers again")
    show(f"parameters: {found.parameters_before:,} before, {found.parameters_after:,} after")
    show(f"written: {found.folder}")
