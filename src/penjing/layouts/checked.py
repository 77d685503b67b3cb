"""Whether the parts of a layout are what they are declared to be: its table may have been written by anybody."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from penjing.core import Layout
from penjing.errors import LayoutError, nearest


def check_types(layout: Layout, origin: str) -> None:
    """See that every field has the type that it is declared with, and that every place named is there.

    Raises:
        LayoutError: one has not; the message names it.
    """
    parts: dict[str, Iterable[Any]] = {
        "axes": layout.axes.values(), "blocks": layout.blocks, "entries": layout.entries, "norms": layout.norms,
        "writers": layout.writers, "work": layout.work,
    }  # fmt: skip
    for part, things in parts.items():
        for k, thing in enumerate(things):
            for name, hint in _declared(type(thing)).items():
                value = getattr(thing, name)
                if not _fits(value, hint):
                    found = f"{name} {value!r:.80} in number {k} of its {part}"
                    raise LayoutError(f"{origin} has {found}, and {_said(hint)} was needed; correct it")
    _check_places(layout, origin)


@cache
def _declared(kind: type) -> dict[str, Any]:
    """Field -> its type; looking these up anew for each of thousands of parts took longer than reading them."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _said(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


def _check_places(layout: Layout, origin: str) -> None:
    for what, texts in (("aliases", [*layout.aliases, *layout.aliases.values()]), ("notes", layout.notes)):
        if not _fits(tuple(texts), tuple[str, ...]):
            raise LayoutError(f"{origin} has {what} that are not texts; correct them")
    if not _fits(tuple(layout.unreached), tuple[str, ...]):
        raise LayoutError(f"{origin} has tensors in 'unreached' that are not texts; correct them")
    for tensor, dims in layout.reads.items():
        size = len(layout.patterns.get(tensor, ()))
        if not all(type(d) is int and 0 <= d < size for d in dims):
            raise LayoutError(f"{origin} has {tensor} read over {list(dims)}, and it has {size} dimensions; correct it")
    for work in layout.work:
        unknown = [a for a in work.axes if a not in layout.axes]
        if unknown:
            close = nearest(unknown[0], layout.axes)
            raise LayoutError(f"{origin} has work over '{unknown[0]}', which is not among the axes{close}; correct it")
    for axis in layout.axes.values():
        if axis.size < 0 or axis.least < 0:
            raise LayoutError(f"{origin} has the axis '{axis.name}' of size {axis.size}; correct it")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type as fields of a layout have it; numbers are no truth values here."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is UnionType:
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(v, inner[0]) for v in value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(_fits(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint
