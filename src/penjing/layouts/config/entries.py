"""Which axes move with which config entry: found by changing each entry and looking what moves."""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from penjing.core import Axis, Blocks, Entry, Layout, Pattern
from penjing.core.pattern import leaves
from penjing.errors import CheckpointError, LayoutError
from penjing.layouts.config import alike, counts, paths, scales
from penjing.layouts.config.left_open import left_open, same_model, shapes_of
from penjing.layouts.config.sizes import Reader, Shapes, UnclearError, reader, settings_of
from penjing.layouts.config.stock import build
from penjing.layouts.graph.thin import signature
from penjing.nn import own_axes

Derive = Callable[[nn.Module], Layout]
FACTORS = (2, 3)
"""What entries are multiplied and, where it comes out even, divided by."""


@dataclass(frozen=True)
class _Trial:
    """A config with some entries multiplied by one factor, and the model that it makes."""

    module: nn.Module
    factor: float


@dataclass
class _Trials:
    """The small model that trials are compared with, and the first trial of each entry that told nothing."""

    config: Mapping[str, Any]
    module: nn.Module
    reader: Reader
    shapes: Shapes
    derive: Derive
    untold: dict[str, _Trial] = field(default_factory=dict)

    def of(self, path: str, value: float) -> Entry | None:
        """What moves with one entry, or None when nothing does or nothing can be told."""
        for changed in _values(value):
            trial = self._build({path: changed}, changed / value)
            if trial is None:
                continue
            constants = scales.moved(self.module, trial.module)
            if shapes_of(trial.module) == self.shapes and self._settings(trial) == self.reader.settings:
                return Entry(path=path, value=value, scales=constants) if constants else None
            moves = self._read(trial)
            if moves is not None:
                return Entry(path=path, value=value, moves=moves, scales=constants)
            self.untold.setdefault(path, trial)
        return None

    def pair(self, one: str, two: str, missing: frozenset[str]) -> Entry | None:
        """What moves when two entries are multiplied alike, if axes of `missing` do."""
        values = {p: paths.get(self.config, p) for p in (one, two)}
        for factor in (2, 3, 1 / 2, 1 / 3):
            changed = {p: v * factor for p, v in values.items()}
            if any(isinstance(values[p], int) and v != round(v) for p, v in changed.items()):
                continue
            trial = self._build({p: type(values[p])(v) for p, v in changed.items()}, factor)
            moves = None if trial is None else self._read(trial)
            if trial is not None and moves is not None and missing & moves.keys():
                constants = scales.moved(self.module, trial.module)
                return Entry(path=one, value=values[one], moves=moves, scales=constants, together=(two,))
        return None

    def by_trace(self, path: str) -> Entry | None:
        """What moves with an entry by a new trace, where sizes told nothing."""
        trial = self.untold[path]
        moves = self._traced(trial)
        if not moves:
            return None
        constants = scales.moved(self.module, trial.module)
        return Entry(path=path, value=paths.get(self.config, path), moves=moves, scales=constants)

    def _build(self, changes: Mapping[str, float], factor: float) -> _Trial | None:
        try:
            module = build(paths.put(self.config, changes))
        except CheckpointError:
            return None
        made = shapes_of(module)
        comparable = made.keys() == self.shapes.keys() and all(len(s) == len(self.shapes[n]) for n, s in made.items())
        return _Trial(module, factor) if comparable else None

    def _settings(self, trial: _Trial) -> dict[str, dict[str, int]]:
        return settings_of(trial.module, self.reader.unsure)

    def _read(self, trial: _Trial) -> dict[str, float] | None:
        try:
            sizes = self.reader.read(shapes_of(trial.module), self._settings(trial))
        except UnclearError:
            return self._traced(trial)
        return None if sizes is None else _powers(self.reader.patterns, sizes, trial.factor)

    def _traced(self, trial: _Trial) -> dict[str, float] | None:
        try:
            other = self.derive(trial.module)
            pairs = alike.pair(self.reader.patterns, other.patterns)
        except (LayoutError, alike.UnlikeError):
            return None
        sizes = {a: other.axes[b].size if b else 1 for a, b in pairs.items() if not b or b in other.axes}
        return _powers(self.reader.patterns, sizes, trial.factor)


def with_entries(config: Mapping[str, Any], module: nn.Module, layout: Layout, derive: Derive) -> Layout:
    """The layout with its config entries, and with its lists of blocks as axes; `config` has every default written out.

    Each number of the config is multiplied, or else divided, raised or lowered by one, at two blocks on `meta`; those
    that tell nothing alone are tried in pairs. Lengths and the modules' own whole numbers tell which factor of a
    dimension moved; the changed model is traced by `derive` only where they leave a doubt.
    """
    config = written_out(config, module)
    small, built, found = counts.few_blocks(config, module)
    given = left_open(small, built, layout)
    small, config = paths.put(small, given), paths.put(config, given)
    shapes = shapes_of(built)
    trials = _Trials(
        small, built, reader({t: layout.patterns[t] for t in shapes if t in layout.patterns}, built), shapes, derive
    )
    counting = {c.entry for c in found}
    alone = [trials.of(path, value) for path, value in paths.numbers(small) if value and path not in counting]
    entries = [e for e in alone if e is not None and (e.moves or e.scales)]
    entries += _of_the_rest(trials, layout, entries)
    spread = _spread(layout, module, built)
    whole = []
    for entry in entries:
        moves = {there: power for axis, power in entry.moves.items() for there in spread.get(axis, (axis,))}
        value = paths.get(config, entry.path)
        whole.append(replace(entry, value=float(value), moves=moves, whole=isinstance(value, int)))
    return _with_blocks(_filled(layout, tuple(whole)), found)


def written_out(config: Mapping[str, Any], module: nn.Module) -> dict[str, Any]:
    """The config with those entries given that stock code would derive from others, read off the module's own numbers.

    So `head_dim` is 64 where nothing was said and every attention of the module has `head_dim` 64.
    """
    numbers: dict[str, set[int]] = {}
    for values in scales.integers(module).values():
        for key, value in values.items():
            numbers.setdefault(key, set()).add(value)
    open_ = {k: numbers[k].copy().pop() for k, v in config.items() if v is None and len(numbers.get(k, ())) == 1}
    if not open_:
        return dict(config)
    given = {**config, **open_}
    try:
        other = build(given)
    except CheckpointError:
        return dict(config)
    return given if same_model(other, module) else dict(config)


def _of_the_rest(trials: _Trials, layout: Layout, known: list[Entry]) -> list[Entry]:
    """Entries of the axes that no entry moves alone: pairs that are multiplied alike, and what a trace tells."""
    told = {e.path for e in known}
    untold = [p for p in trials.untold if p not in told]
    missing = _missing(trials, layout, known)
    out: list[Entry] = []
    for one, two in itertools.combinations(untold, 2):
        entry = trials.pair(one, two, missing) if missing else None
        if entry is not None:
            out.append(entry)
            missing -= entry.moves.keys()
    paired = {p for e in out for p in (e.path, *e.together)}
    for path in untold:
        entry = trials.by_trace(path) if missing and path not in paired else None
        if entry is not None:
            out.append(entry)
            missing -= entry.moves.keys()
    return out


def _missing(trials: _Trials, layout: Layout, known: list[Entry]) -> frozenset[str]:
    """The axes of the small model that could be cut, had they an entry; those of inserted modules need none."""
    here = {leaf.name for p in trials.reader.patterns.values() for leaf in leaves(p) if leaf.name}
    moved = {axis for e in known for axis in e.moves} | {*own_axes(trials.module).values()}
    return frozenset(a for a in here - moved if a in layout.axes and layout.axes[a].state != "uncut")


def _values(value: float) -> list[float]:
    if isinstance(value, float):
        return [value * 2, value / 2]
    divided = [value // f for f in FACTORS if value % f == 0]
    return [*(value * f for f in FACTORS), *divided, value + 1, *([value - 1] if value > 1 else [])]


def _powers(patterns: Mapping[str, Pattern], sizes: Mapping[str, int], factor: float) -> dict[str, float]:
    old = {leaf.name: leaf.size for p in patterns.values() for leaf in leaves(p) if leaf.name}
    moved = {a: sizes[a] for a in old if a in sizes and sizes[a] != old[a]}
    powers = {a: math.log(n / old[a]) / math.log(factor) for a, n in moved.items()}
    return {a: float(round(p)) if abs(p - round(p)) < 0.02 else round(p, 4) for a, p in powers.items()}


def _spread(layout: Layout, module: nn.Module, small: nn.Module) -> dict[str, tuple[str, ...]]:
    """Axis of the small model -> itself and the axes that play its part in the blocks that were left out."""
    out: dict[str, dict[str, None]] = {}
    few = counts.module_lists(small)
    for path, blocks in counts.module_lists(module).items():
        if path not in few or len(few[path]) == len(blocks):
            continue
        model = {signature(b): k for k, b in reversed(list(enumerate(few[path])))}
        for k, block in enumerate(blocks):
            source = model.get(signature(block))
            if source is not None:
                _pair_blocks(layout, f"{path}.{source}.", f"{path}.{k}.", out)
    return {a: tuple(dict.fromkeys((a, *there))) for a, there in out.items()}


def _pair_blocks(layout: Layout, old: str, new: str, out: dict[str, dict[str, None]]) -> None:
    for tensor, pattern in layout.patterns.items():
        there = layout.patterns.get(new + tensor[len(old) :]) if tensor.startswith(old) else None
        if there is not None:
            for a, b in zip(leaves(pattern), leaves(there), strict=False):
                if a.name and b.name:
                    out.setdefault(a.name, {})[b.name] = None


def _filled(layout: Layout, entries: tuple[Entry, ...]) -> Layout:
    following: dict[str, list[str]] = {}
    for entry in entries:
        for axis in entry.moves:
            following.setdefault(axis, []).extend((entry.path, *entry.together))
    axes = {n: replace(a, entries=tuple(following.get(n, ()))) for n, a in layout.axes.items()}
    return replace(layout, axes=axes, entries=entries)


def _with_blocks(layout: Layout, found: list[counts.Count]) -> Layout:
    """The lists of blocks that a block can be left out of, as axes of their own."""
    lists = [(c, path) for c in found for path in c.lists if counts.droppable(layout, path, c.size)]
    blocks, axes = [], dict(layout.axes)
    for count, path in lists:
        name = _block_axis(path, [p for _, p in lists])
        blocks.append(Blocks(axis=name, path=path, size=count.size, entry=count.entry, lists=count.per_block))
        axes[name] = Axis(
            name=name,
            size=count.size,
            state="sensitive",
            reason="dropping a block is not a mask",
            entries=(count.entry,),
        )
    left = [path for c in found for path in c.lists if (c, path) not in lists]
    why = tuple(f"no block of {path} can be dropped: each does not give what every other is given" for path in left)
    return replace(layout, blocks=tuple(blocks), axes=axes, notes=layout.notes + why)


def _block_axis(path: str, others: list[str]) -> str:
    """`blocks` for an only list, else `blocks.` and the parts of its path that tell it from the others."""
    if len(others) == 1:
        return "blocks"
    steps = [p.split(".") for p in others]
    shared = {part for part in steps[0] if all(part in s for s in steps)}
    own = [part for part in path.split(".") if part not in shared]
    return ".".join(["blocks", *own])
