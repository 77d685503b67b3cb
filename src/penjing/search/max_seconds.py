"""The largest model whose time is predicted to stay within a limit, from curves measured on this machine.

The time is that of generating one token where the model does that, else of reading a prompt or an image. A machine that
was never calibrated is timed first. What is predicted is to be checked by measuring: the plan says by which figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from penjing.core import Budget, Plan
from penjing.core.progress import Progress, silent
from penjing.errors import BudgetError, PlanError
from penjing.evaluate.costs import generates, main_dtype
from penjing.planning.order import Order
from penjing.planning.plans import make_plan
from penjing.profiling import roofline
from penjing.profiling.roofline import Job, Profile, describe, predict, without_blocks
from penjing.profiling.speed.settings import JOBS, Speed
from penjing.running.lending import Lender
from penjing.running.source import Source
from penjing.search.over_keep import Try, over_keep, uneven
from penjing.surgery import Verified, verify


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a time is of: the device, the dtype that models run in (None: as stored), and threads (None: all cores)."""

    device: str = "cpu"
    dtype: str | None = None
    threads: int | None = None


def plan_within_seconds(
    source: Source, order: Order, machine: Machine | None = None, *, cache: Path, module: nn.Module | None = None,
    lender: Lender | None = None, progress: Progress = silent,
) -> Plan:  # fmt: skip
    """The plan of the largest share whose predicted time is at most the budget; `made["limit"]` tells all tries.

    Raises:
        BudgetError: times are not predicted on this device, the model is within the limit as it is, or no share is.
    """
    limit, machine = order.budget.limit, machine or Machine()
    profile = _profile(source, machine, progress)
    clock = _Clock(source, profile, order)
    whole = clock.whole()
    if whole <= limit:
        raise BudgetError(f"the model is predicted to take {whole:.3g} s as it is, within {limit:g}; nothing to cut")

    def attempt(keep: float) -> Try:
        wanted = replace(order, budget=Budget(keep=keep))
        try:
            plan = make_plan(source, wanted, cache=cache, module=module, lender=lender, progress=progress)
            return Try(keep=keep, plan=plan, figure=clock.seconds(plan))
        except (BudgetError, PlanError) as error:
            return Try(keep=keep, why=str(error))

    found = over_keep(attempt, limit, by="largest")
    best = found[-1]
    if best.plan is None or best.figure is None or best.figure > limit:
        least = f"keep {best.keep:g} is predicted to take {best.figure:.3g}" if best.figure is not None else best.why
        raise BudgetError(
            f"no cut that was tried comes to {limit:g} s ({least}; the whole model takes {whole:.3g}); allow more, or "
            "name more axes"
        )
    told = {
        "unit": "seconds", "most": limit, "figure": JOBS[clock.job.kind], "predicted": best.figure,
        "unpruned": whole, "machine": profile.summary(), "keep": best.keep,
        "tried": [t.to_json() for t in sorted(found, key=lambda t: -t.keep)],
    }  # fmt: skip
    made = {**best.plan.made, "budget": {"seconds": limit}, "limit": told}
    return Plan(best.plan.edits, made | {"notes": [*best.plan.made.get("notes", ()), *_notes(found, told)]})


def _profile(source: Source, machine: Machine, progress: Progress) -> Profile:
    """What this machine is known to do, measured now if it is not known."""
    if machine.device != "cpu":
        raise BudgetError(
            f"found a limit of seconds and the device {machine.device}, and times are predicted for processors only; "
            "name a size instead, and let the time be measured"
        )
    dtype = machine.dtype or str(main_dtype(source.weights().dtypes)).removeprefix("torch.")
    found = roofline.find(threads=machine.threads, dtype=dtype)
    if found is not None:
        return found
    what = "calibrating this machine"
    return roofline.calibrate(
        threads=machine.threads, dtype=dtype, progress=lambda done, total: progress(what, done, total)
    )


class _Clock:
    """What a plan's result is predicted to take."""

    def __init__(self, source: Source, profile: Profile, order: Order) -> None:
        self._source, self._profile, self._stored = source, profile, order.stored
        self._allow = "sensitive" in (order.settings.get("allow") or ())
        self._itemsize = getattr(torch, profile.dtype).itemsize
        speed, layout = Speed(), source.layout
        tokens = any(w.tokens for w in layout.work)
        writes = tokens and generates(source.config)
        self.job = (
            Job(kind="decode", context=speed.context + speed.steps // 2)
            if writes
            else Job(kind="prefill", tokens=speed.tokens)
        )

    def whole(self) -> float:
        """Seconds of the model as it is."""
        return self._of(self._verified(Plan()))

    def seconds(self, plan: Plan) -> float:
        """Seconds of the result of a plan.

        Raises:
            PlanError: it cannot be carried out.
        """
        return self._of(self._verified(plan))

    def _verified(self, plan: Plan) -> Verified:
        return verify(
            self._source.weights(), self._source.layout, plan, allow_sensitive=self._allow, dtype=self._stored
        )

    def _of(self, found: Verified) -> float:
        layout = self._source.layout
        stored = main_dtype(found.dtypes).itemsize
        cache = (found.after.kv_cache_bytes_per_token or 0) * self._itemsize / stored
        sizes: Mapping[str, int] = {a: n for a, n in found.sizes.items() if a in layout.axes}
        shape = describe(layout, itemsize=self._itemsize, cache_bytes=cache, sizes=sizes)
        for blocks in layout.blocks:
            kept = found.blocks.get(blocks.axis)
            if kept is not None and len(kept) < blocks.size:
                gone = set(range(blocks.size)) - set(kept)
                # the cache was counted of what is left already
                shape = replace(without_blocks(shape, blocks.path, gone, blocks.size), cache_bytes=cache)
        return predict(self._profile, shape, self.job).seconds


def _notes(tries: list[Try], told: Mapping[str, Any]) -> list[str]:
    best = tries[-1]
    out = [
        f"keep {best.keep:g} is the largest of {len(tries)} shares tried that is predicted to stay within "
        f"{told['most']:g} s ({told['figure']}): {best.figure:.3g} s, and {told['unpruned']:.3g} s for the whole "
        f"model; from the curves of {told['machine']}"
    ]
    if (pair := uneven(tries, rising=True)) is not None:
        larger, smaller = pair
        out.append(
            f"time does not fall evenly with size: keep {larger.keep:g} is predicted to take {larger.figure:.3g} s and "
            f"keep {smaller.keep:g} {smaller.figure:.3g} s; a share between those tried may be larger and in time"
        )
    return out
