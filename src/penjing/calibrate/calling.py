"""How the blocks of a model are called when it runs: noted once, so that each can be run by itself later."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import DataError


@dataclass
class Call:
    """What a block was called with, besides its hidden states."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    named: str  # the keyword of the hidden states, empty when they came by place

    def __call__(self, block: nn.Module, hidden: Tensor) -> Any:
        """What the block gives, called again with these hidden states."""
        if self.named:
            return block(*self.args, **{self.named: hidden, **self.kwargs})
        return block(hidden, *self.args, **self.kwargs)


@dataclass
class Pool:
    """Tensors that calls share: the masks of all rows are one."""

    held: list[Tensor] = field(default_factory=list)

    def shared(self, item: Any) -> Any:
        """The same, with tensors that were met before in place of equal ones."""
        if isinstance(item, Tensor):
            for known in self.held:
                if known.shape == item.shape and known.dtype == item.dtype and torch.equal(known, item):
                    return known
            self.held.append(item)
            return item
        if isinstance(item, Mapping):
            return {k: self.shared(v) for k, v in item.items()}
        return type(item)(self.shared(v) for v in item) if type(item) in (tuple, list) else item


Pretend = Callable[[int, tuple[Any, ...], dict[str, Any]], Any]
"""Takes the number of a block and what it is called with; gives what stands for its output."""


class _StopError(Exception):
    """The last block was reached."""


def noted(args: tuple[Any, ...], kwargs: Mapping[str, Any], pool: Pool) -> tuple[Call, Tensor]:
    """(what a block is called with, its hidden states)."""
    if args:
        return Call(pool.shared(args[1:]), pool.shared(kwargs), ""), args[0]
    named = next(k for k, v in kwargs.items() if isinstance(v, Tensor))
    rest = {k: v for k, v in kwargs.items() if k != named}
    return Call((), pool.shared(rest), named), kwargs[named]


def pretending(blocks: Sequence[Any], pretend: Pretend) -> Callable[[Callable[[], Any]], None]:
    """A function that runs what it is given with `pretend(i, args, kwargs)` in place of each block's forward pass."""

    def go(work: Callable[[], Any]) -> None:
        try:
            for i, block in enumerate(blocks):
                block.forward = lambda *args, _i=i, **kwargs: pretend(_i, args, kwargs)
            work()
        finally:
            for block in blocks:
                block.__dict__.pop("forward", None)

    return go


def calls_of(
    blocks: Sequence[Any], work: Callable[[], Any], form: Callable[[Call, Tensor], Callable[[Tensor], Any]], pool: Pool
) -> tuple[list[Call], Tensor]:
    """(how each block is called, the hidden states before the first), of a pass that `work` runs; no block is computed.

    `form` gives what makes a block's output of hidden states, from a call of the first block.

    Raises:
        DataError: the pass does not reach every block.
    """
    calls: list[Call] = []
    first: list[Tensor] = []
    made: list[Callable[[Tensor], Any]] = []

    def pretend(i: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call, hidden = noted(args, kwargs, pool)
        calls.append(call)
        if i == 0:
            first.append(hidden)
        if i + 1 == len(blocks):
            raise _StopError
        if not made:
            made.append(form(call, hidden))
        return made[0](hidden)

    try:
        pretending(blocks, pretend)(work)
    except _StopError:
        if len(calls) == len(blocks) and first:
            return calls, first[0]
    raise DataError(f"the model called {len(calls)} of its {len(blocks)} blocks")


def form_of(output: Any) -> Callable[[Tensor], Any]:
    """What makes a block's output of hidden states, from one that it gave: all of it, or the first of several."""
    if isinstance(output, Tensor):
        return lambda hidden: hidden
    rest = tuple(output[1:])
    return lambda hidden: (hidden, *rest)


def states_in(output: Any) -> Tensor:
    """The hidden states that a block gives."""
    return output[0] if isinstance(output, tuple | list) else output
