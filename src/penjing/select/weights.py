"""Which weights a sparse method may zero, seen as matrices with a row for each output."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from penjing.core import Budget, Layout
from penjing.core.layout import globs_of
from penjing.core.pattern import names, shape
from penjing.errors import BudgetError, DataError, LayoutError, UnsupportedError
from penjing.maths.sparse_masks import best_of_groups, best_of_rows, zeros_of
from penjing.select.blocks import members

_WORDS = "vocabulary"


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One stored tensor and the dimensions over which its product sums (`inputs`): channels first, then the window."""

    tensor: str
    shape: tuple[int, ...]
    inputs: tuple[int, ...]

    @property
    def columns(self) -> int:
        """How many weights feed one output."""
        return math.prod(self.shape[d] for d in self.inputs)

    @property
    def plain(self) -> bool:
        """Whether each column is one input of its own: a linear layer, not a convolution with a window."""
        return self.columns == self.shape[self.inputs[0]]

    def rows(self, tensor: Tensor) -> Tensor:
        """[outputs columns] of a tensor of this shape."""
        return tensor.permute(self._order()).reshape(-1, self.columns)

    def back(self, rows: Tensor) -> Tensor:
        """[as stored] of what `rows` gave."""
        order = self._order()
        moved = rows.reshape([self.shape[d] for d in order])
        return moved.permute([order.index(d) for d in range(len(order))]).contiguous()

    def spread(self, statistic: Tensor) -> Tensor:
        """[1 columns], or [outputs columns] where groups read different inputs, from one number per input.

        Raises:
            DataError: the statistic is of another number of inputs.
        """
        channels = self.shape[self.inputs[0]]
        if len(statistic) % channels:
            raise DataError(f"{self.tensor} reads {channels} inputs and its statistic has {len(statistic)}; collect it")
        groups = len(statistic) // channels
        each = statistic.view(groups, channels).repeat_interleave(self.columns // channels, dim=1)
        outputs = math.prod(self.shape) // self.columns
        return each if groups == 1 else each.repeat_interleave(outputs // groups, dim=0)

    def _order(self) -> list[int]:
        return [d for d in range(len(self.shape)) if d not in self.inputs] + list(self.inputs)


def matrices(layout: Layout, tensors: str = "*", *, protect: str | Sequence[str] = ()) -> list[Matrix]:
    """The weights that products read, without embeddings and what gives words, in the layout's order.

    `tensors` and `protect` are globs of tensors' names (commas separate). "*" means all in blocks, where the model
    has blocks, and else all; another glob may name weights outside blocks too.

    Raises:
        LayoutError: nothing is left, or a glob of `protect` matches nothing.
        UnsupportedError: the model has no such weights at all.
    """
    every = {m.tensor: m for t in layout.patterns if (m := _matrix(layout, t)) is not None}
    found = _in_blocks(layout, every) if tensors == "*" else [t for t in every if _named(t, globs_of(tensors))]
    spared = globs_of(protect)
    for glob in spared:
        if not any(_named(t, (glob,)) for t in layout.patterns):
            raise LayoutError(f"no tensor matches '{glob}', which is to be protected; correct the glob")
    left = [every[t] for t in found if not _named(t, spared)]
    if not every:
        raise UnsupportedError(
            "this model has no weight that a product reads in one direction only, so none has rows to rank; "
            "take units away instead"
        )
    if not left:
        raise LayoutError(
            f"no weight of a product matches '{tensors}' unprotected; this model has {len(every)}, such as "
            f"{next(iter(every))}"
        )
    return left


def density(budget: Budget) -> float:
    """The share of the chosen weights that stays.

    Raises:
        BudgetError: the budget is another one: zeros alone save no parameters, bytes or multiply-adds.
    """
    if budget.keep is None:
        raise BudgetError(
            f"a sparse method leaves every shape as it is, so it cannot meet a limit of {budget}; "
            "give keep, the share of weights that stay"
        )
    return budget.keep


def group_of(pattern: str, keep: float, chosen: Sequence[Matrix]) -> tuple[int, int] | None:
    """(weights that stay, of how many neighbours) of a pattern such as "2:4", None for an empty one.

    Raises:
        BudgetError: it is no such pattern, it keeps another share than asked for, or it does not divide the inputs.
    """
    if not pattern:
        return None
    parts = pattern.split(":")
    if len(parts) != 2 or not all(p.isdecimal() for p in parts) or not 0 < int(parts[0]) <= int(parts[1]):
        raise BudgetError(f"'{pattern}' is no pattern; write how many stay of how many neighbours, such as 2:4")
    stay, of = int(parts[0]), int(parts[1])
    if abs(stay / of - keep) > 1e-9:
        raise BudgetError(f"pattern {pattern} keeps {stay / of:g} of the weights, not {keep:g}; ask for that share")
    wrong = next((m for m in chosen if m.columns % of), None)
    if wrong is not None:
        raise BudgetError(
            f"{wrong.tensor} has {wrong.columns} inputs, which is no multiple of {of}, as pattern {pattern} needs; "
            "protect it or choose another pattern"
        )
    return stay, of


def by_rows(scores: Tensor, keep: float, group: tuple[int, int] | None) -> Tensor:
    """[outputs columns] bool: the same share of every row, or the pattern's share of every few neighbours.

    Raises:
        DataError: a score is not a number.
    """
    if group is not None:
        return best_of_groups(scores, *group)
    return best_of_rows(scores, zeros_of(scores.shape[1], keep))


def zero_counts(masks: Sequence[Tensor]) -> dict[str, int]:
    """For a plan's `made`: how many weights the masks are of, and how many they zero."""
    zeros = sum(int(torch.count_nonzero(~m)) for m in masks)
    return {"weights": sum(m.numel() for m in masks), "zeros": zeros}


def _matrix(layout: Layout, tensor: str) -> Matrix | None:
    pattern, reads = layout.patterns[tensor], layout.reads.get(tensor, ())
    if not reads or len(pattern) < 2 or tensor in layout.unreached:
        return None
    if any(n.split(".", 1)[0] == _WORDS for n in names(pattern)):
        return None
    window = [d for d, dim in enumerate(pattern) if any(n.startswith("kernel.") for n in names((dim,)))]
    inputs = (*reads, *(d for d in window if d not in reads))
    sizes = shape(pattern, {})
    return None if len(inputs) == len(pattern) else Matrix(tensor=tensor, shape=sizes, inputs=inputs)


def _in_blocks(layout: Layout, every: dict[str, Matrix]) -> list[str]:
    if not layout.blocks:
        return list(every)
    inside = {t for blocks in layout.blocks for t in members(layout, blocks)}
    return [t for t in every if t in inside]


def _named(tensor: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(tensor, g) for g in globs)
