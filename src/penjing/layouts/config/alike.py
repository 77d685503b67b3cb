"""Two sets of patterns walked side by side: which axis of one is which axis of the other."""

from collections.abc import Mapping, Sequence

from penjing.core import Concat, Leaf, Pattern, Product


class UnlikeError(Exception):
    """The two are not built alike; the text says where."""


def pair(one: Mapping[str, Pattern], two: Mapping[str, Pattern]) -> dict[str, str]:
    """Axis of `one` -> axis of `two`, where both hold the same tensors built alike; sizes are not compared.

    An axis that shrank to size 1 on the other side is paired with an empty name.

    Raises:
        UnlikeError: a tensor is built otherwise, or two axes of one side are a single one on the other.
    """
    there: dict[str, str] = {}
    back: dict[str, str] = {}
    later: list[tuple[str, Product, Product]] = []
    for tensor, pattern in one.items():
        if tensor not in two or len(pattern) != len(two[tensor]):
            raise UnlikeError(tensor)
        for dim, other in zip(pattern, two[tensor], strict=True):
            try:
                pairs = _leaves(dim, other, tensor)
            except UnlikeError:
                later.append((tensor, dim, other))
                continue
            for a, b in pairs:
                if there.setdefault(a, b) != b or back.setdefault(b, a) != a:
                    raise UnlikeError(f"{tensor}: '{a}' is not one axis with '{b}'")
    for tensor, dim, other in later:
        for name in _vanished(dim, other, there, tensor):
            if there.setdefault(name, ""):
                raise UnlikeError(tensor)
    return there


def _vanished(one: Product, two: Product, there: Mapping[str, str], tensor: str) -> list[str]:
    """The axes of a dimension that have no part on the other side, where all its other parts are known pairs."""
    left = list(two.parts)
    gone: list[str] = []
    for part in one.parts:
        other = left[0] if left else None
        if isinstance(part, Concat):
            if not isinstance(other, Concat) or len(part.parts) != len(other.parts):
                raise UnlikeError(tensor)
            for p, q in zip(part.parts, other.parts, strict=True):
                gone += _vanished(p, q, there, tensor)
        elif isinstance(other, Leaf) and (there.get(part.name) == other.name if part.name else part == other):
            pass
        elif part.name and not there.get(part.name):
            gone.append(part.name)
            continue
        else:
            raise UnlikeError(tensor)
        left.pop(0)
    if left:
        raise UnlikeError(tensor)
    return gone


def same(one: Mapping[str, Pattern], two: Mapping[str, Pattern]) -> str:
    """An empty text if both regroup every tensor alike, sizes included; else the first tensor that differs."""
    there: dict[str, str] = {}
    back: dict[str, str] = {}
    for tensor, pattern in one.items():
        if tensor not in two or len(pattern) != len(two[tensor]):
            return tensor
        for dim, other in zip(pattern, two[tensor], strict=True):
            try:
                pairs = _sized(dim, other)
            except UnlikeError:
                return tensor
            for a, b in pairs:
                if there.setdefault(a, b) != b or back.setdefault(b, a) != a:
                    return tensor
    return ""


def _leaves(one: Product, two: Product, tensor: str) -> list[tuple[str, str]]:
    a, b = _matched(one.parts, two.parts)
    out: list[tuple[str, str]] = []
    for x, y in zip(a, b, strict=True):
        if isinstance(x, Concat) and isinstance(y, Concat) and len(x.parts) == len(y.parts):
            for p, q in zip(x.parts, y.parts, strict=True):
                out += _leaves(p, q, tensor)
        elif isinstance(x, Leaf) and isinstance(y, Leaf) and bool(x.name) == bool(y.name):
            out += [(x.name, y.name)] if x.name else []
        else:
            raise UnlikeError(tensor)
    return out


def _matched(
    one: Sequence[Leaf | Concat], two: Sequence[Leaf | Concat]
) -> tuple[Sequence[Leaf | Concat], Sequence[Leaf | Concat]]:
    if len(one) != len(two):
        one, two = _no_ones(one), _no_ones(two)
    if len(one) != len(two):
        raise UnlikeError
    return one, two


def _sized(one: Product, two: Product) -> list[tuple[str, str]]:
    """Pairs of axes of two dimensions that agree in every size; a bare size agrees with an axis of that size."""
    a, b = _no_ones(one.parts), _no_ones(two.parts)
    if len(a) != len(b):
        raise UnlikeError
    out: list[tuple[str, str]] = []
    for x, y in zip(a, b, strict=True):
        if isinstance(x, Leaf) and isinstance(y, Leaf):
            if x.size != y.size:
                raise UnlikeError
            out += [(x.name, y.name)] if x.name and y.name else []
        elif isinstance(x, Concat) and isinstance(y, Concat) and len(x.parts) == len(y.parts):
            for p, q in zip(x.parts, y.parts, strict=True):
                out += _sized(p, q)
        else:
            raise UnlikeError
    return out


def _no_ones(parts: Sequence[Leaf | Concat]) -> list[Leaf | Concat]:
    return [p for p in parts if not (isinstance(p, Leaf) and p.size == 1)]
