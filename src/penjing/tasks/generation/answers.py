"""Reading an answer off a reply, and comparing it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from penjing.errors import DataError

STRICT = r"#### (\-?[0-9\.\,]+)"
FLEXIBLE = r"(-?[$0-9.,]{2,})|(-?[0-9]+)"


def strict_number(text: str) -> str | None:
    """The first number after `####`, as the solved examples write it; None without one.

    >>> strict_number("so 6 x 3 = 18. #### 18, or #### 19")
    '18,'
    """
    found = re.search(STRICT, text)
    return found[1] if found else None


def flexible_number(text: str) -> str | None:
    """The last thing that looks like a number; None without one.

    >>> flexible_number("3 boxes cost $1,200.")
    '$1,200.'
    """
    found = [next((g for g in m if g), "") for m in re.findall(FLEXIBLE, text)]
    return found[-1].strip() if found else None


def plain_number(text: str) -> str:
    """A number without commas, dollar signs, what stands before `#### `, its final dot and case.

    >>> plain_number("$1,200.")
    '1200'
    """
    text = re.sub(r"(?s).*#### ", "", text.replace(",", "").replace("$", ""))
    return re.sub(r"\.$", "", text).lower()


def whole(text: str) -> str | None:
    """The reply itself."""
    return text


def stripped(text: str) -> str:
    """The text without white space around it."""
    return text.strip()


@dataclass(frozen=True)
class Reading:
    """How an answer is read off a reply (None: there is none) and made comparable."""

    name: str
    extract: Callable[[str], str | None]
    normalise: Callable[[str], str]


def pattern(regex: str) -> Reading:
    """Read off the first match of a regular expression, as BIG-bench's `output_regex` does; white space is no matter.

    Raises:
        DataError: it is no regular expression, or has more than one group.
    """
    try:
        made = re.compile(regex)
    except re.error as error:
        raise DataError(f"'{regex}' is no regular expression ({error}); correct the task's output_regex") from error
    if made.groups > 1:
        raise DataError(f"'{regex}' has {made.groups} groups, needed one or none; write the others as (?:...)")

    def first(text: str) -> str | None:
        found = made.search(text)
        return found[made.groups] if found else None

    return Reading(f"pattern {regex}", first, stripped)


READINGS: Mapping[str, Reading] = MappingProxyType(
    {
        "exact": Reading("exact", whole, stripped),
        "strict": Reading("strict", strict_number, plain_number),
        "flexible": Reading("flexible", flexible_number, plain_number),
    }
)
"""The readings that have names."""


def matches(reply: str, targets: tuple[str, ...], reading: Reading) -> tuple[bool, str | None]:
    """Whether what is read off a reply equals any target, both made comparable; and what was read off."""
    found = reading.extract(reply)
    if found is None:
        return False, None
    return reading.normalise(found) in {reading.normalise(t) for t in targets}, found
