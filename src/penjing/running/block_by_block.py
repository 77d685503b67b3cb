"""A model in memory gone through block by block: each is measured behind blocks that are cut already, then cut."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate.batches import Batch, run
from penjing.calibrate.finite import NotFiniteError
from penjing.calibrate.statistic import Reads
from penjing.calibrate.statistics import find, known
from penjing.core import Edit, Layout, Stats
from penjing.errors import DataError, UnsupportedError
from penjing.running.block import Call, CutBlock

Decide = Callable[[Sequence[str], Stats], Sequence[Edit]]


@dataclass(frozen=True, eq=False)
class RunningBlocks:
    """`core.BlockByBlock` of a module and batches that lie in memory.

    `names` maps stored names to those of the module where they differ; `progress` gets (blocks done, all blocks).
    The target of a layer that adds to the residual stream is the dense stream after it less the cut stream before it.
    Inside a branch, and where a block is not the sum of its input and of what its layers add, the target is what the
    dense layer gives. Each block is cut as a copy, one at a time, so the module is never edited.
    """

    module: nn.Module
    batches: Sequence[Batch]
    layout: Layout
    names: Mapping[str, str] | None = None
    progress: Callable[[int, int], None] = lambda done, total: None

    def edits(self, axes: Sequence[str], statistics: frozenset[str], decide: Decide) -> list[Edit]:
        """All that was decided, in order; see `core.BlockByBlock`.

        Raises:
            UnsupportedError: the model cannot be run block by block: there is not one list of blocks, or an axis does
                not lie within one of them, or a block does not take what the one before it gives.
            DataError: there are no data, or they do not serve.
            PlanError: an edit does not fit.
        """
        _require_known(statistics, "inputs", "targets")
        stages = self._stages(axes)

        def through(block: CutBlock, number: int) -> None:
            for names in block.in_order(stages.get(number, [])):
                block.edit(decide(names, block.measured(block.readers(names), statistics)))

        return self._go(max(stages, default=-1), through)

    def weights(self, tensors: Sequence[str], statistics: frozenset[str], decide: Decide) -> list[Edit]:
        """All that was decided, in order; see `core.BlockByBlock`.

        Raises:
            UnsupportedError: as `edits`, or a tensor does not lie within a block.
            DataError: as `edits`.
            PlanError: an edit does not fit.
        """
        _require_known(statistics, "inputs")
        self._require_one_list()
        stages: dict[int, list[str]] = {}
        for tensor in tensors:
            stages.setdefault(self._within({tensor}, tensor), []).append(tensor)

        def through(block: CutBlock, number: int) -> None:
            if names := stages.get(number, []):
                block.edit(decide(names, block.measured(names, statistics)))

        return self._go(max(stages, default=-1), through)

    def _go(self, last: int, through: Callable[[CutBlock, int], None]) -> list[Edit]:
        """The edits of all blocks up to the last, each of which goes `through` measuring and editing."""
        try:
            with _evaluating(self.module), torch.no_grad():
                return self._gone_through(last, through)
        except NotFiniteError as bad:
            raise DataError(
                f"{bad.what} hold {bad.count} values that are not finite, needed are finite ones; check the weights"
            ) from bad

    def _gone_through(self, last: int, through: Callable[[CutBlock, int], None]) -> list[Edit]:
        blocks = list(self.module.get_submodule(self.layout.blocks[0].path).children())[: last + 1]
        calls, dense = _called(self.module, blocks, self.batches)
        streams, edits = (dense, list(dense)), list[Edit]()
        for i, module in enumerate(blocks):
            block = CutBlock(module, self._inside(i), self.layout, [each[i] for each in calls], streams)
            through(block, i)
            edits += block.edits
            if i < last:
                block.push()
            self.progress(i + 1, last + 1)
        return edits

    def _stages(self, axes: Sequence[str]) -> dict[int, list[set[str]]]:
        """Block -> the axes in it, those together that share a reader."""
        self._require_one_list()
        stages: dict[int, list[set[str]]] = {}
        for axis in axes:
            block = self._within(self.layout.tensors(axis), f"axis '{axis}'")
            joined, rest = {axis}, []
            for group in stages.get(block, []):
                if self._readers(group) & self._readers(joined):
                    joined |= group
                else:
                    rest.append(group)
            stages[block] = [*rest, joined]
        return stages

    def _require_one_list(self) -> None:
        if len(self.layout.blocks) != 1:
            lists = ", ".join(b.path for b in self.layout.blocks) or "no list of blocks"
            raise UnsupportedError(f"going block by block needs one list of blocks, found {lists}; plan at once")

    def _within(self, tensors: Iterable[str], what: str) -> int:
        """The block in which all of the tensors lie."""
        found = {self._block_of(t) for t in tensors}
        block = next(iter(found), None)
        if len(found) != 1 or block is None:
            path = self.layout.blocks[0].path
            raise UnsupportedError(f"{what} does not lie within one block of {path}; protect it, or plan at once")
        return block

    def _readers(self, axes: set[str]) -> set[str]:
        return {t for a in axes for t, _ in self.layout.readers(a)}

    def _block_of(self, tensor: str) -> int | None:
        start = self.layout.blocks[0].path + "."
        own = (self.names or {}).get(tensor, tensor)
        number = own.removeprefix(start).split(".")[0]
        return int(number) if own.startswith(start) and number.isdigit() else None

    def _inside(self, number: int) -> dict[str, str]:
        """Tensors of a block -> their names within it."""
        start = f"{self.layout.blocks[0].path}.{number}."
        own = {t: (self.names or {}).get(t, t) for t in self.layout.patterns}
        return {t: name.removeprefix(start) for t, name in own.items() if name.startswith(start)}


def _require_known(statistics: frozenset[str], *reads: Reads) -> None:
    had = [name for name in known() if find(name).reads in reads]
    if unknown := sorted(statistics.difference(had)):
        raise DataError(
            f"statistic '{unknown[0]}' cannot be had block by block of a model that is cut; known: {', '.join(had)}"
        )


class _StopError(Exception):
    """The last block that matters was reached."""


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple | list) else output


def _called(
    module: nn.Module, blocks: Sequence[nn.Module], batches: Sequence[Batch]
) -> tuple[list[list[Call]], list[Tensor]]:
    """(for each batch, how each block is called; the hidden states before the first)."""
    if not batches:
        raise DataError("found no calibration data, needed at least one batch; give a text or other examples")
    calls: list[list[Call]] = []
    first: list[Tensor] = []
    for batch in batches if blocks else ():
        noted = _Noted(len(blocks))
        with ExitStack() as stack:
            for i, block in enumerate(blocks):
                stack.callback(block.register_forward_pre_hook(noted.before(i), with_kwargs=True).remove)
                stack.callback(block.register_forward_hook(noted.after).remove)
            with suppress(_StopError):
                run(module, batch)
        if len(noted.calls) != len(blocks):
            count = len(noted.calls)
            raise UnsupportedError(f"the model ran {count} of {len(blocks)} blocks on the data; plan at once")
        calls.append(noted.calls)
        first.append(noted.first)
    return calls, first


class _Noted:
    """What the blocks are called with when the model runs, up to the last one of `count`."""

    def __init__(self, count: int) -> None:
        self.calls: list[Call] = []
        self._count = count
        self._hidden: Tensor | None = None
        self.first = torch.empty(0)

    def before(self, number: int) -> Callable[[nn.Module, Any, Any], None]:
        """A hook that notes what block `number` is called with, and that it takes what the one before gave.

        Raises:
            UnsupportedError: a block does not take what the one before it gives.
        """

        def hook(block: nn.Module, args: Any, kwargs: Any) -> None:
            named = "" if args else next(k for k, v in kwargs.items() if isinstance(v, Tensor))
            hidden = kwargs[named] if named else args[0]
            follows = self._hidden is None or (self._hidden.shape == hidden.shape and torch.equal(self._hidden, hidden))
            if number != len(self.calls) or not follows:
                raise UnsupportedError(f"block {number} does not take what the block before it gives; plan at once")
            if not number:
                self.first = hidden.detach()
            self.calls.append(_call(named, args[1:], {k: v for k, v in kwargs.items() if k != named}))
            if len(self.calls) == self._count:
                raise _StopError

        return hook

    def after(self, block: nn.Module, args: Any, output: Any) -> None:
        """A hook that notes what a block gives."""
        self._hidden = _first(output)


def _call(named: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """A call with other hidden states, which go under the name `named`, or first."""

    def again(block: nn.Module, hidden: Tensor) -> Tensor:
        return _first(block(*args, **{named: hidden}, **kwargs) if named else block(hidden, *args, **kwargs))

    return again


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
