"""A limit of seconds held against what was measured, and whether the machine's noise hides the answer."""

from collections.abc import Mapping
from typing import Any

from penjing.core import Report


def time_notes(made: Mapping[str, Any], report: Report) -> tuple[str, ...]:
    """What measuring says of a limit of seconds that a plan was made for; empty for other plans.

    Noise is what the original showed against itself: the limit is held, or missed, if it is so at both ends of that.
    """
    told = made.get("limit")
    if not isinstance(told, Mapping) or told.get("unit") != "seconds":
        return ()
    limit, predicted, name = told["most"], told["predicted"], told["figure"]
    found = report.subjects[:2][-1].figure(name) if report.subjects else None
    if found is None or found.value is None:
        why = found.note if found is not None and found.note else "it was not measured"
        return (f"whether {name} stays within {limit:g} s was not checked: {why}",)
    low, high = (float(end) for end in found.details.get("null_interval", (1.0, 1.0)))
    said = f"{name} was to stay within {limit:.3g} s; {predicted:.3g} s were predicted and {found.value:.3g} s measured"
    noise = f"the original against itself gave a ratio of {low:.2f} to {high:.2f}"
    if found.value * max(high, 1.0) <= limit:
        return (f"{said}: the limit is held ({noise})",)
    if found.value * min(low, 1.0) > limit:
        return (f"{said}: the limit is missed ({noise}); ask for less, or choose a size",)
    return (f"{said}: the machine's noise hides whether the limit is held ({noise})",)
