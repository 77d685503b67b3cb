"""What each dimension of a tensor is made of: products and concatenations of named axes.

A pattern is written like einops: one word or bracket per dimension, outer factor first.

- `neurons.3 residual`: two dimensions, one axis each;
- `(heads.3 64) residual`: the first dimension is heads times 64, and nobody cuts the 64;
- `(neurons.3 + neurons.3) residual`: the first dimension is two stretches, one after the other;
- `1`: a dimension of size one; `_`: a size that nobody cuts and that follows from the shape.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penjing.errors import LayoutError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Leaf:
    """One axis, or a bare size when `name` is empty. Size 0 means not known yet."""

    name: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Concat:
    """Stretches laid end to end."""

    parts: tuple["Product", ...]


@dataclass(frozen=True, slots=True)
class Product:
    """Factors of one dimension, outer first; no factors is size one."""

    parts: tuple[Leaf | Concat, ...]


Pattern = tuple[Product, ...]

_TOKEN = re.compile(r"\s*([()+]|[^\s()+]+)")


def parse(text: str) -> Pattern:
    """Read a pattern; sizes of named leaves stay 0 until `resolve`.

    >>> show(parse("(heads.3 64) residual"))
    '(heads.3 64) residual'

    Raises:
        LayoutError: the text is not a pattern.
    """
    tokens = _TOKEN.findall(text)
    place = 0

    def element() -> Leaf | Concat | Product:
        nonlocal place
        token = tokens[place]
        place += 1
        if token == "(":
            return bracket()
        if token in {")", "+"}:
            raise LayoutError(f"pattern '{text}' has a '{token}' where a name was needed; check its brackets")
        return _leaf(token)

    def bracket() -> Concat | Product:
        nonlocal place
        stretches: list[list[Leaf | Concat]] = [[]]
        while True:
            if place >= len(tokens):
                raise LayoutError(f"pattern '{text}' has a '(' that is never closed; add the missing ')'")
            if tokens[place] == ")":
                place += 1
                break
            if tokens[place] == "+":
                place += 1
                stretches.append([])
                continue
            stretches[-1].extend(_factors(element()))
        if len(stretches) == 1:
            return Product(tuple(stretches[0]))
        if any(not s for s in stretches):
            raise LayoutError(f"pattern '{text}' has a '+' with nothing beside it; write 1 for a single unit")
        return Concat(tuple(Product(_drop_ones(s)) for s in stretches))

    dims: list[Product] = []
    while place < len(tokens):
        dims.append(Product(_drop_ones(_factors(element()))))
    return tuple(dims)


def _leaf(token: str) -> Leaf:
    if token == "_":
        return Leaf("", 0)
    return Leaf("", int(token)) if token.isdigit() else Leaf(token)


def _factors(item: Leaf | Concat | Product) -> tuple[Leaf | Concat, ...]:
    return item.parts if isinstance(item, Product) else (item,)


def _drop_ones(parts: Sequence[Leaf | Concat]) -> tuple[Leaf | Concat, ...]:
    return tuple(p for p in parts if not (isinstance(p, Leaf) and not p.name and p.size == 1))


def show(pattern: Pattern) -> str:
    """The text of a pattern; `parse` reads it back."""
    return " ".join(_show_dim(d) for d in pattern)


def _show_dim(dim: Product) -> str:
    if not dim.parts:
        return "1"
    if len(dim.parts) == 1:
        return _show_part(dim.parts[0])
    return "(" + " ".join(_show_part(p) for p in dim.parts) + ")"


def _show_part(part: Leaf | Concat) -> str:
    if isinstance(part, Concat):
        return "(" + " + ".join(" ".join(_show_part(x) for x in p.parts) or "1" for p in part.parts) + ")"
    return part.name or (str(part.size) if part.size else "_")


def leaves(pattern: Pattern | Product | Concat) -> Iterator[Leaf]:
    """Every leaf, outer first, in order, repeats included."""
    for part in pattern if isinstance(pattern, tuple) else pattern.parts:
        if isinstance(part, Leaf):
            yield part
        else:
            yield from leaves(part)


def names(pattern: Pattern) -> list[str]:
    """The axes of a pattern, each once, in order."""
    return list(dict.fromkeys(leaf.name for leaf in leaves(pattern) if leaf.name))


def size(dim: Product | Concat | Leaf, sizes: Mapping[str, int]) -> int:
    """How long a dimension is when each axis has the size given (or else its own)."""
    if isinstance(dim, Leaf):
        return sizes.get(dim.name, dim.size) if dim.name else dim.size
    if isinstance(dim, Concat):
        return sum(size(p, sizes) for p in dim.parts)
    return math.prod(size(p, sizes) for p in dim.parts)


def shape(pattern: Pattern, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of a tensor of this pattern."""
    return tuple(size(d, sizes) for d in pattern)


def resolve(pattern: Pattern, actual: Sequence[int], sizes: Mapping[str, int], tensor: str = "tensor") -> Pattern:
    """The same pattern with every size known, from a tensor's `actual` shape and the axes' `sizes`.

    Raises:
        LayoutError: the pattern does not fit the shape.
    """
    if len(pattern) != len(actual):
        raise LayoutError(
            f"{tensor} has {len(actual)} dimensions; its pattern '{show(pattern)}' has {len(pattern)}; correct it"
        )
    out = []
    for dim, length in zip(pattern, actual, strict=True):
        known = _with_sizes(dim, sizes)
        known = _solve(known, length, tensor, pattern)
        if size(known, {}) != length:
            raise LayoutError(
                f"{tensor} has an axis of {length}; its pattern '{show(pattern)}' makes it {size(known, {})}"
            )
        out.append(known)
    return tuple(out)


def _solve(dim: Product, length: int, tensor: str, pattern: Pattern) -> Product:
    """`dim` with its one unknown factor, if any, set so that the whole is `length` long."""
    if all(leaf.size for leaf in leaves(dim)):
        return dim
    places = [i for i, p in enumerate(dim.parts) if isinstance(p, Leaf) and not p.size]
    if len(places) != 1 or sum(not leaf.size for leaf in leaves(dim)) != 1:
        raise LayoutError(f"{tensor}: more than one size in '{show((dim,))}' is unknown; write the sizes as numbers")
    rest = math.prod(size(p, {}) for i, p in enumerate(dim.parts) if i != places[0])
    if length % rest:
        raise LayoutError(
            f"{tensor} has an axis of {length}; its pattern '{show(pattern)}' needs a multiple of {rest}"
        )
    found = Leaf(getattr(dim.parts[places[0]], "name", ""), length // rest)
    return Product(_drop_ones([found if i == places[0] else p for i, p in enumerate(dim.parts)]))


def _with_sizes(dim: Product, sizes: Mapping[str, int]) -> Product:
    def part(p: Leaf | Concat) -> Leaf | Concat:
        if isinstance(p, Concat):
            return Concat(tuple(_with_sizes(x, sizes) for x in p.parts))
        return replace(p, size=sizes.get(p.name, p.size)) if p.name else p

    return Product(tuple(part(p) for p in dim.parts))


def mask(dim: Product | Concat | Leaf, kept: Mapping[str, "Tensor"]) -> "Tensor":
    """[size of dim] bool: which positions stay when each axis keeps the units in `kept` (bool [units])."""
    import torch  # a layout is read, printed and counted without it

    if isinstance(dim, Leaf):
        return kept[dim.name] if dim.name in kept else torch.ones(dim.size, dtype=torch.bool)
    if isinstance(dim, Concat):
        return torch.cat([mask(p, kept) for p in dim.parts])
    out = torch.ones(1, dtype=torch.bool)
    for part in dim.parts:
        out = (out[:, None] & mask(part, kept)[None, :]).flatten()
    return out


def kept_positions(pattern: Pattern, kept: Mapping[str, "Tensor"]) -> "tuple[Tensor | None, ...]":
    """For each dimension, the int64 positions that stay, or None where nothing is cut."""
    return tuple(
        mask(d, kept).nonzero().flatten() if any(leaf.name in kept for leaf in leaves(d)) else None for d in pattern
    )


def cut(pattern: Pattern, sizes: Mapping[str, int]) -> Pattern:
    """The pattern after each axis has been cut to the size given."""
    return tuple(_with_sizes(d, sizes) for d in pattern)


def groups_after(count: int, before: Pattern | None, after: Pattern | None) -> int:
    """In how many groups a layer computes after a cut: groups are the outer factors of its weight's first dimension."""
    if count == 1 or not before or not after:
        return count
    seen, new = 1, 1
    for old_part, new_part in zip(before[0].parts, after[0].parts, strict=True):
        if seen == count:
            break
        seen *= size(old_part, {})
        new *= size(new_part, {})
    return new if seen == count else count
