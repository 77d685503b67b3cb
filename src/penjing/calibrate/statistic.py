"""What a statistic is: where it is read, what that costs, and how batches add up to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Cost = Literal["none", "forward", "backward", "many runs"]
"""What has to be run: nothing, the model once over the data, forwards and backwards, or the model again and again."""

COSTS: tuple[Cost, ...] = ("none", "forward", "backward", "many runs")

Reads = Literal[
    "inputs", "inputs of examples", "windows", "outputs of examples", "block", "span", "sublayer", "targets",
    "gradient", "gradients of examples", "saliencies of examples",
]  # fmt: skip

INPUTS: tuple[Reads, ...] = ("inputs", "inputs of examples", "windows")
DERIVATIVES: tuple[Reads, ...] = ("gradient", "gradients of examples", "saliencies of examples")


def mean(held: Tensor, value: Tensor, share: float) -> Tensor:
    """`held`, moved in place towards the `value` of a batch that has this `share` of all samples so far."""
    return held.lerp_(value.to(held), share)


def unchanged(value: Tensor) -> Tensor:
    """The value itself."""
    return value


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One kind of figure of a parameter or a block.

    `measure` gives it for one batch, from what `reads` names, all float32:

    - "inputs": what goes into the layer that owns the parameter, [samples in], a sample being a position;
    - "inputs of examples": the same, [examples positions in]; "outputs of examples": what comes out of it;
    - "windows": all that a convolution multiplies at each place of its window, channel by channel, [places in];
    - "block": what goes into a block, what comes out of it, and which dimension holds the channels;
    - "span": the same of a block and each later one of its list: what goes into this, and what comes out of that one;
      the values stand in the order of the later ones [blocks from this one on];
    - "sublayer": the stream before a part of a block adds to it and after, and which dimension holds the channels;
    - "targets": what a layer should give so that the residual stream after it is again that of the dense model
      [samples out], and what goes into it [samples in]; only going block by block has these.

    Others are taken of an objective, whose name then stands before the statistic's, as in `<objective>_<file>`:

    - "gradient": the derivative of the objective's mean over the batch by the parameter;
    - "gradients of examples": the derivative of one example's objective, one after another;
    - "saliencies of examples": of each input the sum over positions of x * d objective / d x, [examples in].

    `merge` joins it with what other batches gave (held, the batch's, the batch's share of all samples), `finish` is
    applied at the end of the pass. `shape` is that of the result; `grouped` says whether convolutions with groups
    have it.
    """

    reads: Reads
    shape: str
    cost: Cost
    measure: Callable[..., Tensor]
    merge: Callable[[Tensor, Tensor, float], Tensor] = mean
    finish: Callable[[Tensor], Tensor] = unchanged
    grouped: bool = True
