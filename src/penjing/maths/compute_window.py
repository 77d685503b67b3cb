"""Between which steps weights go, where that is said in shares of compute; and how many there are on average.

Source: Jin et al., "The Journey Matters: Average Parameter Count over Pre-training Unifies Sparse and Dense Scaling
Laws", ICLR 2025, arXiv:2501.12486, section 3; the closed forms are ours, and give the steps of its released runs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from penjing.errors import BudgetError


@dataclass(frozen=True, kw_only=True)
class Window:
    """A geometric schedule: from step `start` to `end`, `every` so many, the same share of what is left goes.

    The first weights go at `start`, the last at `end`; then `keep` of them are left, until step `steps`.
    """

    start: int
    end: int
    steps: int
    every: int
    keep: float

    @property
    def events(self) -> int:
        """How often weights go."""
        return (self.end - self.start) // self.every + 1

    def due(self, step: int) -> bool:
        """Whether weights go after so many steps."""
        return self.start <= step <= self.end and (step - self.start) % self.every == 0

    def density(self, step: int) -> float:
        """The share that is left once `step` steps are done, and what is due then is gone."""
        if step < self.start:
            return 1.0
        done = min(self.events, (step - self.start) // self.every + 1)
        return self.keep ** (done / self.events)

    def densities(self) -> Iterator[float]:
        """The share that each step of training has."""
        return (self.density(step) for step in range(self.steps))

    @property
    def average(self) -> float:
        """The mean share over all steps: the average parameter count, over the whole one."""
        return math.fsum(self.densities()) / self.steps

    @property
    def compute(self) -> float:
        """What training costs, in steps of the whole network."""
        return math.fsum(self.densities())


def mean_density(keep: float) -> float:
    """The mean share while weights go geometrically down to `keep`, as if without steps.

    >>> round(mean_density(0.4), 4)
    0.6548
    """
    return (1 - keep) / -math.log(keep) if keep < 1 else 1.0


def window(compute: float, keep: float, *, begin: float = 0.25, end: float = 0.75, every: int = 100) -> Window:
    """The schedule that costs `compute` steps of the whole network, weights going between these shares of it.

    The steps between are rounded to a multiple of `every`, the others to whole ones.

    Raises:
        BudgetError: a share is out of range, or the window is shorter than one step.
    """
    if not 0 < keep <= 1 or not 0 <= begin <= end <= 1 or compute < 1 or every < 1:
        raise BudgetError(
            f"found compute {compute:g}, keep {keep:g}, begin {begin:g}, end {end:g}, every {every}; needed 1 or more, "
            "above 0 up to 1, shares that do not fall, and 1 or more"
        )
    start = round(begin * compute)
    between = every * round((end - begin) * compute / mean_density(keep) / every)
    return Window(
        start=start, end=start + between, every=every, keep=keep,
        steps=start + between + max(1, round((1 - end) * compute / keep)),
    )  # fmt: skip


def window_of_steps(steps: int, keep: float, *, begin: float = 0.25, end: float = 0.75, every: int = 100) -> Window:
    """The schedule that has about so many steps, by the same shares of its compute.

    Raises:
        BudgetError: as `window`.
    """
    spread = begin + (end - begin) / mean_density(keep) + (1 - end) / keep
    return window(steps / spread, keep, begin=begin, end=end, every=every)


class Meter:
    """Counts the weights that are there at each step of any training; `average` is the mean so far."""

    def __init__(self) -> None:
        self.steps, self.total = 0, 0

    def count(self, weights: int, steps: int = 1) -> None:
        """Note that so many weights were there for so many steps."""
        self.steps += steps
        self.total += weights * steps

    @property
    def average(self) -> float:
        """The mean count; 0 before the first step."""
        return self.total / self.steps if self.steps else 0.0
