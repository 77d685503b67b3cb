"""How many blocks or sublayers go under a budget, and which may: those at both ends stay unless somebody asks."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor

from penjing.core import Blocks, Budget, Checkpoint, Layout
from penjing.errors import BudgetError, PlanError, UnsupportedError
from penjing.select import blocks as block
from penjing.select.uniform import cost

T = TypeVar("T")
WHY = (
    "the first blocks turn tokens into what all others read and the last into what the output reads: they look alike "
    "to a similarity and cannot be missed"
)


def the_list(layout: Layout) -> Blocks:
    """The one list of blocks.

    Raises:
        UnsupportedError: there is none, or there are several.
    """
    if len(layout.blocks) != 1:
        found = ", ".join(b.path for b in layout.blocks) or "none"
        raise UnsupportedError(f"dropping needs one list of blocks, found {found}; choose a method that cuts widths")
    return layout.blocks[0]


def inner(size: int, ends: int) -> range:
    """The blocks that may go: all but `ends` at the beginning and at the end.

    Raises:
        PlanError: `ends` is below zero.
    """
    if ends < 0:
        raise PlanError(f"ends is {ends}; needed 0 or more blocks that stay at both ends")
    return range(ends, max(ends, size - ends))


def likeliest(similarities: Tensor, allowed: Sequence[int], count: int) -> tuple[int, ...]:
    """The `count` most similar of the allowed places, ascending; of equal ones the deeper goes."""
    order = sorted(allowed, key=lambda k: (-float(similarities[k]), -k))
    return tuple(sorted(order[:count]))


def stretch(similarities: Sequence[Tensor], allowed: range, count: int) -> tuple[int, ...]:
    """The `count` neighbouring places of the allowed that are most similar together; of equal ones the deeper.

    `similarities` [places from this one on] are those of the stretches that begin at each place.
    """
    if not count:
        return ()
    starts = range(allowed.start, allowed.stop - count + 1)
    first = max(starts, key=lambda i: (float(similarities[i][count - 1]), i))
    return tuple(range(first, first + count))


def under(
    budget: Budget, total: int, most: int, choose: Callable[[int], T], takes: Callable[[T], float], *, what: str
) -> T:
    """What goes: of `keep` the nearest number of `total`, of a limit the fewest that meet it; at most `most`.

    Raises:
        BudgetError: more would have to go than may, or the limit needs measuring.
    """
    if budget.keep is not None:
        count = total - max(0, round(budget.keep * total))
        if count > most:
            raise _too_many(count, most, total, what)
        return choose(count)
    for count in range(most + 1):
        found = choose(count)
        if takes(found) <= budget.limit:
            return found
    raise BudgetError(
        f"{budget.unit} of at most {budget.limit:,.0f} were asked for, and {takes(choose(most)):,.0f} remain without "
        f"the {most} {what} that may go; allow at least that, let fewer stay at the ends, or cut widths as well"
    )


def _too_many(count: int, most: int, total: int, what: str) -> BudgetError:
    if count == total:
        return BudgetError(f"all {total} {what} would go, and one has to stay; keep more of them")
    return BudgetError(
        f"{count} of {total} {what} would go, and {most} may: {WHY}; keep {(total - most) / total:.2g} or more, or set "
        "ends to a lower number"
    )


def blocks_under(
    layout: Layout, model: Checkpoint, budget: Budget, most: int, choose: Callable[[int], tuple[int, ...]]
) -> tuple[int, ...]:
    """The blocks that stay, ascending, where `choose` gives those of which a number goes; at least one stays.

    Raises:
        BudgetError: as `under`.
    """
    of = the_list(layout)

    def left(gone: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(k for k in range(of.size) if k not in gone)

    gone = under(
        budget, of.size, min(most, of.size - 1), choose,
        lambda gone: cost(block.without(layout, of, left(gone)), {}, budget, model), what="blocks",
    )  # fmt: skip
    return left(gone)
