"""What leaving out some units would do to the cost of a model, kind by kind, before a method chooses which."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch

from penjing.core import Layout
from penjing.core.pattern import shape
from penjing.layouts import costs
from penjing.profiling.roofline import Job, Profile, Shape, describe, predict, without_blocks


@dataclass(frozen=True, kw_only=True)
class Model:
    """A layout with what its costs hang on: dtypes of the stored tensors, else bytes per weight, and the cache."""

    layout: Layout
    dtypes: Mapping[str, torch.dtype]
    itemsize: int
    cache_bytes: float

    def shape(self, sizes: Mapping[str, int] | None = None) -> Shape:
        """The products of the model with these axis sizes."""
        cache = self.cache_bytes * _cache_share(self.layout, sizes or {})
        return describe(self.layout, dtypes=self.dtypes, itemsize=self.itemsize, cache_bytes=cache, sizes=sizes)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One cut and the ratios to the whole model: below 1 is smaller or faster.

    Times are from the machine's profile when `predicted_from` says so, else decode is by bytes read and prefill by
    multiply-adds. `decode_ratio` is None for models without tokens. `state` is the axes' own: a sensitive one cannot
    be cut without changing more than its units.
    """

    what: str
    kind: str
    state: str
    parameters_ratio: float
    decode_ratio: float | None
    prefill_ratio: float
    predicted_from: str


@dataclass(frozen=True, kw_only=True)
class Costed:
    """The jobs that a model is costed for, and the profile to do it with, if there is one."""

    model: Model
    prefill: Job
    decode: Job | None
    profile: Profile | None

    def cut(self, what: str, kind: str, state: str, sizes: Mapping[str, int]) -> Cut:
        """The cut that leaves these sizes of axes."""
        layout = self.model.layout
        ratio = costs.parameters(layout, sizes) / max(costs.parameters(layout), 1)
        return self._compared(what, kind, state, ratio, self.model.shape(sizes))

    def dropped(self, path: str, count: int, of: int, state: str) -> Cut:
        """The cut that leaves out `count` blocks of a list."""
        layout = self.model.layout
        prefix = tuple(f"{path}.{k}." for k in range(count))
        gone = sum(
            prod(shape(p, layout.sizes))
            for n, p in layout.patterns.items()
            if n.startswith(prefix) and n not in layout.aliases and not costs.is_buffer(n)
        )
        total = max(costs.parameters(layout), 1)
        smaller = without_blocks(self.model.shape(), path, range(count), of)
        return self._compared(f"{count} of {of} blocks", "blocks", state, 1 - gone / total, smaller)

    def _compared(self, what: str, kind: str, state: str, parameters: float, after: Shape) -> Cut:
        before = self.model.shape()
        source = "this machine's profile" if self.profile else "bytes read and multiply-adds"
        ratios = [self._ratio(job, before, after) if job else None for job in (self.prefill, self.decode)]
        return Cut(
            what=what,
            kind=kind,
            state=state,
            parameters_ratio=parameters,
            decode_ratio=ratios[1],
            prefill_ratio=ratios[0] or 0.0,
            predicted_from=source,
        )

    def _ratio(self, job: Job, before: Shape, after: Shape) -> float:
        if self.profile:
            return predict(self.profile, after, job).seconds / predict(self.profile, before, job).seconds
        count = bytes_read if job.kind == "decode" else macs
        return count(after, job) / max(count(before, job), 1e-9)


def bytes_read(shape: Shape, job: Job) -> float:
    """Bytes that one step reads: weights that take part in it, and the cache, each once."""
    used = {p.tensor: p.bytes for p in shape.products if p.per_token}
    return sum(used.values()) + sum(shape.rest.values()) + shape.cache_bytes * job.context


def macs(shape: Shape, job: Job) -> float:
    """Multiply-adds of a job."""
    if job.kind == "decode":
        inside = sum(p.rows * p.inputs * p.outputs for p in shape.products if p.per_token)
        return inside + sum(s.macs * job.context ** (s.power - 1) for s in shape.scores if s.power)
    inside = sum(p.rows * p.inputs * p.outputs * (job.tokens if p.per_token else 1) for p in shape.products)
    return inside + sum(s.macs * job.tokens**s.power for s in shape.scores)


def all_cuts(costed: Costed) -> tuple[Cut, ...]:
    """Half of the units of each kind, and a quarter of the blocks; what gives most comes first."""
    layout, found = costed.model.layout, []
    kinds: dict[tuple[str, str], dict[str, int]] = {}
    lists = {b.axis for b in layout.blocks}
    for axis in layout.axes.values():
        half = max(axis.least, axis.size - axis.size // 2)
        if axis.state != "uncut" and axis.name not in lists and half < axis.size:
            kinds.setdefault((axis.kind, axis.state), {})[axis.name] = half
    for (kind, state), sizes in kinds.items():
        first = next(iter(sizes))
        left_out = layout.axes[first].size - sizes[first]
        same = len({(layout.axes[a].size, s) for a, s in sizes.items()}) == 1
        of = f"{left_out} of {layout.axes[first].size} {kind}" if same else f"half of the {kind}"
        per = " in each block" if same and len(sizes) > 1 else ""
        found.append(costed.cut(of + per, kind, state, sizes))
    for blocks in layout.blocks:
        if blocks.size > 1:
            state = layout.axes[blocks.axis].state if blocks.axis in layout.axes else "sensitive"
            found.append(costed.dropped(blocks.path, max(1, blocks.size // 4), blocks.size, state))
    pays = [c for c in found if min(c.prefill_ratio, c.decode_ratio or 1.0, c.parameters_ratio) < 0.9995]
    return tuple(sorted(pays, key=lambda c: c.prefill_ratio if c.decode_ratio is None else c.decode_ratio))


def _cache_share(layout: Layout, sizes: Mapping[str, int]) -> float:
    """What stays of the cache: keys and values follow the heads, values their own dimensions, keys theirs."""

    def kept(kind: str) -> float:
        axes = [a for a in layout.axes.values() if a.kind == kind]
        return sum(sizes.get(a.name, a.size) for a in axes) / sum(a.size for a in axes) if axes else 1.0

    shared = kept("head_dims") if any(a.kind == "head_dims" for a in layout.axes.values()) else 1.0
    return kept("heads") * (kept("value_dims") + shared) / 2
