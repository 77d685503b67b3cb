"""The plan of an order, by whatever finds it: the method alone, several held against each other, or a search."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import nn

from penjing.core import Plan
from penjing.core.progress import Progress, silent
from penjing.planning.order import Order
from penjing.planning.plans import make_plan
from penjing.running.lending import Lender
from penjing.running.source import Source
from penjing.search.auto import AUTO, hold
from penjing.search.auto_limit import auto_within
from penjing.search.max_loss import plan_within_loss
from penjing.search.max_seconds import Machine, plan_within_seconds


def plan_for(
    source: Source, order: Order, *, cache: Path, machine: Machine | None = None, module: nn.Module | None = None,
    lender: Lender | None = None, progress: Progress = silent,
) -> Plan:  # fmt: skip
    """The plan of an order: its method may be `auto`, and its budget one of loss or seconds (of the `machine`).

    Raises:
        PenjingError: as `make_plan`, `hold`, `plan_within_loss` and `plan_within_seconds`.
    """
    made_by: Callable[..., Plan] = hold if order.method == AUTO else make_plan
    if order.budget.unit == "seconds":
        made_by = partial(plan_within_seconds, machine=machine)
    elif order.budget.unit == "loss":
        made_by = plan_within_loss

    def one(asked: Order) -> Plan:
        return made_by(source, asked, cache=cache, module=module, lender=lender, progress=progress)

    if order.method == AUTO and order.budget.unit in ("seconds", "loss"):
        return auto_within(source, order, one, cache=cache, module=module, lender=lender, progress=progress)
    return one(order)
