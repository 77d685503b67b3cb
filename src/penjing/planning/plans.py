"""From methods and budgets to plans, with one pass of the data for all statistics that they ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from penjing.calibrate import Means, as_stats
from penjing.core import BlockByBlock, Live, Method, Plan, Plans, Stats, View
from penjing.core.progress import Progress, silent
from penjing.methods import METHODS
from penjing.planning.batches import Examples
from penjing.planning.examples import examples
from penjing.planning.gathering import found_statistics, refuse_small_memory
from penjing.planning.order import LENGTH, ROWS, Order
from penjing.planning.statistics_cache import Wanted, union
from penjing.running.lending import Lender
from penjing.running.opened import Opened
from penjing.running.source import Source
from penjing.surgery.dtypes import AsStored

__all__ = ["LENGTH", "ROWS", "Order", "build", "gather", "make_plan", "make_plans", "union", "views_for"]


def make_plan(
    source: Source, order: Order, *, cache: Path, module: nn.Module | None = None, lender: Lender | None = None,
    progress: Progress = silent,
) -> Plan:  # fmt: skip
    """The plan of one method; its `made` tells everything needed to make it again.

    `module` is the model in memory, if it is there already; else it is had from the `lender`, if it has to run.

    Raises:
        PenjingError: an unknown method or setting.
        BudgetError: the budget cannot be met.
        DataError: the data does not serve.
        LayoutError: no axis matches.
    """
    orders = {order.method: order}
    return make_plans(source, orders, cache=cache, module=module, lender=lender, progress=progress)[order.method]


def make_plans(
    source: Source, orders: Mapping[str, Order], *, cache: Path, module: nn.Module | None = None,
    lender: Lender | None = None, progress: Progress = silent,
) -> dict[str, Plan]:  # fmt: skip
    """The plan of each order, by its name. Orders of the same data share one pass.

    Raises:
        PenjingError: as `make_plan`.
    """
    with Opened(source, cache=cache, module=module, lender=lender, progress=progress) as opened:
        return _planned(source, orders, opened)


def _planned(source: Source, orders: Mapping[str, Order], opened: Opened) -> dict[str, Plan]:
    methods = {name: build(order) for name, order in orders.items()}
    plans: dict[str, Plan] = {}
    for group in _alike(orders):
        chosen = [methods[name] for name in group]
        views, told = _views(source, orders[group[0]], chosen, opened)
        for name, method, view in zip(group, chosen, views, strict=True):
            order = orders[name]
            opened.progress("planning", 0, 0)
            plan = _asked(method, replace(view, budget=order.budget), order, opened)
            made = {
                "method": order.method,
                "settings": asdict(method),
                "budget": {order.budget.unit: order.budget.limit},
                "seed": order.seed,
                **(told if method.wants(source.layout) else {}),
            }
            plans[name] = Plan(plan.edits, {**plan.made, **made})
    return {name: plans[name] for name in orders}


def build(order: Order) -> Any:
    """The method of an order, with its settings; one that has a seed gets the order's.

    Raises:
        PenjingError: an unknown method or setting.
    """
    settings = dict(order.settings)
    if "seed" in [s.name for s in METHODS.settings(order.method)]:
        settings.setdefault("seed", order.seed)
    return METHODS.build(order.method, settings)


def gather(
    source: Source,
    order: Order,
    wanted: Wanted,
    *,
    cache: Path,
    module: nn.Module | None = None,
    progress: Progress = silent,
) -> tuple[Stats, dict[str, Any]]:
    """(statistics, what they were made of): at most one pass of the calibration data through the model.

    Raises:
        DataError: no data for a module of one's own, or data that does not serve.
        OutputError: the cache cannot be written to.
    """
    data = examples(source, order, cache=cache, progress=progress, purpose=f"method '{order.method}'")
    with Opened(source, cache=cache, module=module, progress=progress) as opened:
        return as_stats(found_statistics(source, order, wanted, data, opened), wanted), dict(data.told)


def views_for(
    source: Source,
    order: Order,
    methods: Sequence[Method],
    *,
    cache: Path,
    module: nn.Module | None = None,
    progress: Progress = silent,
) -> tuple[list[View], dict[str, Any]]:
    """(what each method sees, what it was made of), from at most one pass of the data for all of them.

    Of `order` only the data, the budget and the seed are heeded.

    Raises:
        DataError: as `gather`.
        OutputError: as `gather`.
    """
    with Opened(source, cache=cache, module=module, progress=progress) as opened:
        return _views(source, order, methods, opened)


def _alike(orders: Mapping[str, Order]) -> list[list[str]]:
    """The names of orders, those together that ask for the same data."""
    groups: list[list[str]] = []
    for name, order in orders.items():
        for group in groups:
            other = orders[group[0]]
            if replace(order, method="", settings={}, budget=other.budget, batches=None) == replace(
                other, method="", settings={}, batches=None
            ) and (order.batches is other.batches):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _views(
    source: Source, order: Order, methods: Sequence[Method], opened: Opened
) -> tuple[list[View], dict[str, Any]]:
    each = [m.wants(source.layout) for m in methods]
    model = source.weights() if order.stored is None else AsStored(source.weights(), order.stored)
    bare = View(model, source.layout, Stats(), order.budget, seed=order.seed)
    if not any(each):
        return [bare for _ in methods], {}
    purpose = f"method '{order.method}'" if len(methods) == 1 else "planning"
    data = examples(source, order, cache=opened.cache, progress=opened.progress, purpose=purpose)
    wanted = union(*(w.statistics for w in each))
    found = found_statistics(source, order, wanted, data, opened) if wanted else Means()
    live = _live(source, order, data, opened) if any(w.live for w in each) else None
    blocks = _blocks(source, order, data, opened) if any(w.blocks for w in each) else None
    views = [
        replace(
            bare, stats=as_stats(found, w.statistics), live=live if w.live else None,
            blocks=blocks if w.blocks else None, data=data if w.data else None,
        )
        for w in each
    ]  # fmt: skip
    return views, dict(data.told)


def _asked(method: Method, view: View, order: Order, opened: Opened) -> Plan:
    """The plan of a method: made at once by one that can, else by training a copy of the model."""
    if isinstance(method, Plans):
        return method.plan(view)
    from penjing.train import train

    refuse_small_memory(opened.source, order)
    return train(method, view, opened.module(), names=opened.names(), progress=opened.progress)


def _live(source: Source, order: Order, data: Examples, opened: Opened) -> Live:
    from penjing.running.live import Running

    refuse_small_memory(source, order)
    return Running(opened.module(), list(data.again()), source.layout, names=opened.names())


def _blocks(source: Source, order: Order, data: Examples, opened: Opened) -> BlockByBlock:
    from penjing.running.block_by_block import RunningBlocks

    refuse_small_memory(source, order)
    progress = partial(opened.progress, "going block by block")
    return RunningBlocks(opened.module(), list(data.again()), source.layout, names=opened.names(), progress=progress)
