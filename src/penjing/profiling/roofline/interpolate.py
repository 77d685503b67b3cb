"""Values between measured points, by straight lines in the logarithms."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence


def curve(points: Sequence[tuple[float, float]], at: float) -> float:
    """The value at a place on a curve of (place, value), all above 0; outside it, that of its nearest end."""
    places = [p for p, _ in points]
    low, share = _between(places, at)
    first = math.log(points[low][1])
    second = math.log(points[min(low + 1, len(points) - 1)][1])
    return math.exp(first + share * (second - first))


def grid(
    values: Mapping[tuple[float, float, float], float], axes: Sequence[Sequence[float]], at: Sequence[float]
) -> float:
    """The value at a place in a full grid over three axes; outside it, that of its nearest face."""
    spots = [_between(axis, place) for axis, place in zip(axes, at, strict=True)]
    total = 0.0
    for corner in range(8):
        weight, place = 1.0, []
        for d, (low, share) in enumerate(spots):
            upper = corner >> d & 1
            weight *= share if upper else 1 - share
            place.append(axes[d][min(low + upper, len(axes[d]) - 1)])
        if weight:
            total += weight * math.log(values[place[0], place[1], place[2]])
    return math.exp(total)


def _between(places: Sequence[float], at: float) -> tuple[int, float]:
    """The index of the point before a place, and how far it is to the next one, 0 to 1 in logarithms."""
    if at <= places[0] or len(places) == 1:
        return 0, 0.0
    if at >= places[-1]:
        return len(places) - 1, 0.0
    low = bisect_right(places, at) - 1
    return low, math.log(at / places[low]) / math.log(places[low + 1] / places[low])
