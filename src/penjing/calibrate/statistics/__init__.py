"""One file per statistic. Nothing here imports one: the folder is the registry.

A file of this folder defines `STATISTIC`. One that is taken of an objective is asked for with the objective's name
before its own, `<objective>_<file>`.
"""

from functools import cache
from types import ModuleType
from typing import Any

from penjing.calibrate.objectives import OBJECTIVES
from penjing.calibrate.statistic import COSTS, DERIVATIVES, Cost, Statistic
from penjing.core.registry import Registry
from penjing.errors import DataError, nearest


def _wrong(module: ModuleType) -> str:
    if not isinstance(getattr(module, "STATISTIC", None), Statistic):
        return "has no STATISTIC; its file must define STATISTIC = Statistic(...)"
    return ""


STATISTICS: Registry[Any] = Registry("penjing.calibrate.statistics", kind="statistic", check=_wrong)
"""Every kind of statistic, by its file's name; others add theirs by the entry-point group of this folder's name."""


def known() -> list[str]:
    """All that can be asked for, sorted; kinds that are taken of an objective, once for each objective."""
    found = STATISTICS.load_all().modules
    of_objectives = [name for name, file in found.items() if file.STATISTIC.reads in DERIVATIVES]
    return sorted({*found} - {*of_objectives} | {f"{o}_{k}" for o in OBJECTIVES.names() for k in of_objectives})


@cache
def find(name: str) -> Statistic:
    """The statistic that is asked for by this name.

    Raises:
        DataError: there is none.
        PenjingError: its file is broken.
    """
    kinds, objective = STATISTICS.names(), objective_of(name)
    kind = name.removeprefix(f"{objective}_")
    found = STATISTICS.load(kind).STATISTIC if kind in kinds else None
    if found is None or (found.reads in DERIVATIVES) != bool(objective):
        every = known()
        raise DataError(f"statistic '{name}' is not known{nearest(name, every)}; known: {', '.join(every)}")
    return found


def objective_of(name: str) -> str:
    """The objective that a statistic is taken of, which stands before its name; an empty string if of none."""
    before = [o for o in OBJECTIVES.names() if name.startswith(f"{o}_")]
    return next((o for o in before if name.removeprefix(f"{o}_") in STATISTICS.names()), "")


def dearest(names: frozenset[str]) -> Cost:
    """What it costs to collect these: the cost of the one that costs most.

    Raises:
        DataError: one is not known.
    """
    return COSTS[max((COSTS.index(find(name).cost) for name in names), default=0)]
