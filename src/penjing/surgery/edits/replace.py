"""Putting another module in the place of one, in a draft: the old tensors go, the new ones come.

A dimension that the new module has from the old one has its axes, and its places in the model before the plan; so a
later cut finds the new tensors, and the mask shows them in their old shapes. What the layout says of the old matrix
(who reads a norm, what is multiplied) it then says of the new ones.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from torch import Tensor

from penjing.core import Axis, Concat, Layout, Leaf, Norm, Pattern, Product, Replace, Work
from penjing.core.modules import Dim, Place, axis_name, dims
from penjing.core.pattern import cut, names, shape
from penjing.errors import PenjingError, PlanError, nearest
from penjing.nn import kind_of, settings_of
from penjing.surgery.draft import Draft
from penjing.surgery.recipe import Recipe


def check(edit: Replace, draft: Draft) -> None:
    """See that the module is there, that the new one fits its place, and that its tensors are given.

    Raises:
        PlanError: it is not so.
    """
    tied = next((a for a, kept in draft.layout.aliases.items() for n in (a, kept) if _inside(n, edit.module)), "")
    if tied:
        kept = draft.layout.aliases[tied]
        raise PlanError(f"{edit.module} shares a tensor ({tied} is {kept}), so it cannot be replaced alone; leave it")
    _check_held(edit, draft)
    try:
        wanted = _declared(edit, draft)
    except PlanError:
        raise
    except PenjingError as error:
        raise PlanError(f"{edit.module} cannot be replaced: {error}") from error
    lacking = next((n for n in wanted if n not in edit.values), None)
    if lacking is not None:
        raise PlanError(f"{edit.module} becomes a '{edit.spec.kind}', which needs {lacking}; give its values")
    for name, value in edit.values.items():
        if name not in wanted:
            have = ", ".join(wanted) or "none"
            raise PlanError(f"a '{edit.spec.kind}' has no tensor '{name}'{nearest(name, wanted)}; it has {have}")
        needed = tuple(_length(d, edit.module, draft) for d in wanted[name])
        if tuple(value.shape) != needed:
            found = f"{edit.module}.{name} has shape {list(value.shape)}"
            raise PlanError(
                f"{found}; at this point of the plan it needs {list(needed)}; "
                "make it after the cuts that come before it"
            )


def _check_held(edit: Replace, draft: Draft) -> None:
    """A module that holds sizes as products of others is made for the sizes of a model as it is stored."""
    for own in _holding(edit):
        recipe = draft.recipes.get(f"{edit.module}.{own}")
        if recipe is not None and recipe.shape != recipe.stored:
            raise PlanError(
                f"{edit.module}.{own} is {list(recipe.shape)} at this point of the plan and {list(recipe.stored)} in "
                f"the files; a '{edit.spec.kind}' holds its sizes as products: carry the cut out first, and plan on "
                "what that wrote"
            )


def _holding(edit: Replace) -> tuple[str, ...]:
    """The old tensors whose axes a kind holds as products; none of a kind that is not known."""
    try:
        return getattr(kind_of(edit.spec), "HOLDS", ())
    except PenjingError:
        return ()


def apply(edit: Replace, draft: Draft) -> None:
    """Take the old tensors out, put the new ones in, and let the layout tell of them."""
    declared = _declared(edit, draft)
    old = {n: r for n, r in draft.recipes.items() if _inside(n, edit.module)}
    for name in old:
        del draft.recipes[name]
    made = {f"{edit.module}.{n}": _recipe(edit, n, d, old) for n, d in declared.items()}
    draft.recipes.update(made)
    draft.modules = {p: s for p, s in draft.modules.items() if p != edit.module and not _inside(p, edit.module)}
    draft.modules[edit.module] = edit.spec
    draft.sizes.update(_own_axes(edit, declared))
    draft.layout = _Change(edit, declared, old, made, draft.layout).layout()


def _inside(name: str, module: str) -> bool:
    return name.startswith(f"{module}.")


def _declared(edit: Replace, draft: Draft) -> dict[str, tuple[Dim, ...]]:
    """New tensor -> its dimensions."""
    recipes = {n[len(edit.module) + 1 :]: r for n, r in draft.recipes.items() if _inside(n, edit.module)}
    if not recipes:
        known = {n.rpartition(".")[0] for n in draft.recipes}
        raise PlanError(f"no module '{edit.module}' has tensors{nearest(edit.module, known)}; name one that has")
    reads = {n: _read(draft.layout, _known(draft.layout, f"{edit.module}.{n}")) for n in recipes}
    place = Place(path=edit.module, shapes={n: r.shape for n, r in recipes.items()}, reads=reads)
    settings = settings_of(edit.spec)
    return {n: tuple(dims(t, settings)) for n, t in kind_of(edit.spec).tensors(place, settings).items()}


def _read(layout: Layout, tensor: str) -> tuple[int, ...]:
    """The dimensions that a product sums over, those of a convolution's window among them."""
    found = layout.reads.get(tensor, ())
    pattern = layout.patterns.get(tensor, ())
    window = [d for d, dim in enumerate(pattern) if any(n.startswith("kernel") for n in names((dim,)))]
    return tuple(sorted({*found, *window})) if found else ()


def _known(layout: Layout, name: str) -> str:
    return name if name in layout.patterns else layout.aliases.get(name, name)


def _length(dim: Dim, module: str, draft: Draft) -> int:
    return draft.recipes[f"{module}.{dim.tensor}"].shape[dim.at] if dim.tensor else dim.size


def _own_axes(edit: Replace, declared: Mapping[str, tuple[Dim, ...]]) -> dict[str, int]:
    """The axes that the new module has of its own; one of a single unit is none."""
    return {axis_name(d.own, edit.module): d.size for ds in declared.values() for d in ds if d.own and d.size > 1}


def _recipe(edit: Replace, name: str, declared: tuple[Dim, ...], old: Mapping[str, Recipe]) -> Recipe:
    """A new tensor: its values, at the places in the model before the plan that its dimensions have.

    It is stored as the old tensor was that its first dimension comes from: in that type, and in that file.
    """
    stored: list[int] = []
    places: list[Tensor | None] = []
    pattern: list[Product] = []
    for dim in declared:
        if dim.tensor:
            was = old[f"{edit.module}.{dim.tensor}"]
            size, place = was.origin(dim.at)
            stored.append(size)
            places.append(place)
            pattern.append(was.pattern[dim.at] if was.pattern else Product((Leaf("", was.shape[dim.at]),)))
        else:
            stored.append(dim.size)
            places.append(None)
            leaf = Leaf(axis_name(dim.own, edit.module) if dim.own else "", dim.size)
            pattern.append(Product((leaf,) if dim.size > 1 else ()))
    first = next((f"{edit.module}.{d.tensor}" for d in declared if d.tensor), next(iter(old)))
    return Recipe(
        source=old[first].source, stored=tuple(stored), pattern=tuple(pattern), places=tuple(places),
        values=edit.values[name], brought=f"{edit.module}.{name}",
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Change:
    """What the layout tells once the module has been replaced."""

    edit: Replace
    declared: Mapping[str, tuple[Dim, ...]]
    old: Mapping[str, Recipe]
    new: Mapping[str, Recipe]
    before: Layout

    def layout(self) -> Layout:
        """The layout after the edit; patterns have the sizes of the model before the plan."""
        before, gone = self.before, {_known(self.before, n) for n in self.old}
        patterns = {n: p for n, p in before.patterns.items() if n not in gone}
        patterns |= {n: cut(r.pattern or (), before.sizes) for n, r in self.new.items()}
        left = {a for p in patterns.values() for a in names(p)} | {b.axis for b in before.blocks}
        lost = {a for t in gone for a in names(before.patterns.get(t, ()))} - left - self._holds()
        axes = {a: x for a, x in before.axes.items() if a not in lost}
        own = _own_axes(self.edit, self.declared)
        axes |= {name: Axis(name=name, size=size, state="free") for name, size in own.items()}
        axes |= {a: self._held(axes[a]) for a in self._holds() if a in axes}
        reads = {n: r for n, r in before.reads.items() if n not in gone}
        for name, ds in self.declared.items():
            reads[f"{self.edit.module}.{name}"] = tuple(i for i, d in enumerate(ds) if d.read)
        return replace(
            before,
            patterns=patterns, axes=axes, reads={n: r for n, r in reads.items() if r},
            norms=tuple(self._norm(n) for n in before.norms if not _inside(f"{n.module}.", self.edit.module)),
            writers=tuple(replace(w, tensor=t) for w in before.writers for t in self._heirs(w.tensor, read=False)),
            work=tuple(self._work(axes)),
            unreached=tuple(n for n in before.unreached if n not in gone),
        )  # fmt: skip

    def _holds(self) -> set[str]:
        """The axes whose sizes the new module holds as products of others."""
        return {a for n in _holding(self.edit) for a in names(self.old[f"{self.edit.module}.{n}"].pattern or ())}

    def _held(self, axis: Axis) -> Axis:
        why = f"{self.edit.module} is a '{self.edit.spec.kind}', which holds its size as a product; cut it before"
        return replace(axis, state="uncut", reason=why, rotates=False, rigid=why)

    def _heirs(self, tensor: str, *, read: bool) -> tuple[str, ...]:
        """The new tensors that read, or make, what an old one did; any other tensor is its own heir."""
        if not _inside(tensor, self.edit.module):
            return (tensor,)
        own = tensor[len(self.edit.module) + 1 :]
        found = [n for n, ds in self.declared.items() if any(d.tensor == own and d.read == read for d in ds)]
        return tuple(f"{self.edit.module}.{n}" for n in found)

    def _norm(self, norm: Norm) -> Norm:
        readers = tuple(h for r in norm.readers for h in self._heirs(r, read=True))
        biases = {r: b for r, b in norm.biases.items() if not _inside(r, self.edit.module)}
        shared = {r: s for r, s in norm.shared.items() if not _inside(r, self.edit.module)}
        return replace(norm, readers=readers, biases=biases, shared=shared)

    def _work(self, axes: Mapping[str, Axis]) -> Iterator[Work]:
        """The products of the new matrices, done as often as those of the old one."""
        for work in self.before.work:
            if not _inside(work.tensor, self.edit.module):
                if all(a in axes for a in work.axes):
                    yield work
                continue
            sizes, pattern = self.before.sizes, self.before.patterns.get(work.tensor)
            if pattern is None:
                continue
            done = work.constant * math.prod(sizes[a] for a in work.axes) / max(math.prod(shape(pattern, {})), 1)
            own = work.tensor[len(self.edit.module) + 1 :]
            if own == "weight":
                yield from self._told(done, work.tokens)
            for name, ds in self.declared.items():
                if any(d.read for d in ds) and next((d.tensor for d in ds if d.tensor), "") == own:
                    full, often = f"{self.edit.module}.{name}", self._often(name)
                    for count, factors in _terms(cut(self.new[full].pattern or (), sizes)):
                        yield Work(round(count * done * often), factors, work.tokens, full)

    def _told(self, done: float, tokens: int) -> Iterator[Work]:
        """What a kind says itself of its products, where they are not those of its tensors with the old axes."""
        kind = kind_of(self.edit.spec)
        for name, count, each in kind.work(settings_of(self.edit.spec)) if hasattr(kind, "work") else ():
            yield Work(round(count * done) if each else count, (), tokens if each else 0, f"{self.edit.module}.{name}")

    def _often(self, name: str) -> int:
        """How often a number of a new tensor is multiplied where one of the old weight is once."""
        kind = kind_of(self.edit.spec)
        return kind.uses(settings_of(self.edit.spec)).get(name, 1) if hasattr(kind, "uses") else 1


def _terms(pattern: Pattern) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The numbers of a tensor as a sum: of each term the bare factor, and its axes."""
    for chosen in product(*(list(_of(d)) for d in pattern)):
        yield math.prod(c for c, _ in chosen), tuple(a for _, found in chosen for a in found)


def _of(dim: Product) -> Iterator[tuple[int, tuple[str, ...]]]:
    parts = []
    for part in dim.parts:
        if isinstance(part, Concat):
            parts.append([term for piece in part.parts for term in _of(piece)])
        else:
            parts.append([(1, (part.name,)) if part.name else (part.size, ())])
    for chosen in product(*parts):
        yield math.prod(c for c, _ in chosen), tuple(a for _, found in chosen for a in found)
