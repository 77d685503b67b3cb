"""What networks make of every example while they are trained: what scores of examples are made of."""

from collections.abc import Sequence

import torch
from torch import Tensor

from penjing.core import Trained
from penjing.train.stacked.examples import Examples
from penjing.train.stacked.fit import fit
from penjing.train.stacked.networks import draw, perceptron
from penjing.train.stacked.settings import Course
from penjing.train.stacked.stack import Stack

HIDDEN, LOOKS, EARLY = 64, 20, 0.1
"""Units of the networks; how often all examples are looked at; the share of the steps that is early."""


def watched(
    examples: Examples, course: Course, seeds: Sequence[int], *, hidden: int = HIDDEN, looks: int = LOOKS
) -> Trained:
    """Train a small network for each seed on the examples, and note what it makes of all of them now and then.

    Raises:
        DataError: there are fewer examples than a batch has.
    """
    network = perceptron((examples.inputs[0].numel(), hidden, examples.classes))
    stack = Stack(network, draw(network, seeds))
    every, early = max(1, course.steps // looks), max(1, round(EARLY * course.steps))
    right: list[Tensor] = []
    error: list[Tensor] = []

    def look(step: int) -> None:
        if step % every and step != early:
            return
        logits = _logits(stack, examples)
        if not step % every:
            right.append(logits.argmax(-1) == examples.labels)
        if step == early:
            own = torch.nn.functional.one_hot(examples.labels, logits.shape[-1])
            error.append((logits.softmax(-1) - own).norm(dim=-1))

    fit(stack, examples, course, seeds, after=look)
    margin = _margin(_logits(stack, examples), examples.labels)
    return Trained(right=torch.stack(right, 1), error=error[0], margin=margin)


@torch.no_grad()
def _logits(stack: Stack, examples: Examples) -> Tensor:
    """[networks n classes]."""
    return torch.cat([stack(rows, shared=True) for rows in examples.inputs.split(4096)], 1)


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    """[networks n]: the right class's logit less the highest other."""
    places = labels.expand(logits.shape[:2])[..., None]
    own = logits.gather(-1, places)[..., 0]
    return own - logits.scatter(-1, places, -torch.inf).max(-1).values
