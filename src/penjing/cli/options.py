"""Options that belong to no request, and that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

OUT = Annotated[Path, typer.Option("--out", "-o", metavar="PATH", help="The folder to write; it must not exist.")]
FORCE = Annotated[
    bool, typer.Option("--force", help="Replace a result of penjing that lies there; nothing else is replaced.")
]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON on stdout; progress stays on stderr.")]
RUNS = Annotated[
    Path | None,
    typer.Option("--runs", metavar="RUNS", help="Also write a run into this folder, to follow with 'penjing serve'."),
]
