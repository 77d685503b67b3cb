"""Python's keywords: the everyday options flat, the rest as objects; defaults are those of the request's classes."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, replace
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from torch import nn

from penjing.core import Budget
from penjing.errors import BudgetError, RequestError, nearest
from penjing.pipeline.option import default_of, options, read
from penjing.pipeline.request import BUDGETS, Choice, Data, Measure, Request, Run, Source

Model = str | Path | nn.Module | Source
Run_ = TypeVar("Run_", bound=Callable[..., Any])


class Everyday(TypedDict, total=False):
    """The options that are keywords of their own."""

    method: str
    keep: float | None
    budget: Budget | None
    settings: Mapping[str, Any]
    texts: Sequence[str | PathLike[str]]
    images: Sequence[str | PathLike[str]]
    audio: Sequence[str | PathLike[str]]
    labels: str | PathLike[str] | None
    rows: int
    length: int
    batch: int | None
    seed: int
    device: str
    example: Any
    table: str | PathLike[str] | None


PARTS: dict[str, type] = {"choice": Choice, "data": Data, "source": Source, "run": Run}
"""Part of a request -> its class, for the keywords that are options of these."""


def everyday(*, data: type[Data] = Data, leave: Sequence[str] = ()) -> Callable[[Run_], Run_]:
    """Show in a function's signature the everyday keywords that it takes as `**options`, with their defaults."""

    def shown(function: Run_) -> Run_:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        more = [_parameter(name, kind, data) for name, kind in _kinds().items() if name not in leave]
        first = [p for p in own if p.kind is not p.KEYWORD_ONLY]
        every = [*first, *more, *(p for p in own if p.kind is p.KEYWORD_ONLY)]
        function.__signature__ = signature.replace(parameters=every)  # type: ignore[attr-defined]
        return function

    return shown


def _kinds() -> dict[str, Any]:
    return dict(Everyday.__annotations__)


def home(name: str) -> tuple[str, Field[Any]]:
    """(part of the request, field) of an everyday keyword."""
    return next((part, options(cls)[name][0]) for part, cls in PARTS.items() if name in options(cls))


def _parameter(name: str, kind: Any, data: type[Data]) -> inspect.Parameter:
    if name == "budget":
        default = None
    else:
        part, one = home(name)
        default = default_of(options(data)[name][0] if part == "data" else one)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def asked(
    model: Model, out: str | Path | None = None, *, options: Mapping[str, Any], data: Any = None,
    choice: Choice | None = None, measure: Measure | bool | None = None, run: Run | None = None,
    usual: Data | None = None,
) -> Request:  # fmt: skip
    """The request that keywords make: the objects given, with the flat `options` in them; `usual` is data's default.

    Raises:
        RequestError: an option is in a flat keyword and in an object, or its value does not serve.
        BudgetError: there are two budgets.
        TypeError: a keyword is not known.
    """
    parts: dict[str, Any] = {
        "source": model if isinstance(model, Source) else Source(model=model),
        "data": data if isinstance(data, Data) else replace(usual or Data(), batches=data),
        "choice": choice or Choice(),
        "run": run or Run(),
    }
    flat = dict(options)
    limit = flat.pop("budget", None)
    if limit is not None:
        flat |= _limit(limit, flat)
    for name, value in flat.items():
        if name not in Everyday.__annotations__ and name not in BUDGETS:
            known = [*Everyday.__annotations__, "data", "choice", "measure", "run"]
            raise TypeError(f"there is no keyword '{name}'{nearest(name, known)}")
        parts |= _with(parts, name, value)
    measured = Measure() if measure is True else measure or None
    return Request(**parts, measure=measured, out=None if out is None else str(out))


def _with(parts: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    part, one = home(name)
    before, new = getattr(parts[part], name), read(one, value)
    usual = default_of(options(type(parts[part]))[name][0])
    if _differ(before, usual) and _differ(new, before):
        raise RequestError(f"{name} is {new!r} as a keyword and {before!r} in {part}; give it once")
    return {part: replace(parts[part], **{name: new})}


def _differ(one: Any, other: Any) -> bool:
    plain = str | int | float | tuple | Mapping
    return one is not other and not (isinstance(one, plain) and isinstance(other, plain) and one == other)


def _limit(limit: Budget, flat: Mapping[str, Any]) -> dict[str, Any]:
    if flat.get("keep") is not None:
        raise BudgetError(f"a budget has one limit; found {limit} and keep {flat['keep']:g}; choose one")
    name = next(n for n, unit in BUDGETS.items() if unit == limit.unit)
    return {name: getattr(limit, limit.unit)}
