"""Lottery tickets: train, take the smallest weights away, put the rest back to where it was, and so again.

Source: Frankle and Carbin, "The Lottery Ticket Hypothesis", ICLR 2019, arXiv:1803.03635, section 1 and appendix;
rewinding to a later step: Frankle et al., "Linear Mode Connectivity and the Lottery Ticket Hypothesis",
arXiv:1912.05671. Deviations: exactly round(rate x n) of the n weights that are left go, of equal ones the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from penjing.errors import RequestError
from penjing.maths.sparse_masks import best_of_rows, fewer_of_rows
from penjing.train.stacked.fit import evaluate, fit
from penjing.train.stacked.networks import First, draw
from penjing.train.stacked.pictures import Parts
from penjing.train.stacked.settings import Course
from penjing.train.stacked.stack import Stack

AGAIN = 1_000_003
"""What is added to a seed, times the level, for values that are drawn anew: no seed of a study is so large."""


@dataclass(frozen=True, kw_only=True)
class Levels:
    """How masks shrink: `rate` of what is left of each matrix at each level, `last_rate` of the one that gives classes.

    With `is_global` all matrices are one ranking at `rate`, the last among them if its rate is not 0. After each level
    weights are as they were after `rewind` steps of the first training, and training goes on from there.
    """

    count: int = 18
    rate: float = 0.2
    last_rate: float = 0.1
    is_global: bool = False
    rewind: int = 0

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
            RequestError: a value is out of range.
        """
        if self.count < 0 or not 0 < self.rate < 1 or not 0 <= self.last_rate < 1 or self.rewind < 0:
            raise RequestError(
                f"found levels {self.count}, rate {self.rate:g}, last_rate {self.last_rate:g}, rewind {self.rewind}; "
                "needed 0 or more, between 0 and 1 twice, and 0 or more"
            )


class Trained(NamedTuple):
    """What became of networks: [networks] each but `values`, which are the trained ones [networks parameters].

    `early` is the test accuracy after the early step, `stop` the step with the least held-out loss and `at_stop` the
    test accuracy there.
    """

    values: Tensor
    accuracy: Tensor
    loss: Tensor
    early: Tensor
    stop: Tensor
    at_stop: Tensor


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all trainings have in common: the network, the data, the course, and when they are looked at."""

    network: nn.Module
    parts: Parts
    course: Course
    first: First = "glorot"
    early: int = 50
    every: int = 20

    def train(self, values: Tensor, masks: Tensor | None, seeds: Sequence[int], start: int = 0) -> Trained:
        """Train these rows under their masks, from a step of the course."""
        stack, watch = Stack(self.network, values, masks), _Watch(self)
        fit(stack, self.parts.train, self.course, seeds, start=start, after=lambda step: watch(stack, step))
        loss, accuracy = evaluate(stack, self.parts.test)
        return Trained(stack.values.detach(), accuracy, loss, watch.early_accuracy(accuracy), *watch.best(accuracy))

    def go(self, values: Tensor, seeds: Sequence[int], steps: int) -> Tensor:
        """The rows after so many steps."""
        stack = Stack(self.network, values)
        fit(stack, self.parts.train, self.course, seeds, until=steps)
        return stack.values.detach()


def tickets(bench: Bench, levels: Levels, seeds: Sequence[int]) -> tuple[list[Tensor], list[Trained]]:
    """(masks [seeds parameters], what became of the networks) at each level; at level 0 nothing is masked."""
    first = draw(bench.network, seeds, bench.first)
    begin = bench.go(first, seeds, levels.rewind)
    masks = [torch.ones_like(first, dtype=torch.bool)]
    found = [bench.train(first, None, seeds)]
    for _ in range(levels.count):
        masks.append(fewer(bench.network, found[-1].values, masks[-1], levels))
        found.append(bench.train(begin, masks[-1], seeds, levels.rewind))
    return masks, found


def fewer(network: nn.Module, values: Tensor, masks: Tensor, levels: Levels) -> Tensor:
    """[networks parameters] bool: the masks of the next level, by the size of the trained weights."""
    out = masks.clone()
    for columns, rate in rankings(network, levels):
        out[:, columns] = fewer_of_rows(values[:, columns].abs(), masks[:, columns], rate)
    return out


def rankings(network: nn.Module, levels: Levels) -> list[tuple[Tensor, float]]:
    """(columns that are ranked together, what share of what is left of them goes) for each ranking."""
    places = Stack(network, torch.zeros(1, sum(p.numel() for p in network.parameters()))).places()
    found = [torch.arange(places[n].start, places[n].stop) for n, p in network.named_parameters() if p.ndim > 1]
    if levels.is_global:
        return [(torch.cat(found if levels.last_rate else found[:-1]), levels.rate)]
    return [(c, levels.last_rate if c is found[-1] else levels.rate) for c in found]


def reinit(bench: Bench, masks: Sequence[Tensor], seeds: Sequence[int]) -> list[Trained]:
    """The tickets' masks on values drawn anew for each level, trained for the whole course."""
    rows = [draw(bench.network, [s + AGAIN * (i + 1) for s in seeds], bench.first) for i in range(len(masks))]
    return _side_by_side(bench, rows, masks, seeds, 0)


def shuffled(bench: Bench, levels: Levels, masks: Sequence[Tensor], seeds: Sequence[int]) -> list[Trained]:
    """Masks drawn at random that keep as much of each matrix as the tickets', on the tickets' own values."""
    begin = bench.go(draw(bench.network, seeds, bench.first), seeds, levels.rewind)
    places = Stack(bench.network, begin).places()
    drawn = []
    for i, mask in enumerate(masks):
        rows = []
        for row, seed in zip(mask, seeds, strict=True):
            generator = torch.Generator().manual_seed(seed + AGAIN * (i + 1))
            parts = [row[p][torch.randperm(p.stop - p.start, generator=generator)] for p in places.values()]
            rows.append(torch.cat(parts))
        drawn.append(torch.stack(rows))
    return _side_by_side(bench, [begin] * len(masks), drawn, seeds, levels.rewind)


def one_shot(
    bench: Bench, levels: Levels, masks: Sequence[Tensor], trained: Tensor, seeds: Sequence[int]
) -> list[Trained]:  # fmt: skip
    """As much of each matrix as the tickets keep, chosen at once by the first training, on the tickets' own values."""
    begin = bench.go(draw(bench.network, seeds, bench.first), seeds, levels.rewind)
    chosen = [torch.ones_like(mask) for mask in masks]
    for columns, _ in rankings(bench.network, levels):
        for mask, new in zip(masks, chosen, strict=True):
            new[:, columns] = best_of_rows(trained[:, columns].abs(), int((~mask[0, columns]).sum()))
    return _side_by_side(bench, [begin] * len(masks), chosen, seeds, levels.rewind)


def _side_by_side(
    bench: Bench, rows: Sequence[Tensor], masks: Sequence[Tensor], seeds: Sequence[int], start: int
) -> list[Trained]:  # fmt: skip
    """Levels that do not wait for each other, in as few stacks as fit."""
    together = max(1, ROOM // max(1, rows[0].numel()))
    out = []
    for at in range(0, len(rows), together):
        part = slice(at, at + together)
        count = len(rows[part])
        found = bench.train(torch.cat(list(rows[part])), torch.cat(list(masks[part])), list(seeds) * count, start)
        out += [Trained(*one) for one in zip(*(t.chunk(count) for t in found), strict=True)]
    return out


ROOM = 1 << 22
"""Parameters of a stack, at most: what the optimiser moves should not be far from the processor."""


@dataclass
class _Watch:
    """Looks at a stack now and then."""

    bench: Bench
    early: Tensor | None = None
    looks: list[tuple[int, Tensor, Tensor]] = field(default_factory=list)

    def __call__(self, stack: Stack, step: int) -> None:
        bench = self.bench
        if step == bench.early:
            self.early = evaluate(stack, bench.parts.test)[1]
        if step % bench.every == 0 or step == bench.course.steps:
            held, _ = evaluate(stack, bench.parts.held_out)
            self.looks.append((step, held, evaluate(stack, bench.parts.test)[1]))

    def early_accuracy(self, otherwise: Tensor) -> Tensor:
        return otherwise if self.early is None else self.early

    def best(self, otherwise: Tensor) -> tuple[Tensor, Tensor]:
        if not self.looks:
            return torch.zeros_like(otherwise), otherwise
        places = torch.stack([held for _, held, _ in self.looks]).argmin(0)
        steps = torch.tensor([float(step) for step, _, _ in self.looks])
        return steps[places], torch.stack([a for _, _, a in self.looks]).gather(0, places[None])[0]
