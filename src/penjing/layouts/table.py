"""A layout as a JSON table that a person can read and correct, and as rows for printing."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penjing.core import Axis, Blocks, Entry, Layout, Norm, Pattern, Work, Writer
from penjing.core.pattern import cut, leaves, parse, shape, show
from penjing.errors import LayoutError, nearest
from penjing.layouts.checked import check_types

FORMAT = "penjing layout 1"


@dataclass(frozen=True)
class Row:
    """One line of the printed table: like axes are collapsed into one (`neurons.0..29`)."""

    axis: str
    size: str
    count: int
    state: str
    proofs: tuple[str, ...]
    reason: str
    entries: tuple[str, ...]


def to_text(layout: Layout) -> str:
    """The layout as JSON text, one axis and one pattern per line."""
    parts: dict[str, Any] = {
        "axes": {
            a.name: {k: v for k, v in asdict(a).items() if k != "name" and v not in ("", ())}
            for a in layout.axes.values()
        },
        "patterns": {t: show(p) for t, p in layout.patterns.items()},
        "reads": {t: list(d) for t, d in layout.reads.items()},
        "aliases": dict(layout.aliases),
        "blocks": [asdict(b) for b in layout.blocks],
        "entries": [asdict(e) for e in layout.entries],
        "norms": [asdict(n) for n in layout.norms],
        "writers": [asdict(w) for w in layout.writers],
        "work": [[w.constant, list(w.axes), w.tokens, w.tensor] for w in layout.work],
        "unreached": list(layout.unreached),
        "notes": list(layout.notes),
        **({"attributes": {a: show(p) for a, p in layout.attributes.items()}} if layout.attributes else {}),
    }
    body = ",\n".join(f'"{key}": {_lines(value)}' for key, value in parts.items())
    return f'{{\n"format": "{FORMAT}",\n{body}\n}}\n'


def from_text(text: str, origin: str = "layout") -> Layout:
    """The layout that `to_text` wrote, or that somebody corrected since; `origin` names it in messages.

    Raises:
        LayoutError: the text is not a layout table, or one of its patterns does not fit its axes.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise LayoutError(
            f"{origin} line {error.lineno} is not JSON: {error.msg.lower()}; correct that line"
        ) from error
    except (ValueError, RecursionError) as error:
        raise LayoutError(f"{origin} is no usable JSON: {str(error)[:100]}; write it anew with save_layout") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise LayoutError(f"{origin} holds '{found}' where '{FORMAT}' was needed; write the table with save_layout")
    try:
        axes = {n: Axis(name=n, **_tuples(a)) for n, a in data["axes"].items()}
        sizes = {a.name: a.size for a in axes.values()}
        layout = Layout(
            axes=axes,
            patterns={
                t: _pattern(t, p, sizes, lambda t, p: f"{origin} line {_line_of(text, t, p)}")
                for t, p in data["patterns"].items()
            },
            reads={t: tuple(d) for t, d in data["reads"].items()},
            aliases=data["aliases"],
            blocks=tuple(Blocks(**_tuples(b)) for b in data["blocks"]),
            entries=tuple(Entry(**_tuples(e)) for e in data["entries"]),
            norms=tuple(Norm(**_tuples(n)) for n in data["norms"]),
            writers=tuple(Writer(**w) for w in data["writers"]),
            work=tuple(Work(c, tuple(a), k, t) for c, a, k, t in data["work"]),
            unreached=tuple(data["unreached"]),
            notes=tuple(data["notes"]),
            attributes={
                a: _pattern(a, p, sizes, lambda t, p: f"{origin} line {_line_of(text, t, p)}")
                for a, p in data.get("attributes", {}).items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise LayoutError(f"{origin} is not a whole layout table: {error}; write it anew with save_layout") from error
    check_types(layout, origin)
    return layout


def save_layout(layout: Layout, path: str | Path) -> Path:
    """Write the table to a file, which `load_layout` reads back."""
    target = Path(path)
    target.write_text(to_text(layout), encoding="utf-8")
    return target


def load_layout(path: str | Path) -> Layout:
    """Read a table that `save_layout` wrote, with whatever was corrected in it.

    Raises:
        LayoutError: the file cannot be read, or is no layout table; the message names the line or the tensor.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LayoutError(
            f"{path} cannot be read as a layout table: {error}; name a file that save_layout wrote"
        ) from error
    return from_text(text, str(path))


def rows(layout: Layout) -> list[Row]:
    """The lines to print, axes that differ only in a block number collapsed into one line."""
    groups: dict[tuple[Any, ...], list[Axis]] = {}
    for axis in layout.axes.values():
        stem, number = _stem(axis.name)
        entries = tuple(re.sub(r"\[\d+\]", "[*]", e) for e in axis.entries)
        reason = re.sub(r"\d+", "*", axis.reason) if number is not None else axis.reason
        groups.setdefault((stem, number is None, axis.state, reason, axis.proofs, entries, axis.least), []).append(axis)
    return [_row(members) for members in groups.values()]


def _row(members: list[Axis]) -> Row:
    first = members[0]
    sizes = sorted({a.size for a in members})
    size = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]}..{sizes[-1]}"
    entries = tuple(dict.fromkeys(e for a in members for e in a.entries))
    return Row(
        _collapsed([a.name for a in members]), size, len(members), first.state, first.proofs, first.reason, entries
    )


def _collapsed(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    stem, _ = _stem(names[0])
    numbers = sorted(n for n in (_stem(name)[1] for name in names) if n is not None)
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    text = ",".join(str(r[0]) if len(r) == 1 else f"{r[0]}..{r[-1]}" for r in runs)
    return stem.replace("*", text)


def _stem(name: str) -> tuple[str, int | None]:
    """The name with its last block number starred, and that number."""
    found = list(re.finditer(r"(?<=\.)\d+(?=\.|$)", name))
    if not found:
        return name, None
    last = found[-1]
    return f"{name[: last.start()]}*{name[last.end() :]}", int(last.group())


def _pattern(tensor: str, text: str, sizes: Mapping[str, int], where: Callable[[str, str], str]) -> Pattern:
    pattern = parse(text)
    for leaf in leaves(pattern):
        if leaf.name and leaf.name not in sizes:
            raise LayoutError(
                f"{where(tensor, text)}: {tensor} names the axis '{leaf.name}', which is not among the "
                f"axes{nearest(leaf.name, sizes)}"
            )
        if not leaf.name and not leaf.size:
            raise LayoutError(
                f"{where(tensor, text)}: {tensor} has a '_' of unknown size in '{text}'; write the size as a number"
            )
    return cut(pattern, sizes)


def check_shapes(layout: Layout, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """See that every pattern makes the shape of its tensor.

    Raises:
        LayoutError: one does not; the message names the tensor and both shapes.
    """
    for tensor, pattern in layout.patterns.items():
        made = shape(pattern, {})
        if tensor in shapes and tuple(shapes[tensor]) != made:
            raise LayoutError(
                f"{tensor} has shape {list(shapes[tensor])}, but its pattern '{show(pattern)}' makes "
                f"{list(made)}; correct the pattern"
            )


def _line_of(text: str, tensor: str, pattern: str) -> int:
    sought = f"{json.dumps(tensor)}: {json.dumps(pattern)}"
    place = text.find(sought)
    return text.count("\n", 0, max(place, 0)) + 1


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}


def _lines(value: Mapping[str, Any] | Iterable[Any]) -> str:
    if isinstance(value, Mapping):
        items = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()]
        return "{\n  " + ",\n  ".join(items) + "\n}" if items else "{}"
    items = [json.dumps(v) for v in value]
    return "[\n  " + ",\n  ".join(items) + "\n]" if items else "[]"
