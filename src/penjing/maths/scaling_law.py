"""The loss as `E + A / N^a + B / D^b`, fitted to runs: N parameters (on average over training), D examples.

Source: Hoffmann et al., "Training Compute-Optimal Large Language Models", arXiv:2203.15556, section D.2 (Huber loss of
log residuals with delta 1e-3, log-sum-exp, L-BFGS from many starts); Jin et al., arXiv:2501.12486: the same with the
average count in place of the final one. The interval is ours: the fit repeated on runs drawn with replacement.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from penjing.errors import DataError

DELTA = 1e-3
NAMES = ("E", "A", "alpha", "B", "beta")


@dataclass(frozen=True, kw_only=True)
class Law:
    """`E + A / N^alpha + B / D^beta`; without `B` there is no term of D."""

    E: float
    A: float
    alpha: float
    B: float = 0.0
    beta: float = 0.0

    def __call__(self, parameters: Tensor, examples: Tensor) -> Tensor:
        """[runs]: the loss that is foretold."""
        found = self.E + self.A * parameters.double() ** -self.alpha
        return found + self.B * examples.double() ** -self.beta if self.B else found


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A law, the share of the variance that it explains, and its mean relative errors: of the runs, and `left_out`.

    That is of each run by the law of the others, `each` of them for itself. `intervals` are of its constants, 95 %.
    """

    law: Law
    explained: float
    error: float
    left_out: float
    each: tuple[float, ...]
    intervals: dict[str, tuple[float, float]]


def fit_law(parameters: Tensor, examples: Tensor, losses: Tensor, *, seed: int = 0, draws: int = 40) -> Fit:
    """The law of runs [runs]; where all have seen as many examples, the term of D is left out.

    Raises:
        DataError: fewer runs than constants and one, or a value is not above 0.
    """
    n, d, y = parameters.double(), examples.double(), losses.double()
    needed = 1 + (3 if bool((d == d[0]).all()) else 5)
    if not len(n) == len(d) == len(y) or len(n) < needed:
        raise DataError(
            f"found {len(n)} runs; the law needs {needed} or more, with parameters, examples and loss of each"
        )
    if min(float(n.min()), float(d.min()), float(y.min())) <= 0:
        raise DataError("a parameter count, a number of examples or a loss is not above 0; give those of real runs")
    law, best = _solve(n, d, y, None)
    told = law(n, d)
    gone = float(((told - y) / y).abs().mean())
    explained = 1 - float((told - y).square().sum() / (y - y.mean()).square().sum().clamp_min(1e-300))
    out = []
    for i in range(len(n)):
        rest = torch.arange(len(n)) != i
        other, _ = _solve(n[rest], d[rest], y[rest], best)
        out.append(float(((other(n[i : i + 1], d[i : i + 1]) - y[i]) / y[i]).abs()))
    return Fit(
        law=law, explained=explained, error=gone, left_out=sum(out) / len(out), each=tuple(out),
        intervals=_intervals(n, d, y, best, seed, draws),
    )  # fmt: skip


def _intervals(n: Tensor, d: Tensor, y: Tensor, best: Any, seed: int, draws: int) -> dict[str, tuple[float, float]]:
    generator, found = torch.Generator().manual_seed(seed), []
    for _ in range(draws):
        picks = torch.randint(len(n), (len(n),), generator=generator)
        law, _ = _solve(n[picks], d[picks], y[picks], best)
        found.append([getattr(law, name) for name in NAMES])
    ordered = torch.tensor(found, dtype=torch.float64).sort(0).values
    low, high = ordered[int(0.025 * draws)], ordered[min(draws - 1, -int(-0.975 * draws // 1))]
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(NAMES)}


def _solve(n: Tensor, d: Tensor, y: Tensor, start: Any) -> tuple[Law, Any]:
    """(the law, where the search ended); from every start, or from one that is known to be near."""
    from scipy.optimize import minimize

    alone = bool((d == d[0]).all())
    # Around the middle of the runs: constants there are of the size of the losses, and exponents do not move them.
    middle_n, middle_d = n.log().mean(), d.log().mean()
    value = _objective(n.log() - middle_n, d.log() - middle_d, y.log(), alone)
    grid = [start] if start is not None else _grid(y, alone)
    found = min((minimize(value, s, jac=True, method="L-BFGS-B") for s in grid), key=lambda r: r.fun)
    a, alpha, e, *more = torch.as_tensor(found.x, dtype=torch.float64)
    law = Law(E=float(e.exp()), A=float((a + alpha * middle_n).exp()), alpha=float(alpha))
    if more:
        b, beta = more
        law = Law(E=law.E, A=law.A, alpha=law.alpha, B=float((b + beta * middle_d).exp()), beta=float(beta))
    return law, found.x


def _grid(y: Tensor, alone: bool) -> list[list[float]]:
    low, high = float(y.min().log()), float(y.max().log())
    parts, bottoms, slopes = (low - 3, low - 1, high - 1), (low - 3, low - 0.7, low - 0.1), (0.1, 0.4, 1.0)
    if alone:
        return [list(s) for s in product(parts, slopes, bottoms)]
    return [[a, s, e, b, t] for a, s, e, b, t in product(parts[:2], slopes, bottoms[1:], parts[:2], slopes)]


def _objective(n: Tensor, d: Tensor, y: Tensor, alone: bool) -> Callable[[Any], tuple[float, Any]]:
    """Takes the constants to (the summed Huber loss of log residuals, its gradient)."""

    @torch.no_grad()
    def value(constants: Any) -> tuple[float, Any]:
        given = torch.as_tensor(constants, dtype=torch.float64)
        terms = [given[0] - given[1] * n, given[2].expand_as(n)]
        if not alone:
            terms.append(given[3] - given[4] * d)
        shares, gap = torch.stack(terms).softmax(0), torch.stack(terms).logsumexp(0) - y
        near = gap.abs() <= DELTA
        loss = torch.where(near, gap.square() / (2 * DELTA), gap.abs() - DELTA / 2).sum()
        slope = (gap / DELTA).clamp(-1, 1) * shares
        found = [slope[0].sum(), -(slope[0] * n).sum(), slope[1].sum()]
        if not alone:
            found += [slope[2].sum(), -(slope[2] * d).sum()]
        return float(loss), torch.stack(found).numpy()

    return value
