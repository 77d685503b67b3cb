"""How a figure goes from one value to another while training."""


def polynomial(step: int, *, first: float, last: float, start: int, end: int, exponent: float = 3.0) -> float:
    """`last + (first - last) (1 - t)^exponent`, where t goes from 0 at step `start` to 1 at step `end`.

    Source: Zhu and Gupta, "To prune, or not to prune", arXiv:1710.01878, equation 1, there of the share that goes; of
    the share that stays it reads the same.

    >>> [round(polynomial(s, first=1.0, last=0.2, start=10, end=20), 6) for s in (0, 10, 15, 20, 99)]
    [1.0, 1.0, 0.3, 0.2, 0.2]
    """
    if step >= end:
        return last
    done = max(0.0, (step - start) / (end - start)) if end > start else 0.0
    return last + (first - last) * (1 - done) ** exponent


def due(step: int, *, start: int, end: int, every: int) -> bool:
    """Whether something is done at a step: at `start`, each `every` steps after it, and at `end` in any case.

    >>> [s for s in range(30) if due(s, start=3, end=20, every=6)]
    [3, 9, 15, 20]
    """
    return start <= step <= end and ((step - start) % every == 0 or step == end)
