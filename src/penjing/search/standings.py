"""Losses of several plans on the same examples: who is best, how sure, and who is no worse than the best.

Intervals and p are Student's t of the paired differences. Which plan is best is read off the same examples, so a p
against the best is corrected over all pairs of plans, not only over those with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor

from penjing.errors import DataError
from penjing.maths.holm import holm
from penjing.maths.student import Mean, mean_of

ALPHA = 0.05
Verdict = Literal["best", "tie", "worse"]
Against = Literal["better than random", "tie with random", "worse than random"]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one candidate did. Losses are in nats, lower is better.

    `increase` is its loss less that of the unpruned model; `behind` its loss less the best one's and `over` its loss
    less random choice's (the mean over its seeds), each [value, low, high] with a 95 % interval over the examples,
    and their p after Holm's correction (over all pairs of candidates; over the candidates). `verdict` is `tie` where
    `behind` is not clear, `against` is clear only if the loss also lies on one side of every random seed's. `seconds`
    is what running it took.
    """

    name: str
    loss: float
    increase: tuple[float, float, float]
    behind: tuple[float, float, float] | None = None
    behind_p: float | None = None
    over: tuple[float, float, float] | None = None
    over_p: float | None = None
    verdict: Verdict = "best"
    against: Against | None = None
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def standings(
    losses: Mapping[str, Tensor],
    dense: Tensor,
    random: Sequence[Tensor],
    *,
    seconds: Mapping[str, float],
) -> list[Standing]:
    """The candidates, best first; ties at the top are in the order of their losses, which then means little.

    `losses` are each candidate's, [examples]; `dense` the unpruned model's and `random` those of each seed of random
    choice at the same size, on the same examples.

    Raises:
        DataError: there are no candidates, fewer than two examples, or a loss is not finite.
    """
    _check(losses, dense, random)
    order = sorted(losses, key=lambda name: float(losses[name].double().mean()))
    first, baseline = order[0], torch.stack([r.double() for r in random]).mean(0) if random else None
    behind_p = _against_the_best(losses, first)
    over = {} if baseline is None else {n: mean_of(losses[n].double() - baseline) for n in order}
    over_p = dict(zip(over, holm([o.p for o in over.values()]), strict=True))
    means = [float(r.double().mean()) for r in random]
    return [
        Standing(
            name=n,
            loss=float(losses[n].double().mean()),
            increase=_told(mean_of(losses[n].double() - dense.double())),
            behind=_told(mean_of(losses[n].double() - losses[first].double())) if n != first else None,
            behind_p=behind_p.get(n),
            over=_told(over[n]) if n in over else None,
            over_p=over_p.get(n),
            verdict="best" if n == first else "worse" if behind_p[n] < ALPHA else "tie",
            against=_against(float(losses[n].double().mean()), over_p[n], means) if n in over else None,
            seconds=seconds.get(n, 0.0),
        )
        for n in order
    ]


def _check(losses: Mapping[str, Tensor], dense: Tensor, random: Sequence[Tensor]) -> None:
    if not losses:
        raise DataError("no candidate was tried, so there is none to choose; name other candidates or allow more time")
    if len(dense) < 2:
        raise DataError(f"found {len(dense)} held-out examples, and an interval needs 2 or more; give more data")
    for name, found in [*losses.items(), ("the unpruned model", dense), *(("random", r) for r in random)]:
        if not bool(found.isfinite().all()):
            raise DataError(f"the loss of {name} is not finite; check the weights and the data for NaN")


def _against_the_best(losses: Mapping[str, Tensor], best: str) -> dict[str, float]:
    """Candidate -> p of being no worse than the best one."""
    pairs = list(combinations(losses, 2))
    corrected = holm([mean_of(losses[a].double() - losses[b].double()).p for a, b in pairs])
    return {a if b == best else b: p for (a, b), p in zip(pairs, corrected, strict=True) if best in (a, b)}


def _told(found: Mean) -> tuple[float, float, float]:
    return (found.value, found.low, found.high)


def _against(loss: float, p: float, random: Sequence[float]) -> Against:
    if p < ALPHA and loss < min(random):
        return "better than random"
    if p < ALPHA and loss > max(random):
        return "worse than random"
    return "tie with random"
