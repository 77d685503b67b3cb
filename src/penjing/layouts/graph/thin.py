"""Deep models: infer three blocks of each kind and give the others the pattern of the second."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from penjing.core import Axis, Concat, Layout, Leaf, Norm, Pattern, Product, Work, Writer
from penjing.errors import LayoutError
from penjing.layouts.graph.blockwork import by_block

Infer = Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], Layout]
KEPT = 3
"""How many blocks of each kind are traced: the first, the second and the last."""
_NUMBERS = re.compile(r"(idx|index|_id|_number)$")


class _UnlikeError(Exception):
    """The blocks that were kept do not tell what the others are like."""


@dataclass(frozen=True)
class Group:
    """Blocks of one kind in one module list: the numbers that were `kept` and the `rest` that were left out."""

    path: str
    kept: tuple[int, ...]
    rest: tuple[int, ...]

    @property
    def template(self) -> int:
        """The block that stands for the rest."""
        return self.kept[1]


def infer_thin(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], infer: Infer) -> Layout:
    """The layout of a whole model from a trace of few blocks; of all blocks where these do not tell.

    Raises:
        LayoutError: the model cannot be traced.
    """
    with thinned(module) as groups:
        if not groups:
            return infer(module, args, kwargs)
        try:
            layout = infer(module, args, kwargs)
        except LayoutError:
            layout = None
    if layout is not None:
        try:
            for group in reversed(groups):
                layout = replicate(layout, group)
            return _ordered(layout, module)
        except _UnlikeError:
            pass
    return infer(module, args, kwargs)


@contextmanager
def thinned(module: nn.Module) -> Iterator[list[Group]]:
    """Leave out blocks that are like others while the context lasts; outer lists come before inner ones."""
    removed: list[tuple[nn.ModuleList, dict[str, nn.Module]]] = []
    groups: list[Group] = []
    try:
        _thin(module, "", removed, groups)
        yield groups
    finally:
        for holder, children in removed:
            holder._modules = children


def signature(block: nn.Module) -> tuple[Any, ...]:
    """What two blocks must share to be laid out alike: names, classes, shapes and settings, not floats or numbers."""
    out: list[Any] = []
    for name, part in block.named_modules():
        tensors = [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        shapes = tuple((n, tuple(t.shape)) for n, t in tensors)
        settings = tuple(sorted((k, repr(v)) for k, v in vars(part).items() if _is_setting(k, v)))
        out.append((name, type(part).__qualname__, shapes, settings))
    return tuple(out)


def replicate(layout: Layout, group: Group) -> Layout:
    """The layout with the blocks that a group left out, each after the pattern of its template."""
    private = _private(layout, group)
    patterns, axes = dict(layout.patterns), dict(layout.axes)
    reads, aliases, attributes = dict(layout.reads), dict(layout.aliases), dict(layout.attributes)
    norms = [_read_by_all(n, group, private) for n in layout.norms]
    writers, unreached = list(layout.writers), list(layout.unreached)
    work = by_block(layout.work, group.path)
    for i in group.rest:
        move = _Move(group, i, private)
        patterns |= {move.tensor(t): move.pattern(p) for t, p in layout.patterns.items() if move.owns(t)}
        axes |= {
            move.axis(a): replace(
                layout.axes[a],
                name=move.axis(a),
                reason=move.text(layout.axes[a].reason),
                rigid=move.text(layout.axes[a].rigid),
            )
            for a in private
        }
        reads |= {move.tensor(t): d for t, d in layout.reads.items() if move.owns(t)}
        attributes |= {move.tensor(a): move.pattern(p) for a, p in layout.attributes.items() if move.owns(a)}
        aliases |= {move.tensor(a): move.tensor(t) for a, t in layout.aliases.items() if move.owns(a)}
        norms += [move.norm(n) for n in layout.norms if move.owns(n.module + ".") or move.owns(n.weight)]
        writers += [
            replace(w, tensor=move.tensor(w.tensor), axis=move.axis(w.axis))
            for w in layout.writers
            if move.owns(w.tensor)
        ]
        unreached += [move.tensor(t) for t in layout.unreached if move.owns(t)]
        work[i] = [move.work(w) for w in work.get(group.template, ())]
    return replace(
        layout,
        patterns=patterns, axes=axes, reads=reads, aliases=aliases, attributes=attributes, norms=tuple(norms),
        writers=tuple(writers), unreached=tuple(unreached),
        work=tuple(w for _, part in sorted(work.items()) for w in part),
    )  # fmt: skip


def _read_by_all(norm: Norm, group: Group, private: Mapping[str, None]) -> Norm:
    """A norm outside the list, read by the template, is read by the blocks that were left out as well."""
    own = f"{group.path}.{group.template}."
    mine = [r for r in norm.readers if r.startswith(own)]
    if not mine or norm.module.startswith(f"{group.path}.") or norm.weight.startswith(f"{group.path}."):
        return norm
    after = norm.readers.index(mine[-1]) + 1
    more = tuple(_Move(group, i, private).tensor(r) for i in group.rest for r in mine)
    moves = [_Move(group, i, private) for i in group.rest]
    biases = {m.tensor(r): m.tensor(norm.biases[r]) for m in moves for r in mine if r in norm.biases}
    readers = (*norm.readers[:after], *more, *norm.readers[after:])
    return replace(norm, readers=readers, biases={**norm.biases, **biases})


class _Move:
    """Renames what belongs to the template of a group into what belongs to another block."""

    def __init__(self, group: Group, to: int, private: Mapping[str, None]) -> None:
        self.old, self.new = f"{group.path}.{group.template}.", f"{group.path}.{to}."
        self.place = sum(part.isdigit() for part in group.path.split("."))
        self.to, self.private = str(to), private
        self.neighbours = {
            f"{group.path}.{k}.": f"{group.path}.{to + step}." for k, step in zip(group.kept, (-1, 0, 1), strict=True)
        }

    def owns(self, tensor: str) -> bool:
        return tensor.startswith(self.old)

    def tensor(self, name: str) -> str:
        return self.new + name[len(self.old) :] if self.owns(name) else name

    def near(self, name: str) -> str:
        """As `tensor`, but also from a neighbour of the template to the same neighbour of the new block."""
        return next((new + name[len(old) :] for old, new in self.neighbours.items() if name.startswith(old)), name)

    def axis(self, name: str) -> str:
        """The name with its number of this module list replaced, if the axis belongs to the template alone."""
        return renumber(name, self.place, self.to) if name in self.private else name

    def text(self, reason: str) -> str:
        return reason.replace(self.old, self.new).replace(f"{self.old[:-1]},", f"{self.new[:-1]},")

    def pattern(self, pattern: Pattern) -> Pattern:
        return tuple(self._product(d) for d in pattern)

    def _product(self, product: Product) -> Product:
        return Product(tuple(self._part(p) for p in product.parts))

    def _part(self, part: Leaf | Concat) -> Leaf | Concat:
        if isinstance(part, Concat):
            return Concat(tuple(self._product(p) for p in part.parts))
        return Leaf(self.axis(part.name), part.size)

    def norm(self, norm: Norm) -> Norm:
        return replace(
            norm, module=self.tensor(norm.module + ".")[:-1],
            axis=self.axis(norm.axis), weight=self.tensor(norm.weight),
            bias=self.tensor(norm.bias), readers=tuple(self.near(r) for r in norm.readers),
            shared={self.near(r): self.near(own) for r, own in norm.shared.items()},
            biases={self.near(r): self.near(b) for r, b in norm.biases.items()},
        )  # fmt: skip

    def work(self, work: Work) -> Work:
        return replace(work, axes=tuple(self.axis(a) for a in work.axes), tensor=self.tensor(work.tensor))


def renumber(name: str, place: int, number: str) -> str:
    """An axis name with the `place`-th of its numbers replaced: `neurons.1` -> `neurons.7`.

    Raises:
        _UnlikeError: the name has no such number.
    """
    parts = name.split(".")
    found = [k for k, part in enumerate(parts) if part.isdigit()]
    if place >= len(found):
        raise _UnlikeError(name)
    parts[found[place]] = number
    return ".".join(parts)


def _thin(
    module: nn.Module, path: str, removed: list[tuple[nn.ModuleList, dict[str, nn.Module]]], groups: list[Group]
) -> None:
    for name, child in list(module.named_children()):
        full = f"{path}.{name}" if path else name
        if isinstance(child, nn.ModuleList) and len(child) > KEPT:
            _thin_list(child, full, removed, groups)
        _thin(child, full, removed, groups)


def _thin_list(
    blocks: nn.ModuleList, path: str, removed: list[tuple[nn.ModuleList, dict[str, nn.Module]]], groups: list[Group]
) -> None:
    kinds: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for i, block in enumerate(blocks):
        kinds[signature(block)].append(i)
    out = set()
    for numbers in kinds.values():
        if len(numbers) > KEPT:
            kept = (numbers[0], numbers[1], numbers[-1])
            rest = tuple(n for n in numbers if n not in kept)
            groups.append(Group(path, kept, rest))
            out.update(rest)
    if out:
        removed.append((blocks, blocks._modules))
        blocks._modules = {k: v for k, v in blocks._modules.items() if int(k) not in out}


def _is_setting(name: str, value: object) -> bool:
    if name.startswith("_") or _NUMBERS.search(name):
        return False
    if isinstance(value, list | tuple):
        return all(isinstance(v, bool | int | str) for v in value)
    return isinstance(value, bool | int | str)


def _private(layout: Layout, group: Group) -> dict[str, None]:
    """The axes that only the template has; those it shares must lie alike in all blocks that were kept."""
    owners: dict[str, set[str]] = defaultdict(set)
    places: dict[int, dict[str, Counter[tuple[Any, ...]]]] = {k: defaultdict(Counter) for k in group.kept}
    inside = f"{group.path}."
    for tensor, pattern in layout.patterns.items():
        number, _, rest = tensor[len(inside) :].partition(".") if tensor.startswith(inside) else ("", "", "")
        for place, leaf in _places(pattern):
            owners[leaf].add(number)
            if number and int(number) in places:
                places[int(number)][leaf][rest, place] += 1
    mine = {a: None for a in places[group.template] if owners[a] == {str(group.template)}}
    first, template, last = (places[k] for k in group.kept)
    if any(first[a] != spots or last[a] != spots for a, spots in template.items() if a not in mine):
        raise _UnlikeError(group.path)
    return mine


def _places(pattern: Pattern) -> Iterator[tuple[tuple[int, ...], str]]:
    """Where each named leaf lies: the way to it from the outermost dimension."""

    def inside(product: Product, way: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], str]]:
        for k, part in enumerate(product.parts):
            if isinstance(part, Concat):
                for j, piece in enumerate(part.parts):
                    yield from inside(piece, (*way, k, j))
            elif part.name:
                yield (*way, k), part.name

    for d, product in enumerate(pattern):
        yield from inside(product, (d,))


def _ordered(layout: Layout, module: nn.Module) -> Layout:
    """The same layout in the order of the model's own tensors and of the axes' first use."""
    order = {name: k for k, name in enumerate(_tensors(module))}
    end = len(order)

    def by(name: str) -> int:
        return order.get(name, end)

    patterns = dict(sorted(layout.patterns.items(), key=lambda item: by(item[0])))
    seen = dict.fromkeys(leaf for p in patterns.values() for _, leaf in _places(p))
    axes: dict[str, Axis] = {a: layout.axes[a] for a in seen if a in layout.axes}
    writers: list[Writer] = sorted(layout.writers, key=lambda w: by(w.tensor))
    return replace(
        layout,
        patterns=patterns,
        axes=axes | {a: x for a, x in layout.axes.items() if a not in axes},
        reads=dict(sorted(layout.reads.items(), key=lambda item: by(item[0]))),
        unreached=tuple(sorted(layout.unreached, key=by)),
        norms=tuple(sorted(layout.norms, key=lambda n: by(n.weight))),
        writers=tuple(writers),
    )


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict([*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)])
