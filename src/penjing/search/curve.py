"""What each size costs: a method's plans for several shares beside random choice, tried on held-out data as masks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from penjing.core import Plan
from penjing.core.progress import Progress, silent
from penjing.errors import PlanError, UnsupportedError
from penjing.planning.order import Order
from penjing.running.lending import Lender
from penjing.running.opened import Opened
from penjing.running.source import Source
from penjing.search.max_loss import HELD_OUT, Trial
from penjing.search.split import split
from penjing.surgery import verify

RANDOM = "random"
SHARED = ("axes", "protect", "multiple", "allow")
"""Settings that say what may be cut: random choice has them too."""


def size_curve(
    source: Source, order: Order, shares: Sequence[float], *, cache: Path, module: nn.Module | None = None,
    lender: Lender | None = None, progress: Progress = silent,
) -> dict[str, Any]:  # fmt: skip
    """For each share and both choices: parameters, and what the cut adds to the loss on rows held out from plans.

    Plain data for a report: `objective`, `dense` (the original's own), `parameters` of it, and `points`. What cannot be
    planned has a point with `why` in place of figures.

    Raises:
        PlanError: the method is `auto`, which has no plan of its own, or no share is between 0 and 1.
        DataError: the data does not serve.
    """
    check_shares(order.method, shares)
    parted = split(source, order, HELD_OUT, cache=cache, progress=progress)
    chance = {k: v for k, v in order.settings.items() if k in SHARED}
    ways = {order.method: order.settings, RANDOM: chance}
    points: list[dict[str, Any]] = []
    with Opened(source, cache=cache, module=module, lender=lender, progress=progress) as opened:
        running = opened.module()
        dense = 0.0
        for by, settings in ways.items():
            tried = replace(parted, order=replace(parted.order, method=by, settings=settings))
            trial = Trial(source, tried, cache, running, progress)
            dense = trial.unpruned
            points += [_point(source, trial, by, share, order.seed) for share in sorted(shares, reverse=True)]
    whole = verify(source.weights(), source.layout, Plan()).before.parameters
    return {
        "objective": parted.objective, "held out": dict(parted.told), "dense": dense, "parameters": float(whole),
        "points": points,
    }  # fmt: skip


def check_shares(method: str, shares: Sequence[float]) -> None:
    """See that a curve can be drawn, before any work.

    Raises:
        PlanError: the method is `auto`, which has no plan of its own, or a share is not between 0 and 1.
    """
    if shares and method == "auto":
        raise PlanError("found method 'auto' and a curve; name the method that the curve is to be of")
    if not all(0 < share < 1 for share in shares):
        raise PlanError(f"found shares {', '.join(map(str, shares))}; a curve is of shares between 0 and 1, as 0.9")


def _point(source: Source, trial: Trial, by: str, share: float, seed: int) -> dict[str, Any]:
    try:
        found = trial.attempt(share)
        if found.plan is None or found.figure is None:
            return {"by": by, "keep": share, "why": found.why}
        allowed = verify(source.weights(), source.layout, found.plan, allow_sensitive=True)
    except (UnsupportedError, PlanError) as error:
        return {"by": by, "keep": share, "why": str(error)}
    return {
        "by": by, "keep": share, "parameters": float(allowed.after.parameters), "added": found.figure,
        "low": found.more["low"], "high": found.more["high"],
    }  # fmt: skip
