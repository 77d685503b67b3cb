"""What other commands than shrink are asked for, beside the parts that they share with it."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from typing import Any

from penjing.errors import RequestError
from penjing.pipeline.export_options import FORMAT
from penjing.pipeline.option import again, option, settle
from penjing.pipeline.request import Choice, Data
from penjing.scorers import SCORERS


@dataclass(frozen=True, kw_only=True)
class SelectedData(Data):
    """Data for many plans: rows are shorter."""

    length: int = again(Data, "length", 128)


@dataclass(frozen=True, kw_only=True)
class AxisData(Data):
    """Data for cutting axes one by one: rows are fewer and shorter."""

    rows: int = again(Data, "rows", 16)
    length: int = again(Data, "length", 256)


@dataclass(frozen=True, kw_only=True)
class Looking:
    """For how many tokens a model is counted."""

    context: int = option(512, "Tokens in the cache, for one more token.", least=1)

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class Profiling(Looking):
    """For how many tokens a model's time is told, and from what."""

    prompt: int = option(128, "Tokens of the prompt.", least=1)
    calibrate: bool = option(False, "Time this machine first, for some half a minute.")
    timed: bool = option(False, "Run the model, and time its parts.", flag="--run")


@dataclass(frozen=True, kw_only=True)
class Exporting:
    """Which file a model is written to, for another runtime."""

    to: str = option(MISSING, f"The format: {FORMAT}.", metavar="FORMAT", needed=True)
    out: str = option(
        MISSING, "The file to write, or the folder of int8 and int4; it must not exist.", short="-o", metavar="FILE",
        kind="file", needed=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class Against:
    """What a file for another runtime is held against, where one is measured."""

    against: str | None = option(
        None, "Of a GGUF or ONNX file, or a packed folder: the checkpoint it was made of, to hold it against.",
        metavar="CHECKPOINT", kind="path",
    )  # fmt: skip

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class Selecting:
    """Which sets of calibration data are compared, and on what."""

    candidates: int | None = option(
        None, "Draws of all the text, or with --each of each file.", least=1, shown="10, or 1 of each"
    )
    each: bool = option(False, "Each --text file (or --images) is a candidate of its own.")
    held_out: int = option(64, "Rows, or images, to judge on.", least=2)
    held_out_texts: tuple[str, ...] = option(
        (), "Text to judge on.", flag="--held-out-text", metavar="FILE", shown="the rest of the same text", kind="path"
    )

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class Sensing:
    """How far each axis is cut alone, and on what it is measured."""

    fractions: tuple[float, ...] = option(
        (0.75, 0.5, 0.25), "A share kept; may be repeated.", flag="--fraction", metavar="SHARE", shown="0.75, 0.5, 0.25"
    )
    held_out: int = option(8, "Rows of text to measure on.", least=2)

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, kw_only=True)
class Shaping:
    """Which shapes are candidates for so many parameters."""

    limit_parameters: int = option(MISSING, "Parameters of the whole model, as 100M.", kind="count", metavar="N",
                                   needed=True)  # fmt: skip
    kinds: tuple[str, ...] = option(
        (), "Kinds of axes whose sizes differ between shapes.", metavar="KINDS", joined=True,
        shown="neurons,heads,blocks",
    )  # fmt: skip
    tolerance: float = option(0.05, "How far from the limit a shape may be, as a share of it.", metavar="SHARE")
    candidates: int = option(8, "Shapes that are tried, far apart from one another.", least=1)
    least: float = option(0.4, "The share of each kind that stays at least.", metavar="SHARE")
    multiple: int | None = again(Choice, "multiple", None)

    def __post_init__(self) -> None:
        settle(self)
        for name in ("tolerance", "least"):
            if not 0 < getattr(self, name) <= 1:
                raise RequestError(f"{name} is {getattr(self, name):g}; needed a share above 0 and up to 1")


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Which labelled pictures are scored, by what, and how many of them stay."""

    images: str = option(
        MISSING, "Labelled pictures: a folder of class folders, .npz, or an idx file.", argument=True,
        metavar="IMAGES", kind="path",
    )  # fmt: skip
    labels: str | None = option(None, "The labels of the pictures of an idx file.", metavar="FILE", kind="path")
    encoder: str | None = option(
        None, "A model whose features are looked at.", metavar="MODEL", kind="path", shown="main components of pixels"
    )
    keep: float = option(0.8, "The share of the pictures that stays.", metavar="SHARE")
    score: str = option("prototypes", f"What they are scored by, one of {', '.join(SCORERS.names())}.", metavar="NAME")
    settings: Mapping[str, Any] = option(
        {}, "A setting of the score; may be repeated.", flag="--set", metavar="NAME=VALUE"
    )
    end: str = option(
        "auto", "Which end stays: hard, easy, or auto, which is decided on held-out pictures.", metavar="END",
        known=("hard", "easy", "auto"),
    )  # fmt: skip
    trim: float = option(0.0, "The share of the hardest that goes before, as perhaps mislabelled.", metavar="SHARE")
    limit: int | None = option(None, "Pictures at most, drawn by the seed.", least=10, shown="all")
    pairs: int = option(5, "Pairs of networks by which a choice is held against random ones.", least=2)
    steps: int = option(600, "Steps that each network is trained.", least=1)
    seed: int = option(0, "Seed of everything random.")
    anyway: bool = option(False, "Go on although a random choice is clearly better.")

    def __post_init__(self) -> None:
        settle(self)
