"""The 25 kinds of instruction by their official names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from penjing.data.instructions import PARAMETERS, Sort
from penjing.tasks.instructions import (
    case,
    combination,
    content,
    format,
    keywords,
    language,
    length,
    punctuation,
    startend,
)

_GROUPS = {
    "keywords": keywords, "language": language, "length_constraints": length, "detectable_content": content,
    "detectable_format": format, "combination": combination, "startend": startend, "change_case": case,
    "punctuation": punctuation,
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """What an instruction needs to know, and `check(text, **parameters)`: whether a response follows it."""

    parameters: Mapping[str, Sort]
    check: Callable[..., bool]


def _kind(name: str) -> Kind:
    group, _, what = name.partition(":")
    return Kind(PARAMETERS[name], getattr(_GROUPS[group], what))


KINDS: Mapping[str, Kind] = MappingProxyType({name: _kind(name) for name in PARAMETERS})
"""Official name -> parameters and check; the function in the group's file bears the second half of the name."""
