"""New values of config entries: what makes axes have other sizes, solved for in logarithms."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from penjing.core import Axis, Entry, Layout
from penjing.errors import PlanError
from penjing.layouts.config import paths

ALONE = "penjing.load alone open the result (opens_with='penjing', --opens-with penjing)"
MOST = 10
"""With more entries than this, all are solved for at once instead of the fewest that do."""


def new_values(
    layout: Layout, full: Mapping[str, Any], moved: Mapping[str, int], gone: Collection[str] = ()
) -> dict[str, Any]:
    """New values of the config entries that make the axes have their sizes; `gone` are axes of dropped blocks.

    Raises:
        PlanError: an axis has no entry, or axes that one entry moves are to shrink unlike each other.
    """
    entries = _connected(layout.entries, moved)
    for axis in moved:
        if not any(axis in e.moves for e in entries):
            raise PlanError(
                f"no config entry of this model holds another size of '{axis}' than {layout.axes[axis].size}; "
                f"leave it whole, or let {ALONE}"
            )
    if not entries:
        return {}
    axes = sorted({a for e in entries for a in e.moves if a not in gone and a in layout.axes})
    new = {a: moved.get(a, layout.axes[a].size) for a in axes}
    _check_equal(layout, entries, new)
    factors = _factors(layout, entries, axes, new)
    changes: dict[str, Any] = {}
    for entry, factor in zip(entries, factors, strict=True):
        for path in (entry.path, *entry.together):
            value = paths.get(full, path)
            target = value * factor
            if abs(target - value) > 1e-6 * abs(value):
                changes[path] = round(target) if isinstance(value, int) else float(f"{target:.12g}")
    return changes


def _connected(entries: Sequence[Entry], moved: Mapping[str, int]) -> list[Entry]:
    """The entries that move an axis of the plan, or an axis that such an entry moves as well, and so on."""
    reached, found = set(moved), []
    while True:
        more = [e for e in entries if e not in found and any(a in reached for a in e.moves)]
        if not more:
            return [e for e in entries if e in found]
        found += more
        reached |= {a for e in more for a in e.moves}


def _factors(layout: Layout, entries: Sequence[Entry], axes: Sequence[str], new: Mapping[str, int]) -> list[float]:
    """By how much each entry changes: the fewest entries whose powers make every ratio of sizes, in logarithms."""
    ratios = torch.tensor([new[a] / layout.axes[a].size for a in axes], dtype=torch.float64).log()
    powers = torch.tensor([[e.moves.get(a, 0.0) for e in entries] for a in axes], dtype=torch.float64)
    if len(entries) <= MOST:
        for count in range(1, len(entries) + 1):
            for chosen in itertools.combinations(range(len(entries)), count):
                part = powers[:, list(chosen)]
                solution = torch.linalg.lstsq(part, ratios[:, None], driver="gelsd").solution[:, 0]
                if bool((part @ solution - ratios).abs().max() < 1e-6):
                    out = torch.zeros(len(entries), dtype=torch.float64)
                    out[list(chosen)] = solution
                    return out.exp().tolist()
    solution = torch.linalg.lstsq(powers, ratios[:, None], driver="gelsd").solution[:, 0]
    return solution.exp().tolist()


def _check_equal(layout: Layout, entries: Sequence[Entry], new: Mapping[str, int]) -> None:
    """Axes that nothing but one entry moves, by the same power, shrink alike."""
    for entry in entries:
        alone = [a for a in entry.moves if a in new and layout.axes[a].entries == (entry.path, *entry.together)]
        for other in alone[1:]:
            first = alone[0]
            if entry.moves[first] != entry.moves[other]:
                continue
            one, two = layout.axes[first], layout.axes[other]
            if new[first] * two.size != new[other] * one.size:
                raise PlanError(_unequal(entry.path, (one, new[first]), (two, new[other])))


def _unequal(path: str, one: tuple[Axis, int], two: tuple[Axis, int]) -> str:
    (a, n), (b, m) = one, two
    if a.kind == b.kind and a.size == b.size:
        return (
            f"config entry '{path}' holds one size, but the plan leaves {n} in '{a.name}' and {m} in '{b.name}'; "
            f"keep the same number in both, such as {max(n, m)}, or let {ALONE}"
        )
    return (
        f"config entry '{path}' sets '{a.name}' ({a.size}) and '{b.name}' ({b.size}) together, but the "
        f"plan leaves {n} and {m}; "
        f"cut both by the same fraction, or neither, or let {ALONE}"
    )
