"""What an option of a request is: its default, its help, the flag it is typed as, and how a value of it is read.

Nothing heavy is imported here, so that `penjing --help` answers at once.
"""

import os
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, Literal, Union, get_args, get_origin

from penjing.errors import RequestError, nearest

Kind = Literal["", "count", "bytes", "path", "file"]
"""How a value is read: a count (100M), a size (2GB), a place that is read, a file of any other kind."""

_SCALE = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_NAMES = {
    bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a list", dict: "a table",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Option:
    """What people are told of one option; the field that carries it has its name, its type and its default.

    `flag` is how it is typed (None: only from Python), `short` a letter for it, `off` the flag that says no. An
    `argument` has no flag, and what is `needed` no default on the command line. `shown` is the default as people should
    read it, where that is not the value. `least` bounds a number. `joined` says that one flag takes several, with
    commas. `recorded` is False for what changes no result.
    """

    help: str
    flag: str | None = ""
    argument: bool = False
    needed: bool = False
    short: str = ""
    off: str = ""
    metavar: str = ""
    shown: str = ""
    least: float | None = None
    kind: Kind = ""
    joined: bool = False
    recorded: bool = True
    known: tuple[str, ...] = ()


def option(default: Any, help: str, **more: Any) -> Any:
    """A field with this default (MISSING: it must be given) and this help; `more` are entries of `Option`."""
    told = {"option": Option(help=help, **more)}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=told)
    return field(metadata=told) if default is MISSING else field(default=default, metadata=told)


def again(cls: type, name: str, default: Any, **more: Any) -> Any:
    """The field `name` of another class with another default."""
    known = next(f for f in fields(cls) if f.name == name)
    return field(default=default, metadata={"option": replace(known.metadata["option"], **more)})


def options(cls: Any) -> dict[str, tuple[Field[Any], Option]]:
    """Name -> (field, option) of a class, in its order."""
    return {f.name: (f, f.metadata["option"]) for f in fields(cls) if "option" in f.metadata}


def default_of(one: Field[Any]) -> Any:
    """The default of a field; MISSING if it must be given."""
    return one.default_factory() if one.default_factory is not MISSING else one.default


def flag_of(one: Field[Any]) -> str | None:
    """What is typed for a field, such as `--limit-bytes`; None if it is for Python only."""
    told: Option = one.metadata["option"]
    return told.flag if told.flag is None or told.flag else f"--{one.name.replace('_', '-')}"


def kinds_of(annotation: Any) -> tuple[type, ...]:
    """The types that a value may have, None left out; of `tuple[str, ...]` it is `tuple`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(kind for part in get_args(annotation) for kind in kinds_of(part))
    found = get_origin(annotation) or annotation
    return () if found is type(None) else (dict if found is Mapping else found,)


def part_of(annotation: Any) -> type | None:
    """What a tuple holds: `str` for `tuple[str, ...] | None`; None for what is no tuple."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return next((get_args(p)[0] for p in parts if get_origin(p) is tuple), None)


def settle(request: Any) -> None:
    """Read every field of a request just made: counts from text, lists as tuples, paths as text.

    Raises:
        RequestError: a value is of another kind than its field, or out of range.
    """
    for name, (one, _) in options(request).items():
        object.__setattr__(request, name, read(one, getattr(request, name)))


def read(one: Field[Any], value: Any) -> Any:
    """The value of a field from what was given.

    Raises:
        RequestError: it is of another kind than the field, or out of range.
    """
    told: Option = one.metadata["option"]
    if value is None and default_of(one) is not MISSING:
        return default_of(one)
    kinds = kinds_of(one.type)
    if tuple in kinds:
        return _several(one, value)
    if object in kinds:
        return os.fspath(value) if isinstance(value, os.PathLike) else value
    if dict in kinds and isinstance(value, Mapping):
        return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    value = _converted(one.name, told, kinds, value)
    if not isinstance(value, kinds) or isinstance(value, bool) != (bool in kinds):
        raise RequestError(f"{one.name} is {value!r}; needed {_wanted(kinds, told)}")
    if told.known and value not in told.known:
        raise RequestError(f"{one.name} is '{value}'{nearest(value, told.known)}; it is one of {', '.join(told.known)}")
    if told.least is not None and not value >= told.least:
        raise RequestError(f"{one.name} is {value:g}; needed {told.least:g} or more")
    return value


def _converted(name: str, told: Option, kinds: tuple[type, ...], value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if told.kind in ("count", "bytes"):
        if isinstance(value, str):
            return amount(value, name, size=told.kind == "bytes")
        if isinstance(value, float) and value.is_integer():
            return int(value)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RequestError(f"{name} holds '{text}'; needed numbers with commas between them, as 0.9,0.5") from None


def _several(one: Field[Any], value: Any) -> tuple[Any, ...]:
    told: Option = one.metadata["option"]
    part = part_of(one.type) or str
    if isinstance(value, str | os.PathLike):
        value = (value,)
    if not isinstance(value, list | tuple):
        raise RequestError(f"{one.name} is {value!r}; needed a list")
    out = []
    for each in value:
        if part is float and isinstance(each, int) and not isinstance(each, bool):
            each = float(each)
        if part is float and told.joined and isinstance(each, str):
            each = _number(one.name, each)
        each = os.fspath(each) if isinstance(each, os.PathLike) else each
        if not isinstance(each, part):
            raise RequestError(f"{one.name} holds {each!r}; needed {_NAMES.get(part, part.__name__)}")
        out.append(each)
    return tuple(out)


def amount(text: str, name: str = "it", *, size: bool = False) -> int:
    """A count such as 100M or 1.5G; with `size` of bytes, as 200MB. `name` is for the error.

    >>> amount("1.5G")
    1500000000

    Raises:
        RequestError: it is not a count.
    """
    bare = text.strip().upper()
    bare = bare.removesuffix("B") if size else bare
    number, suffix = (bare[:-1], bare[-1:]) if bare[-1:] in _SCALE and bare[-1:] else (bare, "")
    try:
        return int(float(number) * _SCALE[suffix])
    except (ValueError, OverflowError):
        raise RequestError(f"{name} is '{text}'; needed a count such as {'200MB' if size else '100M'}") from None


def _wanted(kinds: tuple[type, ...], told: Option) -> str:
    if told.kind in ("count", "bytes"):
        return f"a count such as {'200MB' if told.kind == 'bytes' else '100M'}"
    return " or ".join(dict.fromkeys(_NAMES.get(k, k.__name__) for k in kinds))
