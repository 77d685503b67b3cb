"""From methods and budgets to plans, with one pass of the data for all statistics that they ask for."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from penjing.calibrate import Means, Pass, as_stats, measure_by_blocks, stored_names
from penjing.core import BlockByBlock, Live, Plan, Plans, Stats, View
from penjing.core.progress import Progress, silent
from penjing.errors import DataError
from penjing.methods import METHODS
from penjing.planning.examples import Examples, examples
from penjing.planning.order import LENGTH, ROWS, Order
from penjing.planning.statistics_cache import Shelf, Wanted, shelf, union
from penjing.running.source import Source, as_folder
from penjing.running.stock import load

__all__ = ["LENGTH", "ROWS", "Order", "build", "gather", "make_plan", "make_plans", "union", "views_for"]

JOURNAL_SECONDS = 60.0
"""How often a pass notes what it has found: what a stopped one may have to do again."""


def make_plan(
    source: Source, order: Order, *, cache: Path, module: nn.Module | None = None, progress: Progress = silent
) -> Plan:
    """The plan of one method; its `made` tells everything needed to make it again.

    `module` is the model in memory, if it is there already.

    Raises:
        PenjingError: an unknown method or setting.
        BudgetError: the budget cannot be met.
        DataError: the data does not serve.
        LayoutError: no axis matches.
    """
    return make_plans(source, {order.method: order}, cache=cache, module=module, progress=progress)[order.method]


def make_plans(
    source: Source, orders: Mapping[str, Order], *, cache: Path, module: nn.Module | None = None,
    progress: Progress = silent
) -> dict[str, Plan]:
    """The plan of each order, by its name. Orders of the same data share one pass.

    Raises:
        PenjingError: as `make_plan`.
    """
    methods = {name: build(order) for name, order in orders.items()}
    opened = _Opened(source, cache, module, progress)
    plans: dict[str, Plan] = {}
    for group in _alike(orders):
        chosen = [methods[name] for name in group]
        views, told = _views(source, orders[group[0]], chosen, opened)
        for name, method, view in zip(group, chosen, views, strict=True):
            order = orders[name]
            progress("planning", 0, 0)
            plan = method.plan(replace(view, budget=order.budget))
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
    opened = _Opened(source, cache, module, progress)
    data = examples(source, order, cache=cache, progress=progress, purpose=f"method '{order.method}'")
    return as_stats(_found(source, order, wanted, data, opened), wanted), dict(data.told)


def views_for(
    source: Source,
    order: Order,
    methods: Sequence[Plans],
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
    return _views(source, order, methods, _Opened(source, cache, module, progress))


class _Opened:
    """The module of a source, loaded when it is first asked for."""

    def __init__(self, source: Source, cache: Path, module: nn.Module | None, progress: Progress) -> None:
        self.source, self.cache, self.progress = source, cache, progress
        self._module = module

    @property
    def dtype(self) -> str:
        """The floating point type that the module runs in."""
        first = next(self._module.parameters(), None) if self._module is not None else None
        return str(torch.float32 if first is None else first.dtype)

    def module(self) -> nn.Module:
        """The module; a checkpoint is loaded in float32."""
        if self._module is None:
            self.progress("opening the model", 0, 0)
            self._module = load(as_folder(self.source, self.cache, self.progress), dtype=torch.float32)
        return self._module

    def names(self) -> dict[str, str]:
        """Stored name -> the module's own."""
        return stored_names(self.module(), self.source.weights().shapes)


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
    source: Source, order: Order, methods: Sequence[Plans], opened: _Opened
) -> tuple[list[View], dict[str, Any]]:
    each = [m.wants(source.layout) for m in methods]
    bare = View(source.weights(), source.layout, Stats(), order.budget, seed=order.seed)
    if not any(each):
        return [bare for _ in methods], {}
    purpose = f"method '{order.method}'" if len(methods) == 1 else "planning"
    data = examples(source, order, cache=opened.cache, progress=opened.progress, purpose=purpose)
    wanted = union(*(w.statistics for w in each))
    found = _found(source, order, wanted, data, opened) if wanted else Means()
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


def _live(source: Source, order: Order, data: Examples, opened: _Opened) -> Live:
    from penjing.running.live import Running

    _refuse_small_memory(source, order)
    return Running(opened.module(), list(data.again()), source.layout, names=opened.names())


def _blocks(source: Source, order: Order, data: Examples, opened: _Opened) -> BlockByBlock:
    from penjing.running.block_by_block import RunningBlocks

    _refuse_small_memory(source, order)
    progress = partial(opened.progress, "going block by block")
    return RunningBlocks(opened.module(), list(data.again()), source.layout, names=opened.names(), progress=progress)


def _refuse_small_memory(source: Source, order: Order) -> None:
    if order.memory is not None and _size(source) > order.memory:
        raise DataError(
            f"method '{order.method}' runs the whole model, which takes {_size(source):,} bytes in float32, and the "
            f"memory allowed is {order.memory:,}; allow more, or choose a method that does not run it"
        )


def _found(source: Source, order: Order, wanted: Wanted, data: Examples, opened: _Opened) -> Means:
    """The statistics that are wanted: those on disk from there, the others from one pass, which then are on disk."""
    place = _shelf(source, order, data, opened)
    found, missing = place.find(wanted) if place is not None else (Means(), dict(wanted))
    if not missing:
        opened.progress("statistics found on disk", 0, 0)
        return found
    if order.memory is not None and _size(source) > order.memory:
        with TemporaryDirectory(prefix="penjing-", dir=_made(opened.cache)) as scratch:
            new = _by_blocks(source, order, missing, data, opened, Path(scratch))
            if place is None:
                return Means({k: v.clone() for k, v in new.values.items()}, new.counts)
            place.put(new)
            del new
        again, left = place.find(missing)
        if left:
            raise DataError(f"statistics of {next(iter(left))} were written and could not be read back; check the disk")
        return Means({**found.values, **again.values}, {**found.counts, **again.counts})
    new = _in_memory(missing, data, opened, place)
    if place is not None:
        place.put(new)
        place.end_journal(missing)
    return Means({**found.values, **new.values}, {**found.counts, **new.counts})


def _in_memory(missing: Wanted, data: Examples, opened: _Opened, place: Shelf | None) -> Means:
    with Pass(opened.module(), missing, names=opened.names()) as one_pass:
        if place is not None:
            one_pass.means, one_pass.done = place.journal(missing)
        earlier, noted = one_pass.done, time.monotonic()
        for i, batch in enumerate(data.again(), start=1):
            if i > earlier:
                one_pass.take(batch)
            opened.progress("collecting statistics", i, data.count)
            if place is not None and i > earlier and time.monotonic() - noted >= JOURNAL_SECONDS:
                place.put_journal(missing, one_pass.means, i)
                noted = time.monotonic()
        return one_pass.result()


def _by_blocks(source: Source, order: Order, missing: Wanted, data: Examples, opened: _Opened, scratch: Path) -> Means:
    def advance(done: int, total: int) -> None:
        opened.progress("collecting statistics, block by block", done, total)

    if not source.config:
        raise DataError(
            "only stock transformers models are run block by block, and this module has no config; allow it more memory"
        )
    memory = order.memory or 0
    return measure_by_blocks(
        source.weights(), source.layout.blocks, data.again(), missing, memory=memory, scratch=scratch, progress=advance
    )


def _shelf(source: Source, order: Order, data: Examples, opened: _Opened) -> Shelf | None:
    """Where these statistics lie; None for what cannot be told again: other people's code, batches from a callable."""
    if not source.config or not data.digest:
        return None
    config = json.dumps(dict(source.config), sort_keys=True, default=str)
    facts = {
        "model": source.weights().fingerprint,
        "config": sha256(config.encode()).hexdigest(),
        "data": data.digest,
        "batch": order.batch,
        "dtype": opened.dtype,
    }
    return shelf(opened.cache, facts)


def _size(source: Source) -> int:
    """The bytes of a model's weights in float32."""
    return sum(4 * math.prod(shape) for shape in source.weights().shapes.values())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
