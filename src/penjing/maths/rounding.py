"""Sizes that hardware likes."""

from penjing.errors import BudgetError

LIKED = (64, 32, 16, 8)


def to_multiple(wanted: float, multiple: int, *, full: int, least: int = 1) -> int:
    """The size nearest to `wanted` that is a multiple of `multiple`, or `full` itself.

    It is never 0, never below `least` and never above `full`; ties go up.

    >>> to_multiple(70, 32, full=100)
    64
    >>> to_multiple(99, 32, full=100)
    100

    Raises:
        BudgetError: `multiple` is below 1.
    """
    if multiple < 1:
        raise BudgetError(f"sizes cannot be multiples of {multiple}; give a multiple of 1 or more")
    lowest = smallest(multiple, full=full, least=least)
    if wanted <= lowest:
        return lowest
    if wanted >= full:
        return full
    below = int(wanted // multiple) * multiple
    above = min(below + multiple, full)
    return max(lowest, above if above - wanted <= wanted - below else below)


def smallest(multiple: int, *, full: int, least: int = 1) -> int:
    """The smallest size that `to_multiple` can give."""
    return min(full, max(1, -(-least // multiple)) * multiple)


def liked(size: int) -> int:
    """The largest of 64, 32, 16 and 8 that is at most an eighth of `size`; 1 for a size below 64.

    >>> liked(1536), liked(160), liked(60)
    (64, 16, 1)
    """
    return next((m for m in LIKED if 8 * m <= size), 1)
