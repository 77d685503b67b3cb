"""Objectives that a method offers to differentiate."""

from collections.abc import Sequence

from penjing.errors import PenjingError, nearest


def known(objective: str, offered: Sequence[str]) -> str:
    """The objective, if it is one of those on offer.

    Raises:
        PenjingError: it is not.
    """
    if objective not in offered:
        raise PenjingError(
            f"objective '{objective}' is not known{nearest(objective, offered)}; choose {', '.join(offered)}"
        )
    return objective
