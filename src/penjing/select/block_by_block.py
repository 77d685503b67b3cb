"""Whether a method sees the model at once, or block by block, each behind those that are cut already."""

from typing import Literal

from penjing.errors import PlanError

Walks = Literal["at once", "block by block"]
AT_ONCE: Walks = "at once"
BY_BLOCK: Walks = "block by block"


def known(walk: str) -> None:
    """Make sure that a setting `walk` is one of these.

    Raises:
        PlanError: it is not.
    """
    if walk not in (AT_ONCE, BY_BLOCK):
        raise PlanError(f"walk is '{walk}', needed '{AT_ONCE}' or '{BY_BLOCK}'")
