"""The plan of an order, by whatever finds it: the method alone, several held against each other, or a search."""

from pathlib import Path

from torch import nn

from penjing.core import Plan
from penjing.core.progress import Progress, silent
from penjing.planning.order import Order
from penjing.planning.plans import make_plan
from penjing.running.lending import Lender
from penjing.running.source import Source
from penjing.search.auto import AUTO, hold
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
    if order.budget.unit == "seconds":
        return plan_within_seconds(source, order, machine, cache=cache, module=module, lender=lender, progress=progress)
    if order.budget.unit == "loss":
        return plan_within_loss(source, order, cache=cache, module=module, lender=lender, progress=progress)
    made_by = hold if order.method == AUTO else make_plan
    return made_by(source, order, cache=cache, module=module, lender=lender, progress=progress)
