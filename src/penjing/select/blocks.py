"""How many blocks of a list stay, and which weights lie in each."""

import re
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from penjing.core import Blocks, Budget, Checkpoint, Layout
from penjing.core.layout import globs_of, matches
from penjing.core.pattern import names
from penjing.errors import BudgetError, LayoutError
from penjing.layouts import costs
from penjing.maths.rounding import to_multiple
from penjing.maths.topk import best


def named(layout: Layout, axes: str | None, *, protect: str | Sequence[str] = ()) -> list[Blocks]:
    """The lists of blocks whose axes are named by a glob of `axes` that begins with "blocks" (commas separate).

    Whoever names blocks allows them to be dropped, though no block has a mask to equal; "*" does not name them.
    """
    asked, spared = [g for g in globs_of(axes or "") if g.split(".", 1)[0] == "blocks"], globs_of(protect)
    found = [b for b in layout.blocks if any(matches(b.axis, g) for g in asked)]
    return [b for b in found if not any(matches(b.axis, g) for g in spared)]


def paths(blocks: Blocks) -> list[str]:
    """The module path of each block, in order."""
    return [f"{blocks.path}.{k}" for k in range(blocks.size)]


def members(layout: Layout, blocks: Blocks) -> dict[str, int]:
    """Tensor -> the number of the block it lies in, for all tensors in blocks.

    Raises:
        LayoutError: no tensor lies in a block.
    """
    words = blocks.path.split(".")
    for start in range(len(words)):  # a file may leave out the name of the outer module
        tail = re.escape(".".join(words[start:]))
        found = {t: int(m[1]) for t in layout.patterns if (m := re.match(rf"(?:.*\.)?{tail}\.(\d+)\.", t))}
        if found:
            return found
    raise LayoutError(f"no tensor lies under '{blocks.path}', so its blocks have no weights; check the layout")


def without(layout: Layout, blocks: Blocks, kept: Sequence[int]) -> Layout:
    """The layout of only the `kept` blocks, under their old numbers: what is left to count costs of."""
    stays = set(kept)
    gone = {t for t, k in members(layout, blocks).items() if k not in stays}
    patterns = {t: p for t, p in layout.patterns.items() if t not in gone}
    left = {a for p in patterns.values() for a in names(p)}
    dead = {a for t in gone for a in names(layout.patterns[t])} - left
    work = tuple(w for w in layout.work if w.tensor not in gone and not dead.intersection(w.axes))
    return replace(layout, patterns=patterns, work=work)


def best_blocks(
    layout: Layout, blocks: Blocks, scores: Tensor, budget: Budget, *, model: Checkpoint
) -> tuple[int, ...]:
    """The blocks with the highest `scores` [blocks] that meet a budget, ascending; at least one stays.

    Of `keep` the nearest number is taken; a limit on parameters, macs or bytes is never exceeded.

    Raises:
        BudgetError: one block alone is above the limit, or the limit needs measuring.
    """
    if budget.keep is not None:
        return best(scores, to_multiple(budget.keep * blocks.size, 1, full=blocks.size))
    found = 0.0
    for count in range(blocks.size, 0, -1):
        units = best(scores, count)
        found = _cost(without(layout, blocks, units), budget, model)
        if found <= budget.limit:
            return units
    raise BudgetError(
        f"{budget.unit} of at most {budget.limit:,.0f} were asked for, but {found:,.0f} remain with one block of "
        f"'{blocks.axis}'; allow at least that, or cut widths as well"
    )


def _cost(layout: Layout, budget: Budget, model: Checkpoint) -> float:
    if budget.unit == "parameters":
        return costs.parameters(layout)
    if budget.unit == "bytes":
        return costs.weight_bytes(layout, model.dtypes)
    if budget.unit == "macs":
        tokens = any(w.tokens for w in layout.work)
        return costs.macs_per_token(layout) if tokens else costs.macs(layout)
    raise BudgetError(
        f"a budget in {budget.unit} needs measuring, which a choice of blocks does not do; "
        "give keep, parameters, macs or bytes"
    )
