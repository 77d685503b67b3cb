"""Train a small network from its first values while weights go, between two shares of a fixed compute."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from penjing.core.experiment import Figure, Figures, place
from penjing.maths.compute_window import Window, window
from penjing.maths.sparse_masks import best_of_rows, zeros_of
from penjing.train.stacked import Course, Stack, draw, evaluate, fit, perceptron
from penjing.train.stacked.pictures import read_parts

FIGURES = {
    "loss": Figure(label="Test loss", unit="nats", better="lower"),
    "accuracy": Figure(label="Test accuracy", unit="fraction", better="higher"),
    "train_loss": Figure(label="Training loss", unit="nats", better="lower", aside=True),
    "average": Figure(label="Average share of the weights over training", unit="fraction"),
    "steps": Figure(label="Steps", unit="count"),
    "least": Figure(label="Share of the weights that the emptiest matrix keeps", unit="fraction", aside=True),
}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A perceptron of `hidden` widths is trained for the compute of `compute` steps of the whole network.

    Between the shares `begin` and `end` of it weights go, `every` so many steps, the smallest of all matrices, until
    the share `keep` is left; 1 prunes nothing. The learning rate follows `schedule` over all steps. See `small_network`
    for pictures.

    Source: Jin et al., arXiv:2501.12486, section 3. Deviations: a small network, many passes over the same pictures.
    """

    images: str = place()
    labels: str = place("")
    test_images: str = place("")
    test_labels: str = place("")
    held_out: float = 0.05
    tested: float = 0.4
    limit: int = 0
    hidden: tuple[int, ...] = (300, 100)
    first: str = "glorot"
    compute: int = 400
    keep: float = 0.1
    begin: float = 0.25
    end: float = 0.75
    every: int = 10
    batch: int = 60
    learning_rate: float = 1.2e-3
    schedule: str = "cosine"
    warm: float = 0.02

    def __post_init__(self) -> None:
        self._course(self._window())

    @property
    def shape(self) -> Any:
        """What runs that are trained together have in common: all."""
        return self

    def run(self, seed: int) -> Figures:
        """The figures of one network."""
        return self.together([(self, seed)])[0]

    @classmethod
    def together(cls, jobs: Sequence[tuple[Self, int]]) -> list[Figures]:
        """The figures of each (experiment, seed) of one shape."""
        one, seeds = jobs[0][0], [seed for _, seed in jobs]
        parts = read_parts(
            one.images, one.labels, one.test_images, one.test_labels, held_out=one.held_out, tested=one.tested,
            limit=one.limit,
        )  # fmt: skip
        network, plan = perceptron((parts.train.inputs[0].numel(), *one.hidden, parts.classes)), one._window()
        stack = Stack(network, draw(network, seeds, one.first))  # type: ignore[arg-type]

        def prune(step: int) -> None:
            if plan.keep < 1 and plan.due(step):
                stack.mask(fewest(stack, plan.density(step)))

        prune(0)
        fit(stack, parts.train, one._course(plan), seeds, after=prune)
        (loss, right), (train, _) = evaluate(stack, parts.test), evaluate(stack, parts.train)
        least = _least(stack)
        return [
            {
                "loss": float(loss[i]), "accuracy": float(right[i]), "train_loss": float(train[i]),
                "average": plan.average, "steps": plan.steps, "least": float(least[i]),
            }
            for i in range(len(jobs))
        ]  # fmt: skip

    def _window(self) -> Window:
        return window(self.compute, self.keep, begin=self.begin, end=self.end, every=self.every)

    def _course(self, plan: Window) -> Course:
        return Course(
            steps=plan.steps, batch=self.batch, learning_rate=self.learning_rate, schedule=self.schedule,  # type: ignore[arg-type]
            warm=self.warm,
        )  # fmt: skip


def fewest(stack: Stack, keep: float) -> Tensor:
    """[networks parameters] bool: of all matrices of each network the largest weights; what is gone stays gone."""
    places = stack.places()
    columns = torch.cat([torch.arange(places[n].start, places[n].stop) for n, s in stack.shapes.items() if len(s) > 1])
    masks = torch.ones_like(stack.values, dtype=torch.bool) if stack.masks is None else stack.masks.clone()
    sizes = torch.where(masks[:, columns], stack.values.detach()[:, columns].abs(), -1.0)
    masks[:, columns] &= best_of_rows(sizes, min(zeros_of(len(columns), keep), len(columns) - 1))
    return masks


def _least(stack: Stack) -> Tensor:
    """[networks]: the smallest share that a matrix keeps."""
    if stack.masks is None:
        return torch.ones(len(stack))
    places = stack.places()
    return torch.stack([stack.masks[:, places[n]].float().mean(1) for n, s in stack.shapes.items() if len(s) > 1]).amin(
        0
    )
