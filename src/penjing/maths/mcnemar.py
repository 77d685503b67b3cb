"""Whether two models that were asked the same questions are right equally often.

Only the items count on which exactly one of the two is right; if neither model is better, each of them is a fair coin.

Source: McNemar, Psychometrika 12 (1947); mid-p: Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13
(2013).
"""

from penjing.errors import DataError


def exact_p(lost: int, gained: int) -> float:
    """Two-sided binomial p, 0 to 1: `lost` items only the first has right, `gained` only the second.

    It holds its level for any number of items, and is cautious for few.

    >>> exact_p(5, 0)
    0.0625

    Raises:
        DataError: a count is below 0.
    """
    _, at_most = _tails(lost, gained)
    return 1.0 if lost == gained else min(1.0, 2 * at_most)


def mid_p(lost: int, gained: int) -> float:
    """The same with half the probability of what was seen: nearer to its level on average, sometimes just above it.

    >>> mid_p(5, 0)
    0.03125

    Raises:
        DataError: a count is below 0.
    """
    below, at_most = _tails(lost, gained)
    # for equal counts the two tails share what was seen, and its halves add up with them to 1 less half of it
    return 1 - (at_most - below) / 2 if lost == gained else below + at_most


def _tails(lost: int, gained: int) -> tuple[float, float]:
    """How likely fair coins give fewer heads than the smaller of both counts, and at most as many."""
    from scipy.special import bdtr

    if lost < 0 or gained < 0:
        raise DataError(f"found {lost} items lost and {gained} gained; counts are 0 or more")
    n, smaller = lost + gained, min(lost, gained)
    return float(bdtr(smaller - 1, n, 0.5)) if smaller else 0.0, float(bdtr(smaller, n, 0.5))
