"""Whether a value is what a setting takes, by the type that its field has."""

from collections.abc import Sequence
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from penjing.errors import nearest

WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", NoneType: "nothing"}


class UnfitError(Exception):
    """The value is no such thing; the message says what is taken. It does not leave `core`."""


def fitted(value: Any, kind: Any) -> Any:
    """The value as a setting of this type takes it: lists are tuples, and one thing is a tuple of one.

    >>> fitted(0.5, tuple[float, ...]), fitted([1, 2], tuple[int, ...]), fitted(None, int | None)
    ((0.5,), (1, 2), None)

    Raises:
        UnfitError: it is something else. Of types that are not plain nothing is refused.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in parts:
            hint = nearest(value, [p for p in parts if isinstance(p, str)]) if isinstance(value, str) else ""
            raise UnfitError(f"one of {', '.join(map(str, parts))}{hint}")
        return value
    if origin in (Union, UnionType):
        return _any(value, parts)
    if origin is tuple and len(parts) == 2 and parts[1] is ...:
        every = value if isinstance(value, list | tuple) else [value]
        return tuple(_each(one, parts[0]) for one in every)
    if kind in WORDS and not _is(value, kind):
        raise UnfitError(WORDS[kind])
    return tuple(value) if isinstance(value, list) else value


def _each(value: Any, kind: Any) -> Any:
    try:
        return fitted(value, kind)
    except UnfitError as error:
        raise UnfitError(f"several, each {error}") from error


def _any(value: Any, kinds: Sequence[Any]) -> Any:
    said = []
    for kind in kinds:
        try:
            return fitted(value, kind)
        except UnfitError as error:
            said.append(str(error))
    raise UnfitError(" or ".join(said))


def _is(value: Any, kind: Any) -> bool:
    if kind is bool or kind is NoneType or kind is str:
        return isinstance(value, kind)
    wanted = Integral if kind is int else Real
    return isinstance(value, wanted) and not isinstance(value, bool)
