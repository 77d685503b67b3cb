"""Turn the residual stream to its principal axes and cut those that carry least: every matrix becomes smaller.

The gains of all norms over the stream are folded into their readers, so that a rotation of the stream leaves the
function alone (`Rotate`). Of each norm's output, gain and bias taken off, the second moment is measured; its mean over
the norms gives the axes, and the weakest go. Embedding, head and every matrix of a block lose rows or columns; heads,
MLP widths and the cache stay as they are.

Source: Ashkboos et al., ICLR 2024, arXiv:2401.15024, sections 3.1 to 3.4; the damping, the random last turn and the
rounding to 8 as microsoft/TransformerCompression has them. Deviations: one rotation for the whole stream, where the
paper has one for each residual branch and puts a matrix between every two of them, so that the result opens with the
stock classes and no product is added (it loses more, and it truly becomes smaller by what is cut); the moments are of
the original model, not of one that is sliced up to there; they are of what the norms give, so that every place counts
alike, and no token that is a thousand times longer than others takes an axis for itself; the last block's output is cut
as well.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import floor, lcm, prod

import torch
from torch import Tensor

from penjing.core import Axis, Budget, Card, Checkpoint, Layout, Norm, Plan, Rotate, Stats, View, Wants
from penjing.core.pattern import Leaf
from penjing.errors import BudgetError, UnsupportedError
from penjing.maths.pca import mean_keeping, principal_axes, random_orthogonal
from penjing.select.axes import choose
from penjing.select.uniform import cost

MOMENT, MEAN = "input_second_moment", "input_mean"
LIKED = 8

CARD = Card(
    title="SliceGPT, one rotation",
    paper="arXiv:2401.15024",
    removes="the weakest principal axes of the residual stream",
    promise="approximates",
    needs=frozenset({MOMENT}),
)


def moment(taken: Tensor, gain: Tensor, bias: Tensor, mean: Tensor) -> Tensor:
    """[n n]: the second moment of a norm before its gain and bias, from that of what its readers take in.

    `taken` [n n] is of y = gain * z + bias, `mean` [n] that of y. A unit whose gain is (nearly) zero is seen by nobody,
    and is zero here.
    """
    lost = torch.outer(mean, bias)
    plain = taken - lost - lost.T + torch.outer(bias, bias)
    seen = gain.abs() > 1e-4 * gain.abs().mean()
    back = torch.where(seen, 1 / torch.where(seen, gain, 1.0), 0.0)
    return plain * torch.outer(back, back)


def basis(moments: Iterable[Tensor], kept: int, *, layer: bool, damping: float, turn: torch.Generator | None) -> Tensor:
    """[n kept] float32: the strongest axes of the mean of second moments [n n].

    `layer` keeps the direction of the mean, which a layer norm takes off. With `turn`, the kept axes are turned among
    themselves by a random rotation, which changes nothing but spreads large values over all of them.
    """
    every = list(moments)
    out = principal_axes(sum(every[1:], start=every[0].double()) / len(every), damping)[:, :kept]
    out = mean_keeping(out) if layer else out
    if turn is not None:
        last = random_orthogonal(kept, turn)
        out = out @ (mean_keeping(last) if layer else last)
    return out.float()


@dataclass(frozen=True, kw_only=True)
class Method:
    """Keep the strongest principal axes of the residual stream.

    `axes` and `protect` are globs of the residual axes to cut. `multiple` is what the width is rounded down to
    (None: multiples of 8 that the heads divide as well, which stock code asks for); `damping` is added to the moment's
    diagonal, as a share of its mean; `spread` turns what is kept by a random rotation. `allow` names further states of
    axes that may be cut ("sensitive"): streams whose norms are not root-mean-square ones.
    """

    axes: str = "residual*"
    protect: tuple[str, ...] = ()
    multiple: int | None = None
    damping: float = 0.01
    spread: bool = True
    allow: tuple[str, ...] = ()

    def wants(self, layout: Layout) -> Wants:
        """The second moment of what a reader of each norm takes in, and its mean where the norm has a bias."""
        wanted: dict[str, frozenset[str]] = {}
        for axis in self._streams(layout):
            for norm, reader in _read(layout, axis):
                wanted[reader] = wanted.get(reader, frozenset()) | {MOMENT} | ({MEAN} if norm.bias else set())
        return Wants(wanted)

    def plan(self, view: View) -> Plan:
        """One rotation a stream, of fewer columns than units, and in `made` how much of the energy stays."""
        edits, kept, notes = list[Rotate](), dict[str, dict[str, float]](), list[str]()
        streams = self._streams(view.layout)
        widths = _widths(view.layout, streams, view.budget, view.model, self.multiple)
        generator = torch.Generator().manual_seed(view.seed) if self.spread else None
        for axis in streams:
            read = _read(view.layout, axis)
            moments = [_moment(view.model, view.stats, norm, reader) for norm, reader in read]
            layer = any(n.kind == "layer" for n, _ in read)
            found = basis(moments, widths[axis.name], layer=layer, damping=self.damping, turn=generator)
            whole = sum(moments[1:], start=moments[0].double())
            stays = float(((found.double().T @ whole) * found.double().T).sum() / whole.trace())
            kept[axis.name] = {"units": widths[axis.name], "energy": float(f"{stays:.6g}")}
            edits.append(Rotate(axis.name, found))
            if missed := [n.module for n in view.layout.norms if n.axis == axis.name and n not in [r for r, _ in read]]:
                notes.append(f"{axis.name}: not measured behind {', '.join(missed)}, which no plain matrix reads")
        made = {"method": "slicegpt", "settings": asdict(self), "budget": str(view.budget), "kept": kept}
        return Plan(tuple(edits), made={**made, "samples": view.stats.samples, "notes": notes})

    def _streams(self, layout: Layout) -> list[Axis]:
        """The axes that can be rotated, have norms whose output can be measured, and may be cut.

        Raises:
            UnsupportedError: there is none, with the reason.
        """
        named = choose(layout, self.axes, protect=self.protect, allow=("sensitive", *self.allow))
        able = [a for a in named if a.rotates and _read(layout, a)]
        if not able:
            why = "; ".join(
                f"{a.name}: {'it meets ' + a.rigid if a.rigid else 'no norm over it is read by a plain matrix'}"
                for a in named
            )
            raise UnsupportedError(f"no stream of this model can be rotated ({why}); take units away instead")
        return able


def _read(layout: Layout, axis: Axis) -> list[tuple[Norm, str]]:
    """Each norm over the axis with one of the matrices that read it, whose inputs are the norm's output and no more."""
    out: list[tuple[Norm, str]] = []
    for norm in layout.norms:
        if norm.axis != axis.name:
            continue
        plain = (layout.aliases.get(r, r) for r in norm.readers)
        reader = next((r for r in plain if _plain(layout, r, axis)), None)
        if reader is not None:
            out.append((norm, reader))
    return out


def _plain(layout: Layout, tensor: str, axis: Axis) -> bool:
    """Whether a tensor is a matrix that sums over the axis, and the axis fills that dimension alone."""
    pattern = layout.patterns.get(tensor, ())
    summed = [pattern[d].parts for d in layout.reads.get(tensor, ()) if d < len(pattern)]
    return len(pattern) == 2 and any(
        len(parts) == 1 and isinstance(parts[0], Leaf) and parts[0].name == axis.name for parts in summed
    )


def _moment(model: Checkpoint, stats: Stats, norm: Norm, reader: str) -> Tensor:
    taken = stats[reader, MOMENT].double()
    size = len(taken)
    gain = model[norm.weight].double() + norm.offset if norm.weight else torch.ones(size, dtype=torch.float64)
    none = torch.zeros(size, dtype=torch.float64)
    bias = model[norm.bias].double() if norm.bias else none
    mean = stats[reader, MEAN].double() if norm.bias else none
    return moment(taken, gain, bias, mean)


def rounding(layout: Layout, axis: Axis) -> int:
    """What an axis is rounded to: 8, and the number of attention heads, where the axis has room for both.

    The stock code of many models takes only a width that its heads divide, though each head has a width of its own.
    """
    queries = {a.name.partition(".")[2]: a.size for a in layout.axes.values() if a.kind == "queries"}
    every = [a.size * queries.get(a.name.partition(".")[2], 1) for a in layout.axes.values() if a.kind == "heads"]
    heads = lcm(*{h for h in every if axis.size % h == 0})
    both = lcm(LIKED, heads)
    return both if both <= axis.size // LIKED else heads


def _widths(
    layout: Layout, streams: list[Axis], budget: Budget, model: Checkpoint, multiple: int | None
) -> dict[str, int]:
    """Axis -> its width: the largest share of each that the budget allows, rounded down.

    Raises:
        BudgetError: nothing is left, the limit cannot be met, or the result would be no smaller.
    """
    apart = _apart(layout, model, streams)
    stored = _apart(layout, model, streams, in_bytes=True)
    steps = {a.name: multiple or rounding(layout, a) for a in streams}

    def at(share: float) -> dict[str, int]:
        return {a.name: _down(share * a.size, steps[a.name]) if share < 1 else a.size for a in streams}

    def takes(counts: dict[str, int]) -> float:
        each = {"parameters": apart, "bytes": stored}.get(budget.unit, {})
        return cost(layout, counts, budget, model) + sum(each.get(n, 0.0) * m for n, m in counts.items())

    if budget.keep is not None:
        found = at(budget.keep)
    else:
        shares = [i / 1000 for i in range(1000, 0, -1)]
        found = next((c for s in shares if takes(c := at(s)) <= budget.limit and all(c.values())), {})
    if not found or not all(found.values()):
        sizes = ", ".join(f"{a.name} of {a.size} in multiples of {steps[a.name]}" for a in streams)
        raise BudgetError(f"{budget} leaves nothing of {sizes}; allow more")
    _refuse_growth(layout, model, streams, found, apart)
    return found


def _down(size: float, step: int) -> int:
    return floor(size) // step * step


def _apart(layout: Layout, model: Checkpoint, streams: list[Axis], *, in_bytes: bool = False) -> dict[str, float]:
    """Axis -> numbers (or bytes) that are stored once more for each of its units.

    A tied embedding cannot take the last norm's gain, which the head takes: both are stored.
    """
    out: dict[str, float] = {}
    for axis in streams:
        twice = [layout.aliases.get(r, r) for n in layout.norms if n.axis == axis.name for r in n.shared]
        sizes = [prod(model.shapes[t]) * (model.dtypes[t].itemsize if in_bytes else 1) for t in twice]
        out[axis.name] = sum(sizes) / axis.size
    return out


def _refuse_growth(
    layout: Layout, model: Checkpoint, streams: list[Axis], found: dict[str, int], apart: dict[str, float]
) -> None:
    if all(found[a.name] == a.size for a in streams):
        return
    budget = Budget(parameters=1)
    before = cost(layout, {}, budget, model)
    more = sum(apart[n] * m for n, m in found.items())
    after = cost(layout, found, budget, model) + more
    if after >= before:
        raise BudgetError(
            f"the result would have {after:,.0f} parameters, and the model has {before:,.0f}: {more:,.0f} are those of "
            "the tied embedding, which has to be stored apart from the head; keep less, or take neurons away instead"
        )
