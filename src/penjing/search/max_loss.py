"""The smallest model whose loss on held-out data rises by no more than was allowed.

A method's plans for many shares are tried on the running model as their masks, on examples that no plan was made from.
Other than the loss that some methods bound themselves, this one is of data that they have not seen.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from penjing.calibrate import stored_names
from penjing.core import Budget, Plan
from penjing.core.progress import Progress, silent
from penjing.errors import BudgetError
from penjing.maths.student import mean_of
from penjing.planning.order import Order
from penjing.planning.plans import make_plan
from penjing.running.lending import Lender
from penjing.running.live import Running
from penjing.running.opened import Opened
from penjing.running.source import Source
from penjing.search.over_keep import Try, over_keep, uneven
from penjing.search.split import Split, split

HELD_OUT = 24
"""Rows of text that plans are tried on."""


def plan_within_loss(
    source: Source, order: Order, *, cache: Path, module: nn.Module | None = None, lender: Lender | None = None,
    progress: Progress = silent,
) -> Plan:  # fmt: skip
    """The plan of the smallest share whose held-out loss rises by at most the budget; `made["limit"]` tells all tries.

    Raises:
        BudgetError: no share that was tried holds the limit.
        DataError: the data does not serve.
    """
    limit = order.budget.limit
    parted = split(source, order, HELD_OUT, cache=cache, progress=progress)
    with Opened(source, cache=cache, module=module, lender=lender, progress=progress) as opened:
        tries = Trial(source, parted, cache, opened.module(), progress)
        found = over_keep(tries.attempt, limit, by="smallest")
    best = found[-1]
    if best.plan is None or not best.holds(limit):
        least = f"the least is {best.figure:.3g} at keep {best.keep:g}" if best.figure is not None else best.why
        raise BudgetError(
            f"no cut that was tried keeps the {_named(parted)} within {limit:g} ({least}); allow more, or protect parts"
        )
    told = {
        "unit": "loss", "most": limit, "objective": parted.objective, "held out": parted.told,
        "unpruned": tries.unpruned, "keep": best.keep, "tried": [t.to_json() for t in _in_order(found)],
    }  # fmt: skip
    made = {**best.plan.made, "budget": {"loss": limit}, "limit": told}
    return Plan(best.plan.edits, made | {"notes": [*best.plan.made.get("notes", ()), *_notes(found, limit, parted)]})


class Trial:
    """The running model, and what is tried on it."""

    def __init__(self, source: Source, parted: Split, cache: Path, module: nn.Module, progress: Progress) -> None:
        self._source, self._parted, self._cache = source, parted, cache
        self._module, self._progress = module, progress
        names = stored_names(module, source.weights().shapes)
        self._live = Running(module, list(parted.batches), source.layout, names=names)
        self._dense = self._live.values(Plan(), objective=parted.objective).double()
        self.unpruned = float(self._dense.mean())

    def attempt(self, keep: float) -> Try:
        """What keeping a share adds, the mean over the held-out examples, with its 95 % interval."""
        order = replace(self._parted.order, budget=Budget(keep=keep))
        try:
            plan = make_plan(
                self._source, order, cache=self._cache, module=self._module, progress=self._progress
            )
        except BudgetError as error:
            return Try(keep=keep, why=str(error))
        self._progress(f"trying keep {keep:g}", 0, 0)
        added = mean_of(self._live.values(plan, objective=self._parted.objective).double() - self._dense)
        more: dict[str, Any] = {"low": added.low, "high": added.high}
        return Try(keep=keep, plan=plan, figure=added.value, more=more)


def _in_order(tries: list[Try]) -> list[Try]:
    return sorted(tries, key=lambda t: -t.keep)


def _named(parted: Split) -> str:
    return "held-out loss" if parted.objective == "loss" else f"{parted.objective} from the original"


def _notes(tries: list[Try], limit: float, parted: Split) -> list[str]:
    """What was found, for people; and what speaks against it."""
    best, name = tries[-1], _named(parted)
    out = [
        f"keep {best.keep:g} is the smallest of {len(tries)} shares tried whose {name} rises by at most {limit:g}: it "
        f"rises by {best.figure:.3g} (95 % {best.more['low']:.3g} to {best.more['high']:.3g})"
    ]
    if best.more["high"] > limit:
        out.append(f"on other examples the {name} may rise by more than {limit:g}: the interval reaches beyond it")
    if (pair := uneven(tries, rising=False)) is not None:
        larger, smaller = pair
        out.append(
            f"the {name} does not rise evenly: keep {larger.keep:g} adds {larger.figure:.3g} and keep {smaller.keep:g} "
            f"{smaller.figure:.3g}; a share between those tried may do better"
        )
    return out
