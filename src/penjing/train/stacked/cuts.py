"""Ways to take units out of a perceptron: all of them or a sample, as masks of its parameters."""

from collections.abc import Sequence
from itertools import combinations, product
from math import comb, prod

import torch
from torch import Tensor, nn

from penjing.errors import RequestError
from penjing.train.stacked.stack import Stack

Cut = tuple[tuple[int, ...], ...]
"""For each hidden layer the units that go, ascending."""


def cuts(widths: Sequence[int], gone: Sequence[int], most: int, seed: int) -> list[Cut]:
    """Every way in which `gone` units of each hidden layer may go, in order; above `most`, so many distinct ones.

    Those are drawn by the seed, all ways equally likely.

    Raises:
        RequestError: a layer would lose all, or none does.
    """
    if len(widths) != len(gone) or not any(gone) or any(not 0 <= g < w for w, g in zip(widths, gone, strict=True)):
        raise RequestError(
            f"of hidden widths {list(widths)} {list(gone)} are to go; needed some, and some left of each"
        )
    if prod(comb(w, g) for w, g in zip(widths, gone, strict=True)) <= most:
        return list(product(*(combinations(range(w), g) for w, g in zip(widths, gone, strict=True))))
    generator, found = torch.Generator().manual_seed(seed), dict[Cut, None]()
    while len(found) < most:
        drawn = (torch.randperm(w, generator=generator)[:g].sort().values for w, g in zip(widths, gone, strict=True))
        found[tuple(tuple(d.tolist()) for d in drawn)] = None
    return list(found)


def masks_of(network: nn.Sequential, ways: Sequence[Cut]) -> Tensor:
    """[ways parameters] bool: a unit goes with its weights, its bias, and what the next layer reads of it."""
    linear = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear)]
    count = sum(p.numel() for p in network.parameters())
    places = Stack(network, torch.zeros(1, count)).places()
    masks = torch.ones(len(ways), count, dtype=torch.bool)
    for row, way in zip(masks, ways, strict=True):
        for (name, layer), (after, follower), units in zip(linear[:-1], linear[1:], way, strict=True):
            picked = list(units)
            row[places[f"{name}.weight"]].view(layer.weight.shape)[picked] = False
            row[places[f"{name}.bias"]][picked] = False
            row[places[f"{after}.weight"]].view(follower.weight.shape)[:, picked] = False
    return masks


def rows_of(network: nn.Sequential, values: Tensor, layer: int, *, every: bool) -> list[Tensor]:
    """[units fan] each: the weights that write the units of a hidden layer, and with `every` those that read them.

    `values` [parameters] is one network.
    """
    names = [n for n, m in network.named_modules() if isinstance(m, nn.Linear)]
    found = {n: t[0] for n, t in Stack(network, values[None]).tensors().items()}
    own = [found[f"{names[layer]}.weight"].detach(), found[f"{names[layer]}.bias"].detach()[:, None]]
    return [*own, found[f"{names[layer + 1]}.weight"].detach().T] if every else own
