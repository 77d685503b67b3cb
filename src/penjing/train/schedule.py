"""The share of the learning rate at each step."""

import math

from penjing.train.settings import Settings


def rate(step: int, steps: int, how: Settings | None = None) -> float:
    """The share of the learning rate at a step: it rises at first, stays or falls, and is lowest at the end.

    >>> [rate(s, 100) for s in (0, 4, 50, 80, 99)]
    [0.2, 1.0, 1.0, 0.8, 0.04]
    >>> round(rate(52, 100, Settings(schedule="cosine", warm=0.05)), 3)
    0.492
    """
    how = how or Settings()
    up = (step + 1) / max(1.0, how.warm * steps)
    if how.schedule == "constant":
        down = (steps - step) / max(1.0, how.last * steps)
    else:
        done = min(1.0, max(0.0, (step + 1 - how.warm * steps) / max(1.0, (1 - how.warm) * steps)))
        down = 1 - done if how.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return min(1.0, up, how.lowest + (1 - how.lowest) * min(1.0, down))
