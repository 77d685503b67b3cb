"""A request as plain tables, and back: what recipes and `penjing.json` hold."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, replace
from pathlib import Path
from typing import Any

from penjing.errors import PenjingError, RequestError, nearest
from penjing.pipeline.option import default_of, flag_of, options, part_of
from penjing.pipeline.request import TABLES, Request

VERSION = 1
"""Of recipes and records; one of another version is refused."""
_TOP = ("version", "out", *TABLES)


def tables(request: Request, *, whole: bool = True) -> dict[str, Any]:
    """The request as plain data, a table for each of its classes; not `whole`, only what is not the default.

    What only Python can give (a module, batches, a task that is an object) is left out; `from_python` names it.
    """
    out: dict[str, Any] = {}
    for name, cls in TABLES.items():
        part = getattr(request, name)
        if part is None:
            if whole or name == "measure":  # what measures unless it is said otherwise
                out[name] = None if whole else False
            continue
        usual = None if name in ("source", "heal") else cls()
        known = {k: default_of(one) for k, (one, _) in options(cls).items()} if usual is None else _plain(usual)
        kept = {k: v for k, v in _plain(part).items() if whole or v != _tabled(known.get(k, MISSING))}
        out[name] = {k: v for k, v in kept.items() if whole or v is not None}
    return {name: table for name, table in out.items() if whole or table != {}}


def from_python(request: Request) -> list[str]:
    """The options that were given as objects and so cannot be written down."""
    found = []
    for name in TABLES:
        part = getattr(request, name)
        for key, (one, _) in options(type(part)).items() if part is not None else ():
            value = getattr(part, key)
            held = value if part_of(one.type) is object else (value,) if one.type is object else ()
            if any(v is not None and not isinstance(v, str) for v in held):
                found.append(f"{name}.{key}")
    return found


def _plain(part: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, (one, told) in options(type(part)).items():
        if flag_of(one) is None or not told.recorded:
            continue
        value = getattr(part, name)
        out[name] = type(value).__name__ if name == "model" and not isinstance(value, str) else _tabled(value)
    return out


def _tabled(value: Any) -> Any:
    if isinstance(value, tuple):
        return [v for v in value if isinstance(v, str | int | float)]
    if isinstance(value, Mapping):
        return {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
    return value


def request_from(given: Mapping[str, Any], where: str) -> Request:
    """The request that these tables say; `where` names the file for errors.

    Raises:
        RequestError: a table or a key is not known, a value does not serve, or it is of another version.
        BudgetError: there are two budgets.
    """
    _check_version(given, where)
    for key in given:
        if key not in _TOP:
            raise RequestError(f"{where} has {_unknown(key)}")
    parts: dict[str, Any] = {}
    for name, cls in TABLES.items():
        found = given.get(name, {})
        if (name == "measure" and found in (False, None)) or (name == "heal" and given.get(name) in (False, None)):
            parts[name] = None
            continue
        parts[name] = _part(name, cls, {} if name == "measure" and found is True else found, where)
    out = given.get("out")
    if out is not None and not isinstance(out, str):
        raise RequestError(f"{where}: out is {out!r}; needed the name of a folder")
    return Request(**parts, out=out)


def _check_version(given: Mapping[str, Any], where: str) -> None:
    found = given.get("version", VERSION)
    if type(found) is not int or found != VERSION:
        from penjing import __version__

        raise RequestError(
            f"{where} is of version {found!r}, and penjing {__version__} reads version {VERSION}; use the penjing that "
            "it was written for, or write it anew"
        )


def _part(name: str, cls: type, given: Any, where: str) -> Any:
    if not isinstance(given, Mapping):
        raise RequestError(f"{where}: {name} is {given!r}; needed a table, such as [{name}]")
    known = {k for k, (one, told) in options(cls).items() if flag_of(one) is not None and told.recorded}
    for key in given:
        if key not in known:
            raise RequestError(f"{where}: [{name}] has {_unknown(key, name)}")
    if name == "source" and "model" not in given:
        raise RequestError(f"{where} names no model; write model = '...' under [source]")
    try:
        return cls(**given)
    except PenjingError as error:
        raise type(error)(f"{where}: in [{name}], {error}") from error


def _unknown(key: str, table: str = "") -> str:
    """What to say of a key that is not known: where it belongs, or what is like it."""
    homes = [n for n, cls in TABLES.items() if key in options(cls) and n != table]
    if homes:
        return f"the key '{key}', which belongs in [{homes[0]}]"
    known = [*options(TABLES[table])] if table else [*_TOP]
    if table and key in TABLES:
        return f"the table '{key}', which stands by itself"
    every = [k for cls in TABLES.values() for k in options(cls)]
    hint = nearest(key, known) or nearest(key, [*every, *_TOP]) or f"; known are {', '.join(known)}"
    return f"the unknown key '{key}'{hint}"


def placed(request: Request, at: Callable[[str], str]) -> Request:
    """The request with each place in it changed by `at`; what is no place on this machine stays as it is."""
    parts: dict[str, Any] = {}
    for name in TABLES:
        part = getattr(request, name)
        if part is None:
            continue
        new: dict[str, Any] = {}
        for key, (_, told) in options(type(part)).items():
            value = getattr(part, key)
            if told.kind == "path" and isinstance(value, str):
                new[key] = at(value)
            elif told.kind == "path" and isinstance(value, tuple):
                new[key] = tuple(map(at, value))
            elif key == "tasks":
                new[key] = tuple(_placed_task(v, at) if isinstance(v, str) else v for v in value)
        parts[name] = replace(part, **new)
    return replace(request, **parts)


def places(request: Request) -> Iterator[str]:
    """Every place in a request, the model first."""
    found: list[str] = []
    placed(request, lambda text: (found.append(text), text)[1])
    yield from dict.fromkeys(found)


def place_names(request: Request) -> dict[str, str]:
    """Place of this machine that a request names -> what it is called without its folders; no two are called alike."""
    found: dict[str, str] = {}
    for place in places(placed(request, absolute)):
        if place and Path(place).is_absolute() and Path(place).exists():
            name, n = Path(place).name, 2
            while name in found.values():
                name, n = f"{Path(place).stem} ({n}){Path(place).suffix}", n + 1
            found[place] = name
    return found


def without_folders(request: Request) -> Request:
    """The request with its places called by their names, as it may be told to others."""
    names = place_names(request)
    out = None if request.out is None else Path(request.out).name
    return replace(placed(request, lambda text: names.get(absolute(text), text)), out=out)


def _placed_task(task: str, at: Callable[[str], str]) -> str:
    from penjing.tasks.reading import moved  # imports torch, which a request without tasks does without

    return moved(task, at)


def below(folder: Path) -> Callable[[str], str]:
    """Takes a relative place from `folder`, if there is something; what there is not stays as it is."""

    def at(text: str) -> str:
        path = Path(text).expanduser()
        return str(folder / path) if not path.is_absolute() and (folder / path).exists() else text

    return at


def absolute(text: str) -> str:
    """A place from the root, if there is something; a hub id, say, stays as it is."""
    path = Path(text).expanduser()
    return os.path.abspath(path) if text and path.exists() else text
