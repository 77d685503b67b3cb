"""What is asked for. Every option of a shrink, its default and its help are written here, once; others in `asking`.

The flags of the command line, the tables of a recipe, Python's keywords, the line that repeats a run and `penjing.json`
all follow from these classes. Nothing below the pipeline sees them: rooms get values. Nothing heavy is imported here.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from typing import TYPE_CHECKING, Any

from penjing.errors import BudgetError, RequestError
from penjing.pipeline.export_options import Export
from penjing.pipeline.heal_options import Heal
from penjing.pipeline.option import option, settle
from penjing.tasks.kinds import wishes

if TYPE_CHECKING:
    from penjing.core import Budget

LOADERS = ("stock", "penjing")
DTYPES = ("float32", "bfloat16", "float16")
BUDGETS = {
    "keep": "keep",
    "limit_parameters": "parameters",
    "limit_macs": "macs",
    "limit_bytes": "bytes",
    "limit_seconds": "seconds",
    "max_loss": "loss",
}
"""Option -> the unit of the budget that it is a limit in."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The model. `model` may be a module in memory; one that is not of transformers needs an `example` input."""

    model: object = option(
        MISSING, "A folder, a hub id, a GGUF file, or a config.json.", argument=True, metavar="MODEL", kind="path"
    )
    revision: str | None = option(None, "A branch, tag or commit of a hub id.", metavar="NAME")
    table: str | None = option(
        None, "A layout saved by 'penjing layout --save', perhaps corrected.", metavar="PATH", kind="path"
    )
    example: object = option(None, "An input of the module, where it is not one of transformers.", flag=None)
    graph: bool = option(False, "Of a module: its recorded graph is cut, not its code.", flag=None)

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a plan is made from, for methods that look at data; nothing named means the text that penjing ships."""

    texts: tuple[str, ...] = option(
        (), "Calibration text (.txt, .jsonl, a folder of save_to_disk), or datasets:NAME; may be repeated.",
        flag="--text", metavar="PATH", kind="path", shown="shipped text",
    )  # fmt: skip
    images: tuple[str, ...] = option(
        (), "Calibration images: a folder, .npz or idx file; may be repeated.", metavar="PATH", kind="path"
    )
    labels: str | None = option(None, "The labels of the images of an idx file.", metavar="FILE", kind="path")
    audio: tuple[str, ...] = option(
        (), "Calibration recordings: a folder with their words, or one sub-folder a class; may be repeated.",
        metavar="PATH", kind="path",
    )  # fmt: skip
    batches: object = option(None, "Batches as the module takes them, or a callable that gives them anew.", flag=None)
    rows: int = option(32, "Rows of calibration text, or images.", least=1)
    length: int = option(512, "Tokens per row.", least=2)
    batch: int | None = option(None, "Examples that go through the model together.", least=1, shown="by kind")
    seed: int = option(0, "Seed of everything random.")

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How it is decided what goes: a method with its settings, and one budget."""

    method: str = option(
        "activation", "A method's name; see 'penjing methods'. 'auto' tries several.", short="-m", metavar="NAME"
    )
    keep: float | None = option(None, "Budget: the fraction of units that stays, such as 0.75.", metavar="SHARE")
    limit_parameters: int | None = option(
        None, "Budget: parameters of the whole model, as 100M.", kind="count", metavar="N"
    )
    limit_macs: int | None = option(
        None, "Budget: multiply-adds per token (or per image), as 90M.", kind="count", metavar="N"
    )
    limit_bytes: int | None = option(None, "Budget: bytes of all weights, as 200MB.", metavar="SIZE", kind="bytes")
    limit_seconds: float | None = option(
        None, "Budget: seconds per token (or per prompt or image) on this machine, as 0.05.", metavar="SECONDS"
    )
    max_loss: float | None = option(
        None, "Budget: how much the loss on held-out data may rise, in nats, as 0.05.", metavar="NATS"
    )
    axes: str | None = option(
        None, "Globs of axes to cut, such as 'neurons.*' or 'heads.*'.", metavar="GLOBS", shown="by kind of model"
    )
    protect: tuple[str, ...] = option(
        (), "Globs of axes to leave whole, such as 'neurons.0,neurons.29'.", metavar="GLOBS", joined=True
    )
    multiple: int | None = option(None, "Round widths to a multiple; 1 does not round.", least=1, shown="by width")
    settings: Mapping[str, Any] = option(
        {}, "A setting of the method; may be repeated.", flag="--set", metavar="NAME=VALUE"
    )
    allow_sensitive: bool = option(False, "Cut axes whose cut differs from masking (such as residual).")
    allow_nonfinite: bool = option(False, "Go on although weights hold NaN or infinity.")
    opens_with: str = option(
        "stock", "What must open it: stock, or penjing (layers may differ in width).", metavar="LOADER", known=LOADERS
    )

    def __post_init__(self) -> None:
        settle(self)
        given = [n for n in BUDGETS if getattr(self, n) is not None]
        if len(given) > 1:
            found = " and ".join(f"{n} {getattr(self, n):g}" for n in given)
            raise BudgetError(f"a budget has one limit; found {found}; give one of {', '.join(given)}")

    def budget(self) -> "Budget | None":
        """The one budget that was given, or None.

        Raises:
            BudgetError: its value is out of range.
        """
        from penjing.core import Budget

        given = {unit: v for n, unit in BUDGETS.items() if (v := getattr(self, n)) is not None}
        return Budget(**given) if given else None

    def all_settings(self) -> dict[str, Any]:
        """The method's settings, with those that are options of their own where these were given."""
        own = {"axes": self.axes, "protect": self.protect or None, "multiple": self.multiple}
        allowed = {"allow": ("sensitive",)} if self.allow_sensitive else {}
        return {k: v for k, v in own.items() if v is not None} | allowed | dict(self.settings)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is measured before and after, and what is said of it."""

    texts: tuple[str, ...] = option(
        (), "Text to measure on; may be repeated.", flag="--eval-text", metavar="PATH", kind="path",
        shown="shipped text",
    )  # fmt: skip
    length: int | None = option(None, "Tokens per window of text.", flag="--eval-length", least=2, shown="as --length")
    tasks: tuple[object, ...] = option(
        (),
        f"One of {', '.join(wishes().values())}; may be repeated.",
        flag="--task", metavar="TASK",
    )  # fmt: skip
    limit: int | None = option(None, "Items of each task at most, drawn by the seed.", least=1, shown="all")
    shots: int = option(0, "Solved examples before each question.", least=0)
    speed: bool = option(True, "Measure prefill, decode and peak memory.", off="--no-speed")
    curve: tuple[float, ...] = option(
        (), "Shares kept to draw a curve of, beside random choice, as 0.9,0.75,0.5.", metavar="SHARES", joined=True
    )
    answers: bool = option(True, "Show how each model goes on with a few prompts.", off="--no-answers")
    by_block: bool = option(True, "Measure what each block's cut alone adds to the loss.", off="--no-by-block")
    held_out: object = option(None, "Batches to hold a module's outputs on, or a callable that gives them.", flag=None)
    metric: object = option(None, "Takes a module and gives a number, or several by name: taken of both.", flag=None)
    licence: str | None = option(None, "The licence of the result (its SPDX name), for the model card.", metavar="NAME")
    notes: tuple[str, ...] = option((), "A remark for page and card; may be repeated.", flag="--note", metavar="TEXT")

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where and how everything runs."""

    device: str = option(
        "auto", "Where models run: cpu, cuda, cuda:1, mps, or auto, the fastest that there is.", metavar="DEVICE"
    )
    dtype: str | None = option(
        None, "What models run in: float32, bfloat16 or float16.", metavar="DTYPE", known=DTYPES,
        shown="float32 to plan, as stored to measure",
    )  # fmt: skip
    memory: int | None = option(
        None, "Memory for the model, as 2GB: a larger one is run block by block.", metavar="SIZE", kind="bytes"
    )
    output_dtype: str | None = option(
        None, "What the result is stored in: float32, bfloat16 or float16.", metavar="DTYPE", known=DTYPES,
        shown="as the original",
    )  # fmt: skip
    threads: int | None = option(None, "Threads that torch computes on.", least=1, shown="torch's own choice")
    offline: bool = option(False, "Ask no hub for anything: what is not on this machine is missing.", recorded=False)

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class Request:
    """All of it: one shrink. `measure` None measures nothing, `heal` None heals nothing."""

    source: Source
    choice: Choice = field(default_factory=Choice)
    data: Data = field(default_factory=Data)
    heal: Heal | None = None
    measure: Measure | None = field(default_factory=Measure)
    export: Export = field(default_factory=Export)
    run: Run = field(default_factory=Run)
    out: str | None = option(
        None, "The folder to write; it must not exist.", short="-o", metavar="PATH", kind="file", needed=True
    )
    force: bool = option(
        False, "Replace a result of penjing that lies there; nothing else is replaced.", recorded=False
    )

    def __post_init__(self) -> None:
        settle(self)
        if self.heal is not None and not isinstance(self.heal, Heal):
            raise RequestError(f"heal is {self.heal!r}; needed a Heal, such as Heal(minutes=10)")
        if self.heal is not None and self.heal.teacher is not None and self.choice != Choice():
            raise RequestError("with a teacher that is named nothing is cut; leave the choice or the teacher out")


PARTS = (Source, Choice, Data, Heal, Measure, Export, Run)
TABLES: dict[str, type] = {part.__name__.lower(): part for part in PARTS}
"""The tables of a recipe, and the classes they are."""
