"""A layout under the names that a checkpoint's files use, where these differ from the model's own."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from penjing.core import Axis, Concat, Layout, Leaf, Norm, Pattern, Product, Work
from penjing.core.pattern import leaves, names, shape
from penjing.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]
Marked = list[tuple[Product, bool]]
"""The dimensions of a pattern, each with whether a product sums over it."""


@dataclass
class _Match:
    """Which tensor of the model each stored name feeds: `direct` one to one, `converted` through operations."""

    direct: dict[str, str] = field(default_factory=dict)
    converted: list[tuple[Any, dict[str, str], dict[str, list[str]]]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def under_stored(layout: Layout, module: nn.Module, stored: Shapes) -> Layout:
    """The same layout with its tensors named and shaped as in the files.

    Raises:
        CheckpointError: tensors are missing, or their shapes are not those of the config.
    """
    if set(stored) == set(layout.patterns):
        _check(layout.patterns, stored)
        return layout
    match = _match(module, stored)
    known = {k: layout.aliases.get(k, k) for k in {*layout.aliases, *layout.patterns}}
    marked = {t: _mark(p, layout.reads.get(t, ())) for t, p in layout.patterns.items()}
    found: dict[str, Marked] = {s: marked[known[t]] for s, t in match.direct.items() if known.get(t) in marked}
    second = _second(match.direct, known)
    renamed: dict[str, list[str]] = defaultdict(list)
    for s, t in match.direct.items():
        if s not in second:
            renamed[known.get(t, t)].append(s)
    uncut: dict[str, str] = {}
    for operations, targets, sources in match.converted:
        for target in targets.values():
            renamed[target] += [s for group in sources.values() for s in group]
        found |= _converted(operations, {k: marked[known[t]] for k, t in targets.items()}, sources, stored, uncut)
    uncut |= _made_anew(layout, missing_from(module, layout, renamed))
    unknown = [s for s in stored if s not in found]
    patterns = {s: tuple(d for d, _ in found[s]) if s in found else _plain(stored[s]) for s in stored}
    _check(patterns, stored)
    patterns = {s: p for s, p in patterns.items() if s not in second}
    reads = {s: tuple(i for i, (_, read) in enumerate(found[s]) if read) for s in patterns if s in found}
    own = _rename(layout, patterns, {s: r for s, r in reads.items() if r}, renamed, unknown, uncut)
    return replace(own, aliases={**own.aliases, **second})


def one_to_one(module: nn.Module, stored: Shapes) -> dict[str, str]:
    """Stored name -> the module's own, of tensors that the stock loader takes over as they are."""
    return dict(_match(module, stored).direct)


def strangers(module: nn.Module, stored: Shapes) -> tuple[str, ...]:
    """The stored names that the stock loader puts into no tensor of the module: it opens the rest without them."""
    return tuple(_match(module, stored).unknown)


def _second(direct: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Stored name -> the stored name that is kept, of tied tensors that the files hold under several names."""
    homes: dict[str, list[str]] = defaultdict(list)
    for name, target in direct.items():
        homes[known.get(target, target)].append(name)
    out: dict[str, str] = {}
    for kept, names_ in homes.items():
        first = next((n for n in names_ if direct[n] == kept), names_[0])
        out |= {n: first for n in names_ if n != first}
    return out


def _match(module: nn.Module, stored: Shapes) -> _Match:
    """Rename as the stock loader would."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key, rename_source_key

    model: Any = module
    own: dict[str, Any] = dict(module.state_dict())
    steps = get_model_conversion_mapping(model)
    renamings = [s for s in steps if isinstance(s, WeightRenaming)]
    converters = [s for s in steps if isinstance(s, WeightConverter)]
    by_pattern = {p: c for c in converters for p in c.source_patterns}
    out = _Match()
    groups: dict[str, dict[str, list[str]]] = {}
    for name in sorted(stored, key=dot_natural_key):
        target, pattern = rename_source_key(name, renamings, converters, model.base_model_prefix, own)
        if target not in own and name in own:
            target, pattern = name, None
        if target not in own:
            out.unknown.append(name)
        elif pattern is None:
            out.direct[name] = target
        else:
            groups.setdefault(target, {}).setdefault(pattern, []).append(name)
    for target, sources in groups.items():
        converter = by_pattern[next(iter(sources))]
        first, ordered = converter.target_patterns[0], [p for p in converter.source_patterns if p in sources]
        targets = {p: target.replace(first, p) for p in converter.target_patterns}
        out.converted.append((converter.operations, targets, {p: sources[p] for p in ordered}))
    return out


def _converted(
    operations: Sequence[Any],
    targets: dict[str, Marked],
    sources: dict[str, list[str]],
    stored: Shapes,
    uncut: dict[str, str],
) -> dict[str, Marked]:
    """The patterns of the stored tensors that operations turn into the `targets`: the operations, backwards."""
    one = {key: group[0] for key, group in sources.items()}
    state: dict[str, Marked] | None = dict(targets)
    for operation in reversed(operations):
        state = _undo(operation, state, one, stored, uncut) if state is not None else None
    fits = state is not None and set(state) == set(sources)
    if not fits or any(_shape(state[k]) != tuple(stored[s]) for k, group in sources.items() for s in group):  # type: ignore[index]
        words = ", ".join(type(o).__name__ for o in operations)
        for marked in targets.values():
            for name in names(tuple(d for d, _ in marked)):
                uncut[name] = f"the files store {next(iter(one.values()))} in another form ({words})"
        return {s: [(d, False) for d in _plain(stored[s])] for group in sources.values() for s in group}
    assert state is not None  # noqa: S101
    return {s: state[k] for k, group in sources.items() for s in group}


def _undo(
    operation: Any, state: dict[str, Marked], one: dict[str, str], stored: Shapes, uncut: dict[str, str]
) -> dict[str, Marked] | None:
    kind = type(operation).__name__
    if kind == "MergeModulelist":
        only = len(state) == 1 and len(one) == 1
        for marked in state.values():
            for name in names((marked[operation.dim][0],)):
                uncut[name] = f"the files store one tensor for each of its units (such as {next(iter(one.values()))})"
        return {(next(iter(one)) if only else k): m[: operation.dim] + m[operation.dim + 1 :] for k, m in state.items()}
    if kind == "Concatenate" and len(state) == 1:
        return _divide(next(iter(state.values())), operation.dim, one, stored)
    if kind in {"Chunk", "Split"} and len(one) == 1:
        return {next(iter(one)): _join(list(state.values()), operation.dim)}
    if kind == "Transpose" and len(state) == 1:
        marked = list(next(iter(state.values())))
        if not (operation.check_dims and _shape(marked) == tuple(stored[next(iter(one.values()))])):
            a, b = operation.dim0, operation.dim1
            marked[a], marked[b] = marked[b], marked[a]
        return {(next(iter(one)) if len(one) == 1 else next(iter(state))): marked}
    return None


def _divide(marked: Marked, dim: int, one: dict[str, str], stored: Shapes) -> dict[str, Marked] | None:
    """Each source's share of a concatenated dimension, if the pattern has a boundary where the files have one."""
    product, read = marked[dim]
    parts = product.parts[0].parts if len(product.parts) == 1 and isinstance(product.parts[0], Concat) else (product,)
    missing = len(marked) - len(stored[next(iter(one.values()))])
    pending, out = list(parts), {}
    for key, name in one.items():
        length, share = stored[name][dim - missing], []
        while pending and sum(shape((p,), {})[0] for p in share) < length:
            share.append(pending.pop(0))
        if sum(shape((p,), {})[0] for p in share) != length:
            return None
        piece = share[0] if len(share) == 1 else Product((Concat(tuple(share)),))
        out[key] = [*marked[:dim], (piece, read), *marked[dim + 1 :]]
    return None if pending else out


def _join(parts: list[Marked], dim: int) -> Marked:
    first = list(parts[0])
    stretches: list[Product] = []
    for part in parts:
        product = part[dim][0]
        inner = product.parts[0] if len(product.parts) == 1 else None
        stretches += list(inner.parts) if isinstance(inner, Concat) else [product]
    first[dim] = (Product((Concat(tuple(stretches)),)), any(p[dim][1] for p in parts))
    return first


def _check(patterns: Mapping[str, Pattern], stored: Shapes) -> None:
    for name, pattern in patterns.items():
        made = shape(pattern, {})
        if made != tuple(stored[name]):
            raise CheckpointError(
                f"{name} is {list(stored[name])} in the file, but the config makes it {list(made)}; use the "
                f"config that the weights belong to"
            )


def missing_from(module: nn.Module, layout: Layout, renamed: Mapping[str, list[str]]) -> list[str]:
    """The parameters that the files do not hold and that the stock loader never misses: it makes them itself.

    Raises:
        CheckpointError: the files lack others.
    """
    known = {n for n, _ in module.named_parameters()}
    absent = [t for t in layout.patterns if t in known and t not in renamed]
    spared = [re.compile(p) for p in getattr(module, "_keys_to_ignore_on_load_missing", None) or ()]
    missing = [t for t in absent if not any(p.search(t) for p in spared)]
    if missing:
        rest = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise CheckpointError(
            f"the files lack {len(missing)} of the {len(layout.patterns)} tensors that {type(module).__name__} needs: "
            f"{', '.join(missing[:5])}{rest}; use the config that the weights belong to"
        )
    return absent


def _made_anew(layout: Layout, absent: Sequence[str]) -> dict[str, str]:
    """Axis -> why it is not cut, where stock code would make a tensor of another size by itself, not by the cut."""
    used = [t for t in absent if t not in layout.unreached]
    reason = "the files do not hold {}, which stock code makes by itself for the size that it finds"
    return {axis: reason.format(t) for t in used for axis in names(layout.patterns[t])}


def _rename(
    layout: Layout,
    patterns: dict[str, Pattern],
    reads: dict[str, tuple[int, ...]],
    renamed: Mapping[str, list[str]],
    unknown: list[str],
    uncut: dict[str, str],
) -> Layout:
    def one(tensor: str) -> str:
        return (renamed.get(tensor) or [tensor])[0]

    def many(tensors: Sequence[str]) -> tuple[str, ...]:
        return tuple(s for t in tensors for s in (renamed.get(t) or [t]))

    axes: dict[str, Axis] = dict(layout.axes)
    for name, reason in uncut.items():
        if axes[name].state != "uncut":
            axes[name] = replace(axes[name], state="uncut", reason=reason)
    aliases = {a: one(t) for a, t in layout.aliases.items() if a not in patterns}
    aliases |= {t: one(t) for t in layout.patterns if t in layout.aliases.values() and t not in patterns}
    note = f"{unknown[0]} and {len(unknown) - 1} more" if len(unknown) > 1 else "".join(unknown)
    reason = (f"the model that the config names does not use {note}; kept as in the files",) if unknown else ()
    return replace(
        layout,
        patterns=patterns,
        axes=axes,
        reads=reads,
        aliases=aliases,
        norms=tuple(_norm(n, one, many) for n in layout.norms),
        writers=tuple(replace(w, tensor=s) for w in layout.writers for s in many((w.tensor,))),
        work=tuple(Work(w.constant, w.axes, w.tokens, one(w.tensor) if w.tensor else "") for w in layout.work),
        unreached=tuple(dict.fromkeys([*(s for t in layout.unreached for s in renamed.get(t, [])), *unknown])),
        notes=layout.notes + reason,
    )


def _norm(norm: Norm, one: Callable[[str], str], many: Callable[[Sequence[str]], tuple[str, ...]]) -> Norm:
    pairs = [(many((r,)), many((bias,))) for r, bias in norm.biases.items()]
    return replace(
        norm,
        weight=one(norm.weight) if norm.weight else "",
        bias=one(norm.bias) if norm.bias else "",
        readers=many(norm.readers),
        shared={s: own for r, own in norm.shared.items() for s in many((r,))},
        biases={s: b for rs, bs in pairs if len(rs) == len(bs) for s, b in zip(rs, bs, strict=True)},
    )


def _mark(pattern: Pattern, reads: Sequence[int]) -> Marked:
    return [(dim, place in reads) for place, dim in enumerate(pattern)]


def _shape(marked: Marked) -> tuple[int, ...]:
    return shape(tuple(d for d, _ in marked), {})


def _plain(lengths: Sequence[int]) -> Pattern:
    return tuple(Product((Leaf("", int(n)),) if n != 1 else ()) for n in lengths)


def stored_leaves(pattern: Pattern) -> set[str]:
    """The names of the axes in a pattern."""
    return {leaf.name for leaf in leaves(pattern) if leaf.name}
