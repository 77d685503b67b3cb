"""From a method's name and a budget to a plan, with the statistics the method asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate import collect
from penjing.core import Budget, Plan, Stats
from penjing.data import read_texts, shipped, token_rows
from penjing.errors import DataError
from penjing.pipeline import catalog
from penjing.pipeline.source import Source, as_folder
from penjing.pipeline.stock import load, tokenizer
from penjing.pipeline.tell import Tell, silent

ROWS, LENGTH, BATCH = 32, 512, 4


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked of a plan: a method with settings, a budget, and data for methods that need it.

    `texts` are files; none means the calibration text that penjing ships. `batches` serve modules of one's own.
    """

    method: str
    budget: Budget
    settings: Mapping[str, Any]
    texts: tuple[Path, ...] = ()
    batches: Sequence[Any] | None = None
    rows: int = ROWS
    length: int = LENGTH
    seed: int = 0


def make_plan(
    source: Source, order: Order, *, cache: Path, module: nn.Module | None = None, tell: Tell = silent
) -> Plan:
    """The plan of one method; its `made` tells everything needed to make it again.

    `module` is the model in memory, if it is there already.

    Raises:
        PenjingError: an unknown method or setting.
        BudgetError: the budget cannot be met.
        DataError: the data does not serve.
        LayoutError: no axis matches.
    """
    settings = dict(order.settings)
    if "seed" in [s.name for s in catalog.settings(order.method)]:
        settings.setdefault("seed", order.seed)
    method: Any = catalog.build(order.method, settings)
    card = catalog.load(order.method).CARD
    stats, told = Stats(), {}
    if card.needs:
        wanted = method.wants(source.layout)
        stats, told = gather(source, order, wanted, cache=cache, module=module, tell=tell)
    tell("planning", 0, 0)
    plan = method.plan(source.weights(), source.layout, stats, order.budget)
    made = {
        "method": order.method,
        "settings": asdict(method),
        "budget": {order.budget.unit: order.budget.limit},
        "seed": order.seed,
        **told,
    }
    return Plan(plan.edits, {**plan.made, **made})


def gather(
    source: Source,
    order: Order,
    wanted: Mapping[str, frozenset[str]],
    *,
    cache: Path,
    module: nn.Module | None = None,
    tell: Tell = silent,
) -> tuple[Stats, dict[str, Any]]:
    """(statistics, what they were made of): one pass of the calibration data through the model.

    Raises:
        DataError: no data for a module of one's own, or text too short for one row.
    """
    if order.batches is not None:
        batches, told = list(order.batches), {"calibration": {"batches": len(order.batches)}}
    elif not source.config:
        raise DataError(
            f"method '{order.method}' needs data and none was given; pass data=[...], batches as the module takes them"
        )
    else:
        rows, told = calibration_rows(source, order, cache, tell)
        batches = list(rows.split(BATCH))
    if module is None:
        tell("opening the model", 0, 0)
        module = load(as_folder(source, cache, tell), dtype=torch.float32)

    def advance(done: int) -> None:
        tell("collecting statistics", done, len(batches))

    return collect(module, batches, wanted, progress=advance), told


def calibration_rows(source: Source, order: Order, cache: Path, tell: Tell) -> tuple[Tensor, dict[str, Any]]:
    """([rows, length] token ids, what they came from)."""
    paths = list(order.texts) or shipped("calibration")
    reader = tokenizer(as_folder(source, cache, tell))
    tell("reading calibration text", 0, 0)
    rows = token_rows(reader, read_texts(paths), length=order.length, count=order.rows, seed=order.seed)
    told = {
        "files": [p.name for p in paths],
        "shipped": not order.texts,
        "rows": len(rows),
        "length": order.length,
        "tokens_sha256": _digest(rows),
    }
    return rows, {"calibration": told}


def _digest(ids: Tensor) -> str:
    import hashlib

    return hashlib.sha256(ids.to(torch.int64).numpy().tobytes()).hexdigest()
