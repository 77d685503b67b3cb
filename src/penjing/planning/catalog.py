"""The folder is the registry: what methods there are, and one of them by name.

A method's name is its file's name. Listing imports nothing; loading imports one file. Other packages add methods
through the entry-point group `penjing.methods` (`name = "their_package.their_module"`, the module being written like
those in `methods/`).
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import penjing.methods
from penjing.core import Card, Method
from penjing.errors import PenjingError, nearest

GROUP = "penjing.methods"
Place = tuple[str, str]  # family, module


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field of a method: its name, its type as written, and its default."""

    name: str
    kind: str
    default: Any


def settings(name: str) -> tuple[Setting, ...]:
    """The settings of the method of this name, in the order in which its file gives them.

    Raises:
        PenjingError: there is no such method.
    """
    return tuple(Setting(name=f.name, kind=_kind(f), default=_default(f)) for f in fields(load(name).Method))


def build(name: str, given: Mapping[str, Any] | None = None) -> Method:
    """The method of this name with these settings; lists become tuples, as TOML and JSON have no tuples.

    Raises:
        PenjingError: there is no such method, or it has no such setting.
    """
    known = [s.name for s in settings(name)]
    chosen = dict(given or {})
    for key in chosen:
        if key not in known:
            have = ", ".join(known)
            raise PenjingError(f"method '{name}' has no setting '{key}'{nearest(key, known)}; it has {have}")
    return load(name).Method(**{k: tuple(v) if isinstance(v, list) else v for k, v in chosen.items()})


def names() -> list[str]:
    """The names of all methods, sorted; nothing is imported.

    Raises:
        PenjingError: two families or packages have a method of the same name.
    """
    return sorted(places())


@cache
def load(name: str) -> ModuleType:
    """The file of this method: its `CARD`, its `Method`, its maths.

    Raises:
        PenjingError: there is none, or its file lacks what a method's file must define.
    """
    known = places()
    if name not in known:
        guess = get_close_matches(name, list(known), n=1)
        hint = f"did you mean '{guess[0]}'?" if guess else f"choose one of {', '.join(sorted(known))}"
        raise PenjingError(f"no method named '{name}'; {hint}")
    module = import_module(known[name][1])
    _check(module, name)
    return module


def places() -> dict[str, Place]:
    """Name -> (family, module to import), from the folder and from other packages.

    Raises:
        PenjingError: two families or packages have a method of the same name.
    """
    root = Path(next(iter(penjing.methods.__path__)))
    found = in_folder(root, penjing.methods.__name__)
    for point in metadata.entry_points(group=GROUP):
        _add(found, point.name, (point.value.split(".")[0], point.value))
    return found


def in_folder(root: Path, package: str) -> dict[str, Place]:
    """Name -> (family, module) of each `root/family/name.py`; names that begin with an underscore are no methods.

    Raises:
        PenjingError: two families have a method of the same name.
    """
    found: dict[str, Place] = {}
    for path in sorted(root.glob("*/*.py")):
        if not path.stem.startswith("_"):
            _add(found, path.stem, (path.parent.name, f"{package}.{path.parent.name}.{path.stem}"))
    return found


def _add(found: dict[str, Place], name: str, place: Place) -> None:
    if name in found:
        raise PenjingError(
            f"two methods are named '{name}': in {found[name][1]} and in {place[1]}; names must differ; rename one"
        )
    found[name] = place


def _check(module: ModuleType, name: str) -> None:
    method = getattr(module, "Method", None)
    if not isinstance(getattr(module, "CARD", None), Card):
        raise PenjingError(f"method '{name}' ({module.__name__}) has no CARD; its file must define CARD = Card(...)")
    if not (isinstance(method, type) and is_dataclass(method) and callable(getattr(method, "plan", None))):
        raise PenjingError(
            f"method '{name}' ({module.__name__}) has no dataclass Method with plan(model, layout, stats, budget); "
            "define it"
        )
    if module.CARD.needs and not callable(getattr(method, "wants", None)):
        raise PenjingError(
            f"method '{name}' ({module.__name__}) needs statistics but does not say of which tensors; "
            "define Method.wants(layout) -> tensor: statistics"
        )


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else MISSING


def _kind(field: Field[Any]) -> str:
    return field.type.__name__ if type(field.type) is type else str(field.type)
