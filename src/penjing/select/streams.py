"""The residual streams that can be rotated: their principal axes, how wide they end, and what that costs.

Source: Ashkboos et al., "SliceGPT", arXiv:2401.15024, sections 3.2 and 3.3; the damping and the rounding to 8 as
microsoft/TransformerCompression has them.
"""

from collections.abc import Iterable
from math import floor, lcm, prod

import torch
from torch import Tensor

from penjing.core import Axis, Budget, Checkpoint, Layout, Norm, Stats
from penjing.core.pattern import Leaf
from penjing.errors import BudgetError, UnsupportedError
from penjing.maths.pca import mean_keeping, principal_axes, random_orthogonal
from penjing.select.axes import choose
from penjing.select.uniform import cost

LIKED = 8


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


def drawn(size: int, kept: int, *, layer: bool, turn: torch.Generator) -> Tensor:
    """[size kept] float32: axes at random, the control of principal ones."""
    out = random_orthogonal(size, turn)[:, :kept]
    return (mean_keeping(out) if layer else out).float()


def streams_of(
    layout: Layout, axes: str, *, protect: tuple[str, ...] = (), allow: tuple[str, ...] = ()
) -> list[Axis]:
    """The axes that can be rotated, have norms whose output can be measured, and may be cut.

    Raises:
        UnsupportedError: there is none, with the reason.
    """
    named = choose(layout, axes, protect=protect, allow=("sensitive", *allow))
    able = [a for a in named if a.rotates and read_of(layout, a)]
    if not able:
        why = "; ".join(
            f"{a.name}: {'it meets ' + a.rigid if a.rigid else 'no norm over it is read by a plain matrix'}"
            for a in named
        )
        raise UnsupportedError(f"no stream of this model can be rotated ({why}); take units away instead")
    return able


def wanted(layout: Layout, streams: list[Axis], names: tuple[str, str]) -> dict[str, frozenset[str]]:
    """The second moment of what a reader of each norm takes in, and its mean where the norm has a bias, by `names`."""
    out: dict[str, frozenset[str]] = {}
    for axis in streams:
        for norm, reader in read_of(layout, axis):
            out[reader] = out.get(reader, frozenset()) | {names[0]} | ({names[1]} if norm.bias else set())
    return out


def energy(found: Tensor, moments: list[Tensor]) -> float:
    """The share of the energy of second moments [n n] that lies in the span of a basis [n kept], 0 to 1."""
    whole = sum(moments[1:], start=moments[0].double())
    stays = float(((found.double().T @ whole) * found.double().T).sum() / whole.trace())
    return float(f"{stays:.6g}")


def read_of(layout: Layout, axis: Axis) -> list[tuple[Norm, str]]:
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


def moment_of(model: Checkpoint, stats: Stats, norm: Norm, reader: str, names: tuple[str, str]) -> Tensor:
    """[n n]: the second moment of what a norm gives before gain and bias, by a reader's statistics of these `names`."""
    taken = stats[reader, names[0]].double()
    size = len(taken)
    gain = model[norm.weight].double() + norm.offset if norm.weight else torch.ones(size, dtype=torch.float64)
    none = torch.zeros(size, dtype=torch.float64)
    bias = model[norm.bias].double() if norm.bias else none
    mean = stats[reader, names[1]].double() if norm.bias else none
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


def widths(
    layout: Layout, streams: list[Axis], budget: Budget, model: Checkpoint, multiple: int | None, bridges: int = 0
) -> dict[str, int]:
    """Axis -> its width: the largest share of each that the budget allows, rounded down.

    `bridges` are square matrices of each width that come in, in the model's first dtype.

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
        numbers = sum(bridges * m * m for m in counts.values())
        square = numbers * (next(iter(model.dtypes.values())).itemsize if budget.unit == "bytes" else 1)
        return cost(layout, counts, budget, model) + sum(each.get(n, 0.0) * m for n, m in counts.items()) + square

    if budget.keep is not None:
        found = at(budget.keep)
    else:
        shares = [i / 1000 for i in range(1000, 0, -1)]
        found = next((c for s in shares if takes(c := at(s)) <= budget.limit and all(c.values())), {})
    if not found or not all(found.values()):
        sizes = ", ".join(f"{a.name} of {a.size} in multiples of {steps[a.name]}" for a in streams)
        raise BudgetError(f"{budget} leaves nothing of {sizes}; allow more")
    _refuse_growth(layout, model, found, apart, bridges)
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
    layout: Layout, model: Checkpoint, found: dict[str, int], apart: dict[str, float], bridges: int
) -> None:
    if all(found[n] == layout.axes[n].size for n in found):
        return
    budget = Budget(parameters=1)
    before = cost(layout, {}, budget, model)
    twice, square = sum(apart[n] * m for n, m in found.items()), sum(bridges * m * m for m in found.values())
    after = cost(layout, found, budget, model) + twice + square
    if after < before:
        return
    why = [f"{twice:,.0f} are those of the tied embedding, which has to be stored apart from the head"] if twice else []
    why += [f"{square:,.0f} are those of {bridges} matrices between blocks"] if square else []
    raise BudgetError(
        f"the result would have {after:,.0f} parameters, and the model has {before:,.0f}: {' and '.join(why)}; keep "
        "less, or take neurons away instead"
    )
