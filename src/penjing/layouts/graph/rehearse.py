"""A second run of a module with every free axis at another size: what its code holds as a number shows itself.

The graph says which axes could be cut. Whether the module can run with them cut depends on its code: `view(b, 64)`, a
slice `[:8]`, an attribute that counts heads, `1 / sqrt(width)`. All axes get unlike sizes at once, and each operator is
compared with what the atoms foretell. Where a size differs, the attribute that has to follow is sought; where there
is none, the axis is uncut, with the line. Where a number differs that is no size, cutting differs from masking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import isclose

from torch import nn
from torch.fx import Node

from penjing.layouts.graph import atoms, settings
from penjing.layouts.graph.atoms import Atom
from penjing.layouts.graph.infer import Inference
from penjing.layouts.graph.settings import Setting
from penjing.layouts.graph.trial import Stage, Trial

MOST = 200_000
"""Operators run after which what is not settled is left as the graph says; some thousand a second."""


def rehearse(inference: Inference) -> tuple[Setting, ...]:
    """Mark what the module's code cannot do without; give the attributes that have to follow what can be cut."""
    found = _Rehearsal(inference)
    found.weigh(found.settle())
    return found.followers()


class _Rehearsal:
    def __init__(self, inference: Inference) -> None:
        self.stage, self.walk = Stage(inference), inference.walk
        self.module, self.calls, self.sizes = self.stage.module, self.stage.calls, self.stage.sizes
        self.cut = dict.fromkeys(self.stage.free)
        self.settings: list[Setting] = []

    def settle(self) -> Trial:
        """Go on until the whole run is as foretold; the last run."""
        while self.cut and self.stage.operators < MOST:
            trial = self.stage.run(self.cut, self.settings)
            if trial.at >= len(self.calls):
                return trial
            if not self._by_attributes(trial):
                self._leave_out(trial)
        trial = self.stage.run(self.cut, self.settings)
        if self.cut and trial.at < len(self.calls):
            where = f" at {trial.line}" if trial.line else ""
            self.walk.notes[f"the code holds more sizes than were looked for; the first left is{where}"] = None
        return trial

    def _by_attributes(self, trial: Trial) -> bool:
        """Whether an attribute that follows gets the run further; it is kept."""
        found = self._candidates(trial.at, self.cut)
        held = {(s.path, s.attribute): s for s in self.settings}
        fresh = [s for s in found if (s.path, s.attribute) not in held]
        known = {self._kind(s) for s in self.settings}
        tried = [_first_each([s for s in fresh if self._kind(s) in known]), *([s] for s in fresh), _first_each(fresh)]
        for chosen in tried:
            if chosen and self.stage.run(self.cut, [*self.settings, *chosen]).at > trial.at:
                self.settings += chosen
                return True
        again = [(held[s.path, s.attribute], s) for s in found if (s.path, s.attribute) in held]
        return any(self._one_axis(trial.at, first, second) for first, second in again)

    def _kind(self, setting: Setting) -> tuple[type, str, tuple[int, ...]]:
        """What settings of like modules share: blocks of a kind are settled alike, which saves most of the runs."""
        owner = type(self.module.get_submodule(setting.path))
        return owner, setting.attribute, tuple(a.size for d in setting.dims for a in d)

    def _candidates(self, at: int, cut: Iterable[Atom]) -> list[Setting]:
        """Attributes that may have to follow: `reshape` fails before the copy and the view that it is made of."""
        dims = [d for node in self.calls[at : at + 3] for d in self.stage.around(node)]
        return settings.candidates(self.module, self.walk.module(self.calls[at]), dims, dict.fromkeys(cut))

    def _one_axis(self, at: int, first: Setting, second: Setting) -> bool:
        """Whether the run gets further when the axes that one attribute stands for in two places are the same."""
        ones, others = (list(atoms.leaves(list(s.dims[0]))) for s in (first, second))
        pairs = [(a, b) for a, b in zip(ones, others, strict=False) if a is not b]
        alike = [a.size for a in ones] == [b.size for b in others]
        if not pairs or not alike or not {a for pair in pairs for a in pair} <= self.cut.keys():
            return False
        before = {b: self.sizes[b] for _, b in pairs}
        self.sizes.update({b: self.sizes[a] for a, b in pairs})
        if self.stage.run(self.cut, self.settings).at <= at:
            self.sizes.update(before)
            return False
        for one, other in pairs:
            atoms.merge(one, other)
        self.cut = dict.fromkeys(atoms.find(a) for a in self.cut)
        return True

    def _leave_out(self, trial: Trial) -> None:
        """Leave out the axes that the run fails for and that no attribute lets follow."""
        node = self.calls[trial.at]
        where = f"at {trial.line}" if trial.line else "in torch's own code"
        reason = self._of_torch(node) or f"its size is a number {where}: {self.walk.reason(node)}"
        suspects = list(dict.fromkeys(a for d in self.stage.around(node) for a in atoms.leaves(d) if a in self.cut))
        rest = [a for a in self.cut if a not in suspects]
        if suspects and self.stage.run(rest, self.settings).at > trial.at:
            for leaf in suspects if len(suspects) > 1 else ():
                if self._goes_with(trial.at, [*rest, leaf], leaf):
                    rest.append(leaf)
            gone = [a for a in suspects if a not in rest]
            gone = self._as_one(trial.at, rest, gone)
        else:
            gone = [self._first_guilty(trial.at)]
        for leaf in gone:
            atoms.freeze([leaf], reason)
            self.cut.pop(leaf, None)

    def _of_torch(self, node: Node) -> str:
        """Why torch's own attention, if the node is in it, holds its sizes together; empty elsewhere."""
        path = self.walk.module(node)
        part = self.module.get_submodule(path)
        if not isinstance(part, nn.MultiheadAttention) or type(part).forward is not nn.MultiheadAttention.forward:
            return ""
        return (
            f"torch's MultiheadAttention in {path or 'the model'} asserts that its heads times their width are the "
            f"width of what it is given ({part.embed_dim}), so it cannot hold fewer of either; graph=True cuts them"
        )

    def _as_one(self, at: int, rest: list[Atom], gone: list[Atom]) -> list[Atom]:
        """Those that stay guilty when axes of one size are one axis, as where the code takes equal parts."""
        for size in dict.fromkeys(a.size for a in gone):
            alike = [a for a in gone if a.size == size]
            before = {a: self.sizes[a] for a in alike}
            self.sizes.update(dict.fromkeys(alike, before[alike[0]]))
            if len(alike) > 1 and self._goes_with(at, [*rest, *alike], alike[0]):
                for leaf in alike[1:]:
                    atoms.merge(alike[0], leaf)
                self.cut = dict.fromkeys(atoms.find(a) for a in self.cut)
                gone = [a for a in gone if a not in alike]
            else:
                self.sizes.update(before)
        return gone

    def _goes_with(self, at: int, cut: list[Atom], leaf: Atom) -> bool:
        """Whether a run gets further with one more leaf, an attribute that follows it allowed."""
        if self.stage.run(cut, self.settings).at > at:
            return True
        held = {(s.path, s.attribute) for s in self.settings}
        for setting in self._candidates(at, [leaf]):
            fresh = (setting.path, setting.attribute) not in held
            if fresh and self.stage.run(cut, [*self.settings, setting]).at > at:
                self.settings.append(setting)
                return True
        return False

    def _first_guilty(self, at: int) -> Atom:
        """The first leaf with which, and with those before it, the run fails no later."""
        order, low, high = list(self.cut), 0, len(self.cut) - 1
        while low < high:
            middle = (low + high) // 2
            if self.stage.run(order[: middle + 1], self.settings).at > at:
                low = middle + 1
            else:
                high = middle
        return order[low]

    def followers(self) -> tuple[Setting, ...]:
        """What has to follow and does not by itself: layers without weights, and attributes of the module's own."""
        bare = [s for s in self.stage.torch if getattr(self.module.get_submodule(s.path), "weight", self) is None]
        cut = set(self.cut)
        return tuple(s for s in (*bare, *self.settings) if any(a in cut for d in s.dims for a in atoms.leaves(list(d))))

    def weigh(self, trial: Trial) -> None:
        """Mark as sensitive what numbers that are no sizes follow."""
        moved = trial.moved
        places = {m[0]: self._by_ratio(m[2], m[3]) for m in moved}
        told = {a for found in places.values() for a in found}
        rest = [a for a in self.cut if a not in told]
        left = {m[0] for m in self.stage.run(rest, self.settings).moved} if moved else set()
        for place, line, _, _ in moved:
            guilty = places[place] if place not in left else [*places[place], *self._moving(place, rest)]
            what = f"{self.walk.reason(self.calls[place])}, at {line}" if line else self.walk.reason(self.calls[place])
            for leaf in guilty:
                atoms.mark_sensitive([leaf], f"a number follows its size: {what}")

    def _by_ratio(self, old: float, new: float) -> list[Atom]:
        """The leaf whose size a number is a power of, or the two of whose product: sizes are unlike, so one fits."""
        if not old or not new or old * new < 0:
            return []
        grown = {a: self.sizes[a] / a.size for a in self.cut}
        for power in (-0.5, 0.5, -1.0, 1.0, -0.25, 0.25, -2.0, 2.0):
            for leaf, ratio in grown.items():
                if isclose(ratio**power, new / old, rel_tol=1e-6):
                    return [leaf]
        for power in (-0.5, 0.5, -1.0, 1.0):
            for one, other in combinations(list(grown)[:200], 2):
                if isclose((grown[one] * grown[other]) ** power, new / old, rel_tol=1e-6):
                    return [one, other]
        return []

    def _moving(self, place: int, among: list[Atom]) -> list[Atom]:
        """The leaves of some that each move the number at a place, found by halves."""
        if (
            not among
            or self.stage.operators > MOST
            or all(m[0] != place for m in self.stage.run(among, self.settings).moved)
        ):
            return []
        if len(among) == 1:
            return among
        middle = len(among) // 2
        return [*self._moving(place, among[:middle]), *self._moving(place, among[middle:])]


def _first_each(found: Sequence[Setting]) -> list[Setting]:
    """The first setting of each attribute."""
    return list({(s.path, s.attribute): s for s in reversed(found)}.values())
