"""Options that several commands share, each stated once."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from penjing.core import Budget

MODEL = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a hub id, a GGUF file, or a config.json.")]
OUT = Annotated[Path, typer.Option("--out", "-o", help="The folder to write; it must not exist.")]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON on stdout; progress stays on stderr.")]
TABLE = Annotated[
    Path | None, typer.Option("--table", help="A layout saved by 'penjing layout --save', perhaps corrected.")
]
METHOD = Annotated[
    str, typer.Option("--method", "-m", help="A method's name; see 'penjing methods'. 'auto' tries several.")
]
KEEP = Annotated[float | None, typer.Option("--keep", help="Budget: the fraction of units that stays, such as 0.75.")]
PARAMETERS = Annotated[str | None, typer.Option("--parameters", help="Budget: parameters of the whole model, as 100M.")]
BYTES = Annotated[str | None, typer.Option("--bytes", help="Budget: bytes of all weights, such as 200MB.")]
MACS = Annotated[str | None, typer.Option("--macs", help="Budget: multiply-adds per token (or per image), as 90M.")]
AXES = Annotated[str | None, typer.Option("--axes", help="Globs of axes to cut, such as 'neurons.*' or 'heads.*'.")]
PROTECT = Annotated[
    str | None, typer.Option("--protect", help="Globs of axes to leave whole, such as 'neurons.0,neurons.29'.")
]
MULTIPLE = Annotated[
    int | None, typer.Option("--multiple", help="Round widths to a multiple; 1 does not round. [default: by width]")
]
SETTINGS = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the method; may be repeated.")
]
TEXT = Annotated[
    list[Path] | None, typer.Option("--text", help="Calibration text (.txt or .jsonl); [default: shipped text]")
]
ROWS = Annotated[int, typer.Option("--rows", min=1, help="Rows of calibration text.")]
LENGTH = Annotated[int, typer.Option("--length", min=2, help="Tokens per row.")]
BATCH = Annotated[
    int | None, typer.Option("--batch", min=1, help="Examples that go through the model together. [default: by kind]")
]
MEMORY = Annotated[
    str | None,
    typer.Option("--memory", metavar="SIZE", help="Memory for the model, as 2GB: a larger one is run block by block."),
]
IMAGES = Annotated[
    list[Path] | None,
    typer.Option("--images", metavar="PATH", help="Calibration images: a folder, .npz or idx file; may be repeated."),
]
LABELS = Annotated[
    Path | None, typer.Option("--labels", metavar="FILE", help="The labels of the images of an idx file.")
]
SEED = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
SENSITIVE = Annotated[
    bool, typer.Option("--allow-sensitive", help="Cut axes whose cut differs from masking (such as residual).")
]
NONFINITE = Annotated[bool, typer.Option("--allow-nonfinite", help="Go on although weights hold NaN or infinity.")]
TASKS = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="A BIG-bench task.json, a .jsonl of questions, BENCHMARK:FILE (arc, hellaswag, piqa, boolq, openbookqa, "
        "winogrande, mmlu, truthfulqa, gsm8k, instructions, exact), 'instructions', lm-eval:NAME, images:PATH, "
        "corruptions:PATH, probe:TRAIN,TEST, or attack:RECIPE:FILE; may be repeated.",
    ),
]
LIMIT = Annotated[int | None, typer.Option("--limit", min=1, help="Items of each task at most, drawn by the seed.")]
SHOTS = Annotated[int, typer.Option("--shots", min=0, help="Solved examples before each question.")]
RUNS = Annotated[
    Path | None,
    typer.Option("--runs", metavar="RUNS", help="Also write a run into this folder, to follow with 'penjing serve'."),
]
SPEED = Annotated[bool, typer.Option("--speed/--no-speed", help="Measure prefill, decode and peak memory.")]

_SCALE = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


def amount(text: str, option: str) -> int:
    """A count such as 100M, 1.5G or 200MB.

    >>> amount("1.5G", "--bytes")
    1500000000

    Raises:
        BudgetError: it is not a count.
    """
    from penjing.errors import BudgetError

    bare = text.strip().upper()
    if option in ("--bytes", "--memory"):
        bare = bare.removesuffix("B")
    number, suffix = (bare[:-1], bare[-1:]) if bare[-1:] in _SCALE and bare[-1:] else (bare, "")
    try:
        return int(float(number) * _SCALE[suffix])
    except ValueError as error:
        raise BudgetError(f"{option} needs a count such as 100M; found '{text}'") from error


def budget(keep: float | None, parameters: str | None, size: str | None, macs: str | None) -> "Budget | None":
    """The one budget that was given, or None.

    Raises:
        BudgetError: more than one was given, or it is not a count.
    """
    from penjing.core import Budget

    given: dict[str, Any] = {"keep": keep} if keep is not None else {}
    for name, text in (("parameters", parameters), ("bytes", size), ("macs", macs)):
        if text is not None:
            given[name] = amount(text, f"--{name}")
    return Budget(**given) if given else None


def settings(
    pairs: list[str] | None,
    *,
    axes: str | None = None,
    protect: str | None = None,
    multiple: int | None = None,
    allow_sensitive: bool = False,
) -> dict[str, Any]:
    """Settings from NAME=VALUE pairs (values as JSON where they are, else text) and from options that were given.

    Raises:
        PlanError: a pair has no '='.
    """
    from penjing.errors import PlanError

    given = {
        "axes": axes,
        "protect": tuple(g.strip() for g in protect.split(",")) if protect else None,
        "multiple": multiple,
        "allow": ("sensitive",) if allow_sensitive else None,
    }
    out: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise PlanError(f"--set needs NAME=VALUE; found '{pair}'")
        try:
            read = json.loads(value)
        except json.JSONDecodeError:
            read = value
        out[name.strip()] = tuple(read) if isinstance(read, list) else read
    return out
