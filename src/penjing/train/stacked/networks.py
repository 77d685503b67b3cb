"""Small networks that studies train by the thousand, and how their first values are drawn."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from penjing.errors import RequestError

First = Literal["glorot", "kaiming", "usual"]
FIRST = ("glorot", "kaiming", "usual")


def perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths, inputs first and classes last, with ReLU between; inputs are flattened.

    Raises:
        RequestError: there are fewer than two widths, or one is below 1.
    """
    if len(widths) < 2 or min(widths) < 1:
        raise RequestError(f"the widths are {list(widths)}; needed inputs and classes at least, each 1 or more")
    layers: list[nn.Module] = [nn.Flatten(1)]
    for i, (into, out) in enumerate(pairwise(widths)):
        layers += [nn.Linear(into, out)] if i == 0 else [nn.ReLU(), nn.Linear(into, out)]
    return nn.Sequential(*layers)


def convolutional(
    channels: Sequence[int], hidden: Sequence[int], *, side: int, colours: int = 1, classes: int = 10, size: int = 5
) -> nn.Sequential:
    """A LeNet: for each of `channels` a padded convolution, ReLU and 2 x 2 maximum; then linear layers to the classes.

    Raises:
        RequestError: the picture is halved away.
    """
    layers: list[nn.Module] = []
    before = colours
    for width in channels:
        layers += [nn.Conv2d(before, width, size, padding=size // 2), nn.ReLU(), nn.MaxPool2d(2)]
        before, side = width, side // 2
    if side < 1 or not channels:
        raise RequestError(f"{len(channels)} halvings leave {side} pixels of the picture; give 1 or more, and fewer")
    return nn.Sequential(*layers, *perceptron((before * side * side, *hidden, classes)))


class Recurrent(nn.Module):
    """An embedding, one LSTM and a linear layer: the next of so many words at each place."""

    def __init__(self, words: int, width: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.lstm = nn.LSTM(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, words)

    def forward(self, ids: Tensor) -> Tensor:
        """[batch length words], of ids [batch length]."""
        return self.head(self.lstm(self.embedding(ids))[0])


def recurrent(words: int, width: int, hidden: int) -> nn.Module:
    """A language model of one LSTM of this `hidden` width, behind an embedding of `width`.

    Raises:
        RequestError: a size is below 1.
    """
    if min(words, width, hidden) < 1:
        raise RequestError(f"found {words} words, width {width}, hidden {hidden}; needed 1 or more of each")
    return Recurrent(words, width, hidden)


def draw(network: nn.Module, seeds: Sequence[int], first: First = "glorot") -> Tensor:
    """[seeds parameters]: first values of a network, in the order of its parameters, each row drawn by its seed.

    `glorot` is normal with variance 2 / (in + out), `kaiming` normal with 2 / in, both with biases of 0; `usual` is
    what the layers do themselves.

    Raises:
        RequestError: there is no such way.
    """
    if first not in FIRST:
        raise RequestError(f"first is '{first}'; it is one of {', '.join(FIRST)}")
    with torch.random.fork_rng([]):
        return torch.stack([_one(network, seed, first) for seed in seeds])


@torch.no_grad()
def _one(network: nn.Module, seed: int, first: First) -> Tensor:
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.reset_parameters()
            if first != "usual":
                fill = nn.init.xavier_normal_ if first == "glorot" else nn.init.kaiming_normal_
                fill(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    rows = [p.detach().flatten() for p in network.parameters()]
    return torch.cat(rows).clone()
