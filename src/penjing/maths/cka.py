"""How alike two representations of the same samples are, whatever their width, rotation and scale.

Linear centred kernel alignment, from sums over samples, to which batches are added as they come; or of many
representations at once, from the tables of samples by samples where these are less work, some rows at a time.

Source: Kornblith et al., ICML 2019, arXiv:1905.00414 (feature form); the unbiased estimate: Song et al., JMLR 13
(2012), equation 5, used for CKA by Nguyen et al., ICLR 2021, arXiv:2010.15327.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from penjing.errors import DataError

ROWS = 128
"""Rows of the tables of samples by samples that are in memory together."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over samples of x [p] and y [q], all float64: what both estimates of their dependence need.

    `cross` is the sum of x yᵀ [p q]; `x_by_y` of x |y|² [p], `y_by_x` of y |x|² [q], `both` of |x|² |y|².
    """

    count: Tensor
    cross: Tensor
    x: Tensor
    y: Tensor
    x_squares: Tensor
    y_squares: Tensor
    x_by_y: Tensor
    y_by_x: Tensor
    both: Tensor

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both sets of samples together."""
        return Moments(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def moments(x: Tensor, y: Tensor) -> Moments:
    """The sums over the rows of `x` [samples p] and `y` [samples q].

    Taking the same constant row from all samples changes neither estimate, and a mean far from 0 costs digits: shift
    the samples to near their mean first.

    Raises:
        DataError: the two have not the same number of samples.
    """
    if len(x) != len(y):
        raise DataError(f"found {len(x)} samples of one and {len(y)} of the other; give both the same samples")
    x, y = x.double(), y.double()
    xx, yy = x.square().sum(1), y.square().sum(1)
    count = torch.tensor(float(len(x)), dtype=torch.float64)
    return Moments(count, x.T @ y, x.sum(0), y.sum(0), xx.sum(), yy.sum(), yy @ x, xx @ y, (xx * yy).sum())


def dependence(m: Moments, *, unbiased: bool = True) -> float:
    """The Hilbert-Schmidt independence criterion with linear kernels: 0 when no linear relation is there.

    Raises:
        DataError: too few samples: below 4 for the unbiased estimate, 2 for the plain one.
    """
    n, least = float(m.count), 4 if unbiased else 2
    if n < least:
        raise DataError(f"found {n:.0f} samples; this estimate needs at least {least}")
    if not unbiased:
        centred = m.cross - torch.outer(m.x, m.y) / n
        return float(centred.square().sum()) / (n - 1) ** 2
    trace = m.cross.square().sum() - m.both
    sums = (m.x.square().sum() - m.x_squares) * (m.y.square().sum() - m.y_squares)
    rows = m.x @ m.cross @ m.y - m.x @ m.x_by_y - m.y @ m.y_by_x + m.both
    return float(trace + sums / ((n - 1) * (n - 2)) - 2 * rows / (n - 2)) / (n * (n - 3))


def alignment(xy: Moments, xx: Moments, yy: Moments, *, unbiased: bool = True) -> float:
    """Linear CKA: 1 for the same up to rotation and scale, 0 for unrelated; the unbiased one may be a little below 0.

    NaN when one of the two does not vary.

    Raises:
        DataError: too few samples.
    """
    own = dependence(xx, unbiased=unbiased) * dependence(yy, unbiased=unbiased)
    return dependence(xy, unbiased=unbiased) / own**0.5 if own > 0 else float("nan")


def alignments(xs: Sequence[Tensor], ys: Sequence[Tensor], *, unbiased: bool = True) -> list[list[float]]:
    """[len(xs)][len(ys)]: linear CKA of every representation of one list with every one of the other.

    Each is [samples width], of the same samples. NaN where one of the two does not vary.

    Raises:
        DataError: the numbers of samples differ or are too few.
    """
    samples = {len(t) for t in (*xs, *ys)}
    if len(samples) > 1:
        raise DataError(f"found {', '.join(map(str, sorted(samples)))} samples; give all the same samples")
    n, every = samples.pop(), [t.shape[1] for t in (*xs, *ys)]
    by_sums = sum(a.shape[1] * b.shape[1] for a in xs for b in ys) + sum(w * w for w in every)
    between, own = (_by_tables if n * sum(every) <= by_sums else _by_sums)(xs, ys, unbiased)
    rows, columns = own[: len(xs)], own[len(xs) :]
    return [
        [b / (r * c) ** 0.5 if r > 0 and c > 0 else float("nan") for b, c in zip(line, columns, strict=True)]
        for line, r in zip(between, rows, strict=True)
    ]


def _by_sums(xs: Sequence[Tensor], ys: Sequence[Tensor], unbiased: bool) -> tuple[list[list[float]], list[float]]:
    """(the dependence of each pair, that of each on itself)."""
    between, own = [], []
    for x in xs:
        one = _centred(x)
        between.append([dependence(moments(one, _centred(y)), unbiased=unbiased) for y in ys])
    for t in (*xs, *ys):
        one = _centred(t)
        own.append(dependence(moments(one, one), unbiased=unbiased))
    return between, own


def _by_tables(xs: Sequence[Tensor], ys: Sequence[Tensor], unbiased: bool) -> tuple[list[list[float]], list[float]]:
    """The same from the tables of products of samples with samples, as the definitions have it."""
    n, many, all_ = len(xs[0]), len(xs), (*xs, *ys)
    least = 4 if unbiased else 2
    if n < least:
        raise DataError(f"found {n} samples; this estimate needs at least {least}")
    products = torch.zeros(many, len(ys), dtype=torch.float64)
    squares = torch.zeros(len(all_), dtype=torch.float64)
    sums = torch.zeros(len(all_), n, dtype=torch.float64)
    for start in range(0, n, ROWS):
        tables = torch.stack([_rows_of_table(t, start, unbiased) for t in all_])
        sums[:, start : start + ROWS] = tables.sum(2)
        flat = tables.flatten(1)
        products += flat[:many] @ flat[many:].T
        squares += flat.square().sum(1)
    if not unbiased:
        return (products / (n - 1) ** 2).tolist(), (squares / (n - 1) ** 2).tolist()
    totals = sums.sum(1)

    def estimate(traces: Tensor, whole: Tensor, rows: Tensor) -> Tensor:
        return (traces + whole / ((n - 1) * (n - 2)) - 2 / (n - 2) * rows) / (n * (n - 3))

    between = estimate(products, torch.outer(totals[:many], totals[many:]), sums[:many] @ sums[many:].T)
    return between.tolist(), estimate(squares, totals.square(), sums.square().sum(1)).tolist()


def _rows_of_table(states: Tensor, start: int, unbiased: bool) -> Tensor:
    """[rows samples]: products of some samples with all; of a sample with itself 0 where the estimate leaves it out."""
    whole = _centred(states)
    rows = whole[start : start + ROWS] @ whole.T
    if unbiased:
        rows.diagonal(start).zero_()
    return rows


def _centred(states: Tensor) -> Tensor:
    states = states.double()
    return states - states.mean(0)


def linear_cka(x: Tensor, y: Tensor, *, unbiased: bool = True) -> float:
    """Linear CKA of `x` [samples p] and `y` [samples q].

    Raises:
        DataError: the numbers of samples differ or are too few.
    """
    x, y = x.double() - x.double().mean(0), y.double() - y.double().mean(0)
    return alignment(moments(x, y), moments(x, x), moments(y, y), unbiased=unbiased)
