"""What goes on inside a recurrent layer, which shows only the outputs of its last level.

The states of inner levels are found by running the levels one after another, each as a layer of its own; which example
used a weight how, by running each example with a copy of the weights.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import DataError

_KINDS = (nn.LSTM, nn.GRU, nn.RNN)


def level_of(local: str) -> int:
    """The level that a weight such as `weight_ih_l1_reverse` belongs to."""
    return int(local.removesuffix("_reverse").rpartition("_l")[2])


def outputs_of_level(layer: Any, args: Sequence[Any], level: int) -> Tensor:
    """What the level gives to the next one, laid out as the layer lays out its output; level 0 is the first.

    `args` are the layer's input and, if given, its first states.
    """
    x = args[0]
    for i in range(level + 1):
        x = _run(_like(layer, _weights_of(layer, i), levels=1), x, _state_of(layer, args, i))
    return x


def _run(layer: nn.Module, x: Tensor, state: Any) -> Tensor:
    with torch.no_grad():
        return layer(x)[0] if state is None else layer(x, state)[0]


def _weights_of(layer: Any, level: int) -> dict[str, nn.Parameter]:
    """Name in a layer of one level -> parameter."""
    own = {n: p for n, p in layer.named_parameters() if level_of(n) == level}
    return {n.replace(f"_l{level}", "_l0"): p for n, p in own.items()}


def _state_of(layer: Any, args: Sequence[Any], level: int) -> Any:
    if len(args) < 2 or args[1] is None:
        return None
    each = 2 if layer.bidirectional else 1
    own = slice(level * each, (level + 1) * each)
    return tuple(s[own] for s in args[1]) if isinstance(args[1], tuple | list) else args[1][own]


def _like(layer: Any, weights: Mapping[str, Tensor], *, levels: int) -> nn.Module:
    """A layer of the same kind that holds these weights; nothing is drawn."""
    kind: Any = next(k for k in _KINDS if isinstance(layer, k))
    more = {"nonlinearity": layer.nonlinearity} if kind is nn.RNN else {}
    if layer.proj_size:
        more["proj_size"] = layer.proj_size
    made = kind(
        weights["weight_ih_l0"].shape[1], layer.hidden_size, num_layers=levels, bias=layer.bias,
        batch_first=layer.batch_first, bidirectional=layer.bidirectional, device="meta", **more,
    )  # fmt: skip
    for name, weight in weights.items():
        del made._parameters[name]  # a weight may be the copy of a parameter, and no parameter itself
        setattr(made, name, weight)
    return made.eval()


class Apart:
    """A recurrent layer that runs each example with a copy of its weights, by which one can differentiate."""

    def __init__(self, layer: Any, path: str) -> None:
        self._layer, self._path = layer, path
        self.copies: list[dict[str, Tensor]] = []
        """For each run, and in it each example, the weights that it used."""

    @contextmanager
    def running(self, count: int) -> Iterator[None]:
        """While the block runs, the layer works so on batches of `count` examples."""
        self._layer.forward = lambda x, state=None: self._forward(count, x, state)
        try:
            yield
        finally:
            del self._layer.forward

    def _forward(self, count: int, x: Any, state: Any) -> Any:
        dim = 0 if self._layer.batch_first else 1
        if not isinstance(x, Tensor) or x.ndim != 3 or x.shape[dim] % count:
            found = str(list(x.shape)) if isinstance(x, Tensor) else type(x).__name__
            raise DataError(
                f"{self._path} was given {found} for {count} examples, needed a tensor [examples length inputs]; use "
                "the objective 'loss' or 'output'"
            )
        states = [None] * count if state is None else _chunks(state, count)
        given = [self._one(p, s) for p, s in zip(x.chunk(count, dim), states, strict=True)]
        last = [g[1] for g in given]
        lstm = isinstance(last[0], tuple)
        ends = tuple(torch.cat(parts, 1) for parts in zip(*last, strict=True)) if lstm else torch.cat(last, 1)
        return torch.cat([g[0] for g in given], dim), ends

    def _one(self, x: Tensor, state: Any) -> Any:
        own = {n: p.clone() for n, p in self._layer.named_parameters()}
        self.copies.append(own)
        made = _like(self._layer, own, levels=self._layer.num_layers)
        return made(x) if state is None else made(x, state)


def _chunks(state: Any, count: int) -> list[Any]:
    """The first states of each example."""
    if isinstance(state, Tensor):
        return list(state.chunk(count, 1))
    return list(zip(*(s.chunk(count, 1) for s in state), strict=True))
