"""Files for other runtimes beside a result: what no format can hold is refused before it is made."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penjing.core import Axis, Layout, Measurement
from penjing.core.pattern import shape
from penjing.core.progress import Progress, silent
from penjing.errors import ExportError, RequestError
from penjing.exporters.exporter import Given, Written, discard
from penjing.exporters.formats import FORMATS, ending, parted, variant_of
from penjing.io import writing
from penjing.methods import METHODS
from penjing.pipeline.parts import Figures, Parts
from penjing.pipeline.request import Choice
from penjing.running import stock
from penjing.running.source import Source
from penjing.select.steps import step_of
from penjing.surgery import Verified

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One file that is wanted: what was `asked` for, as `gguf:q8_0`, its format's exporter, and the variant."""

    asked: str
    exporter: Any
    variant: str

    def file(self, name: str) -> str:
        """The file's name beside a result of this name: `smaller-q8_0.gguf`."""
        return name + ending(self.exporter, parted(self.asked)[0], self.variant)

    @property
    def multiple(self) -> int:
        """What widths should be a multiple of."""
        return self.exporter.multiple(self.variant)


def wanted(asked: Sequence[str]) -> tuple[Wanted, ...]:
    """The files that are asked for.

    Raises:
        PenjingError: there is no such format.
        ExportError: it has no such type.
        RequestError: two would be one file.
    """
    found: list[Wanted] = []
    for text in asked:
        name, variant = parted(text)
        exporter = FORMATS.load(name).EXPORTER
        one = Wanted(asked=text, exporter=exporter, variant=variant_of(exporter, text, variant))
        if one.file("") in [other.file("") for other in found]:
            raise RequestError(f"export names '{text}' twice; name each file once")
        found.append(one)
    return tuple(found)


def check_wish(
    asked: Sequence[str], choice: Choice, source: Source, *, cuts: bool = True, folder: Path | None = None
) -> tuple[Wanted, ...]:
    """The files that are asked for, if the model is of a kind that they hold; free axes may still be rounded.

    With `cuts` False nothing is cut, and so no width will change. A tokenizer is looked at in the `folder`.

    Raises:
        ExportError: a format has no such model, or the widths that are typed do not suit it.
        MissingExtraError: a package that writes or runs the file is not installed.
    """
    found = wanted(asked)
    shapes, sensitive = source.weights().shapes, _cuts_sensitive(choice)
    step = _typed_multiple(choice) or multiple_of(found)
    for one in found:
        best = _shapes(source.layout, shapes, step, sensitive=sensitive) if cuts else shapes
        _refuse(one, source.config, best, source.name, folder)
        if cuts and _typed_multiple(choice) is not None:
            _check_typed(one, source, step, sensitive=sensitive)
    return found


def _refuse(
    one: Wanted, config: Mapping[str, Any], shapes: Shapes, what: str, folder: Path | None = None
) -> None:
    try:
        one.exporter.refuse(config, shapes, one.variant, folder)
    except ExportError as error:
        raise ExportError(f"{what} cannot be exported as {one.asked}: {error}") from error


def _check_typed(one: Wanted, source: Source, step: int, *, sensitive: bool) -> None:
    """Refuse a multiple that was typed, if a width of it would not do."""
    shapes = _shapes(source.layout, source.weights().shapes, step, sensitive=sensitive, least=True)
    try:
        one.exporter.refuse(source.config, shapes, one.variant)
    except ExportError as error:
        raise ExportError(
            f"widths are to be multiples of {step}, which {one.asked} does not hold ({error}); leave --multiple out, "
            f"or type {math.lcm(step, one.multiple)}"
        ) from error


def _typed_multiple(choice: Choice) -> int | None:
    found = choice.all_settings().get("multiple")
    return found if isinstance(found, int) else None


def _cuts_sensitive(choice: Choice) -> bool:
    """Whether the method may cut axes whose cut differs from masking: one that only scores does not, unasked."""
    if choice.allow_sensitive or choice.method not in METHODS.names():
        return choice.allow_sensitive
    return not METHODS.load(choice.method).CARD.reads


def _shapes(layout: Layout, shapes: Shapes, step: int, *, sensitive: bool, least: bool = False) -> Shapes:
    """The shapes with every axis that may be cut at a size that suits: rounded down, or the `least` of the step.

    What is cut in single units, such as heads, is taken to end at a power of two.
    """
    may = {"free", "sensitive"} if sensitive else {"free"}
    sizes = layout.sizes | {
        name: _size(layout, axis, step, least) for name, axis in layout.axes.items() if axis.state in may
    }
    return {n: shape(layout.patterns[n], sizes) if n in layout.patterns else s for n, s in shapes.items()}


def _size(layout: Layout, axis: Axis, step: int, least: bool) -> int:
    if step_of(layout, axis, step) != step:
        return axis.size if least else 1 << (axis.size.bit_length() - 1)
    if axis.size < step:
        return axis.size
    return step if least else axis.size // step * step


def multiple_of(found: Sequence[Wanted]) -> int:
    """What widths must be a multiple of to suit all the files."""
    return math.lcm(*(one.multiple for one in found))


def rounded(choice: Choice, found: Sequence[Wanted]) -> Choice:
    """The choice with widths in multiples that the files hold, where its method rounds and no multiple was typed."""
    step = multiple_of(found)
    if step == 1 or _typed_multiple(choice) is not None or not _rounds(choice.method):
        return choice
    return replace(choice, multiple=step)


def suited(choice: Choice, asked: Sequence[str]) -> Choice:
    """The choice, rounded for the files that are asked for.

    Raises:
        PenjingError: there is no such format, or it has no such type.
    """
    return rounded(choice, wanted(asked))


def _rounds(method: str) -> bool:
    return method not in METHODS.names() or any(s.name == "multiple" for s in METHODS.settings(method))


def rounding(choice: Choice, found: Sequence[Wanted]) -> str:
    """What is said before cutting; empty where nothing is rounded for a file."""
    if rounded(choice, found) == choice:
        return ""
    names = ", ".join(one.asked for one in found if one.multiple > 1)
    return f"widths are rounded to multiples of {multiple_of(found)}, which {names} holds"


def check_result(found: Sequence[Wanted], verified: Verified) -> None:
    """See that the result of a plan can be written as every file, before it is written at all.

    Raises:
        ExportError: it cannot.
    """
    for one in found:
        _refuse(one, verified.config, verified.shapes, "the result")


def written(
    asked: Sequence[str], folder: Path, into: Path, parts: Parts, progress: Progress = silent
) -> list[dict[str, Any]]:
    """Write every file of the model in `folder` into another, and give what is told of each.

    Each is run by its runtime and held against the model before it gets its name. What is among the `parts` is there.

    Raises:
        ExportError: the model cannot be written so, or the file computes something else.
        OutputError: it cannot be written.
    """

    def make(one: Wanted) -> Figures:
        facts = _told(one, _write(one, folder, into, progress))
        return {"all": [Measurement(name="file", value=None, unit="", details=facts)]}

    return [
        dict(parts.take(f"file: {one.asked}", lambda one=one: make(one))["all"][0].details) for one in wanted(asked)
    ]


def _told(one: Wanted, done: Written) -> dict[str, Any]:
    return {
        "file": done.path.name, "to": one.asked, "bytes": done.bytes, "difference": done.difference,
        "compared": list(done.compared), "notes": list(done.notes), "opens": one.exporter.opens,
    }  # fmt: skip


def _write(one: Wanted, folder: Path, into: Path, progress: Progress) -> Written:
    def said(what: str, done: int, total: int) -> None:
        progress(f"{one.asked}: {what}", done, total)

    path = into / one.file(folder.name)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    discard(partial)  # a folder that a stopped run left
    given = Given(folder=folder, load=lambda dtype: stock.load(folder, dtype=dtype))
    with writing(path):
        into.mkdir(parents=True, exist_ok=True)
        try:
            done: Written = one.exporter.make(given, partial, one.variant, said)
            discard(path)
            partial.replace(path)
        finally:
            discard(partial)
    return replace(done, path=path)
