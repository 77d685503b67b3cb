"""Method `auto` under a limit of loss or of seconds: which method, and then how small.

Methods can only be held against each other at one share, and the share that holds a limit depends on the method. So the
winner at a first share looks for its own share; where that is another one, methods are held against each other there
too, and a new winner looks for its share in turn.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from penjing.core import Budget, Plan
from penjing.core.progress import Progress, silent
from penjing.planning.order import Order
from penjing.running.lending import Lender
from penjing.running.source import Source
from penjing.search.auto import RANDOM, hold, rules_of

FIRST = 0.75
"""The share at which methods are first held against each other, where no limit of size tells a better one."""

Within = Callable[[Order], Plan]


def auto_within(
    source: Source, order: Order, within: Within, *, cache: Path, module: nn.Module | None = None,
    lender: Lender | None = None, progress: Progress = silent,
) -> Plan:  # fmt: skip
    """The plan that `within` makes of the method that does best near the limit; `made` tells both searches.

    `within` takes the order of one method and gives its plan that holds the order's limit.

    Raises:
        PenjingError: as `hold` and `within`.
    """
    loss = order.budget.unit == "loss"
    share = FIRST if loss else _share(within(_random(order)))
    chosen: list[tuple[str, float]] = []
    best: Plan | None = None
    tournament = {}
    for _ in range(2):
        wanted = replace(order, budget=Budget(keep=share))
        held = hold(source, wanted, cache=cache, module=module, lender=lender, progress=progress)
        name = held.made["method"]
        again = best is not None and name == best.made["method"]
        chosen.append((name, share))
        if again:
            tournament = held.made["tournament"]
            break
        found = within(replace(order, method=name, settings=held.made["settings"]))
        if best is None or not loss or _share(found) < _share(best):
            best, tournament = found, held.made["tournament"]
        if _share(found) == share:
            break
        share = _share(found)
    assert best is not None  # noqa: S101
    notes = [*best.made.get("notes", ()), _note(chosen, best.made["method"])]
    return Plan(best.edits, {**best.made, "notes": notes, "tournament": tournament})


def _random(order: Order) -> Order:
    """Random choice over the same axes: how small a model must be in time hardly depends on which units stay."""
    rules = rules_of(order.settings)
    given = {k: getattr(rules, k) for k in ("axes", "protect", "multiple", "allow")}
    return replace(order, method=RANDOM, settings={k: v for k, v in given.items() if v is not None})


def _share(plan: Plan) -> float:
    return plan.made["limit"]["keep"]


def _note(chosen: list[tuple[str, float]], taken: str) -> str:
    told = ", ".join(f"{name} at keep {share:g}" for name, share in chosen)
    return (
        f"auto held methods against each other and found {told} the best; taken is {taken}. The same held-out examples "
        "chose method and share, so their figure flatters: go by what is measured on other data"
    )
