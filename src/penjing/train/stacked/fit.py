"""The loop of a stack: each step is one batch, one backward pass and one move of all networks."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from penjing.errors import DataError
from penjing.train.schedule import rate
from penjing.train.stacked.examples import Examples, Orders
from penjing.train.stacked.optimiser import Optimiser
from penjing.train.stacked.settings import Course
from penjing.train.stacked.stack import Stack

ROOM = 1 << 24
"""Values of one tensor that are held at once while examples are only looked at."""


def fit(
    stack: Stack, examples: Examples, course: Course, seeds: Sequence[int], *, start: int = 0,
    until: int | None = None, rates: Sequence[float] | None = None, after: Callable[[int], None] | None = None,
) -> Tensor:  # fmt: skip
    """[steps networks]: the loss of each step's batch; the stack is trained in place.

    `seeds` draw the order in which each network sees the examples, and `rates` are the learning rates where they
    differ. Training begins at the step `start` of the schedule and of the order, with an optimiser that knows nothing,
    and ends after the step `until` (None: the last). `after` is called after each step, with how many are done.

    Raises:
        DataError: there are fewer examples than a batch has, or not as many seeds or rates as networks.
    """
    rates = [course.learning_rate] * len(stack) if rates is None else rates
    if len(seeds) != len(stack) or len(rates) != len(stack):
        raise DataError(f"found {len(seeds)} seeds and {len(rates)} rates for {len(stack)} networks; give one for each")
    orders, how = Orders(seeds, len(examples), course.batch), course.how()
    orders.skip(start)
    optimiser, losses = Optimiser(stack, course, rates), []
    for step in range(start, course.steps if until is None else until):
        places = orders()
        outputs = stack(examples.inputs[places], shared=orders.shared)
        found = per_network(outputs, examples.labels[places].expand(len(stack), -1))
        stack.values.grad = None
        found.sum().backward()
        optimiser.step(rate(step, course.steps, how))
        losses.append(found.detach())
        if after is not None:
            after(step + 1)
    stack.values.grad = None
    return torch.stack(losses) if losses else torch.zeros(0, len(stack))


def per_network(outputs: Tensor, labels: Tensor) -> Tensor:
    """[networks]: the mean cross-entropy of outputs [networks batch classes] and labels [networks batch]."""
    losses = cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="none")
    return losses.view(labels.shape).mean(1)


@torch.no_grad()
def evaluate(stack: Stack, examples: Examples) -> tuple[Tensor, Tensor]:
    """([networks] mean loss, [networks] share that is right) over all examples."""
    widest = max(*(s[0] for s in stack.shapes.values()), *examples.inputs.shape[1:], 1)
    chunk = max(1, min(len(examples), ROOM // (widest * len(stack))))
    loss, right = torch.zeros(len(stack), dtype=torch.float64), torch.zeros(len(stack), dtype=torch.float64)
    for inputs, labels in zip(examples.inputs.split(chunk), examples.labels.split(chunk), strict=True):
        outputs = stack(inputs, shared=True)
        loss += per_network(outputs, labels.expand(len(stack), -1)).double() * len(labels)
        right += (outputs.argmax(-1) == labels).sum(1)
    return loss / len(examples), right / len(examples)
