"""The flags of a command, made of the classes of a request that its function takes.

A parameter whose annotation is such a class becomes the flags of its options, and the function gets the object. Of
`Annotated[Choice, Only("axes")]` only these become flags; `Without` leaves some out, `Called` gives them other names.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_args, get_origin

import typer

from penjing.cli.complete import OFFERED
from penjing.errors import RequestError
from penjing.pipeline.option import Option, default_of, flag_of, kinds_of, options, part_of


@dataclass(frozen=True)
class Only:
    """The options of a class that a command takes; the others keep their defaults."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True)
class Without:
    """The options of a class that a command does not take; `heal.teacher` is one of a class within it."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True)
class Called:
    """Other flags for some options: where nothing else of the name is about, the shorter one."""

    flags: Mapping[str, str]

    def __init__(self, **flags: str) -> None:
        object.__setattr__(self, "flags", flags)


def flagged(run: Callable[..., None]) -> Callable[..., None]:
    """The same command as typer wants it: with a parameter for each flag."""
    signature = inspect.signature(run, eval_str=True)
    groups = {p.name: _Group(p) for p in signature.parameters.values() if _class_of(p.annotation) is not None}

    @wraps(run)
    def inner(**typed: Any) -> None:
        made = {name: group.make(typed) for name, group in groups.items()}
        run(**{n: made[n] if n in made else typed[n] for n in signature.parameters})

    parameters = [
        flag for p in signature.parameters.values() for flag in (groups[p.name].flags() if p.name in groups else [p])
    ]
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    inner.__signature__ = signature.replace(parameters=keywords)  # type: ignore[attr-defined]
    inner.__annotations__ = {p.name: p.annotation for p in keywords}
    return inner


def _class_of(annotation: Any) -> type | None:
    """The class of a request that a parameter stands for, or None."""
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    found = [c for c in (bare, *get_args(bare)) if isinstance(c, type) and is_dataclass(c)]
    return found[0] if found and _is_request(found[0]) else None


def _is_request(cls: type) -> bool:
    return cls.__module__.startswith("penjing.pipeline.") and bool(options(cls))


class _Group:
    """The flags of one parameter, whose class may hold further classes."""

    def __init__(self, parameter: inspect.Parameter) -> None:
        found = _class_of(parameter.annotation)
        assert found is not None  # noqa: S101 - seen by the caller
        self.cls, self.name = found, parameter.name
        told = get_args(parameter.annotation)[1:] if get_origin(parameter.annotation) is Annotated else ()
        self.left = {n for t in told if isinstance(t, Without) for n in t.names}
        self.only = {n for t in told if isinstance(t, Only) for n in t.names}
        self.called = {n: f for t in told if isinstance(t, Called) for n, f in t.flags.items()}
        bare = get_args(parameter.annotation)[0] if told else parameter.annotation
        self.optional = type(None) in get_args(bare)
        self.usual = parameter.default
        self.inner = [
            _Group(inspect.Parameter(f"{self.name}_{f.name}", _KEYWORD, default=f.default, annotation=f.type))
            for f in self.cls.__dataclass_fields__.values()  # type: ignore[attr-defined]
            if _class_of(f.type) is not None
        ]
        for group in self.inner:
            group.left |= {n.partition(".")[2] for n in self.left if n.startswith(f"{_last(group.name)}.")}

    def _chosen(self) -> Iterator[tuple[str, Field[Any], Option]]:
        for name, (one, told) in options(self.cls).items():
            wanted = (not self.only or name in self.only) and name not in self.left
            if wanted and flag_of(one) is not None:
                yield name, one, told

    def flags(self) -> list[inspect.Parameter]:
        """One parameter for each option."""
        found = [_parameter(f"{self.name}_{n}", one, told, self.called.get(n)) for n, one, told in self._chosen()]
        found += [flag for group in self.inner for flag in group.flags()]
        if self.optional and self.usual is not None:
            word = self.name.rpartition("_")[2]
            help = f"{word.capitalize()} before and after."
            switch = Annotated[bool, typer.Option(f"--{word}/--no-{word}", help=help)]
            found.insert(0, inspect.Parameter(f"{self.name}_", _KEYWORD, default=True, annotation=switch))
        return found

    def make(self, typed: Mapping[str, Any]) -> Any:
        """The object, from what was typed; None if it was not wanted."""
        if self.optional and self.usual is not None and not typed[f"{self.name}_"]:
            return None
        given: dict[str, Any] = {g.name.removeprefix(f"{self.name}_"): g.make(typed) for g in self.inner}
        for name, one, told in self._chosen():
            value = typed[f"{self.name}_{name}"]
            if value is not None and value != []:
                given[name] = _read(value, one, told)
        if self.optional and self.usual is None and all(v == default_of(self._field(n)) for n, v in given.items()):
            return None  # nothing of it was typed
        return self.cls(**given)

    def _field(self, name: str) -> Field[Any]:
        return options(self.cls)[name][0]


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def _last(name: str) -> str:
    return name.rpartition("_")[2]


def _parameter(name: str, one: Field[Any], told: Option, called: str | None) -> inspect.Parameter:
    default = default_of(one)
    if told.argument:
        info = typer.Argument(metavar=told.metavar, help=told.help)
        return inspect.Parameter(name, _KEYWORD, annotation=Annotated[str, info])
    kinds, flag = kinds_of(one.type), called or flag_of(one) or ""
    several = dict in kinds or (tuple in kinds and not told.joined)
    kind: Any = part_of(one.type) if tuple in kinds else kinds[0]
    if told.kind or told.joined or kind in (object, dict):
        kind = str
    info = typer.Option(
        f"{flag}/{told.off}" if told.off else flag, *([told.short] if told.short else []),
        help=f"{told.help} [default: {told.shown}]" if told.shown else told.help,
        metavar=told.metavar or ("N" if kind is int else None),
        min=None if told.least is None or kind is str else kind(told.least),
        autocompletion=OFFERED.get(one.name) or (_offering(told.known) if told.known else None),
    )  # fmt: skip
    if told.needed:
        return inspect.Parameter(name, _KEYWORD, annotation=Annotated[kind, info])
    value = None if several or told.joined or default is MISSING else default
    wanted = list[kind] | None if several else (kind | None if value is None else kind)
    return inspect.Parameter(name, _KEYWORD, default=value, annotation=Annotated[wanted, info])


def _offering(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    def offered(incomplete: str) -> list[str]:
        return [name for name in known if name.startswith(incomplete)]

    return offered


def _read(value: Any, one: Field[Any], told: Option) -> Any:
    if told.joined:
        return tuple(part.strip() for part in value.split(","))
    return settings(value) if dict in kinds_of(one.type) else value


def settings(pairs: list[str]) -> dict[str, Any]:
    """Settings from NAME=VALUE pairs: values as JSON where they are, else text.

    Raises:
        RequestError: a pair has no '='.
    """
    out: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise RequestError(f"--set needs NAME=VALUE; found '{pair}'")
        try:
            out[name.strip()] = json.loads(value)
        except json.JSONDecodeError:
            out[name.strip()] = value
    return out
