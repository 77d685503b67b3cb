"""A folder is a registry: which files it holds, and one of them by name.

A thing's name is its file's name (or its folder's). Listing reads names and imports nothing; loading imports one file
and checks that it defines what a file of this kind must. Other packages add theirs through the entry-point group that
bears the folder's name, such as `penjing.methods` (`name = "their_package.their_module"`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, NamedTuple, TypeVar

from penjing.core.setting_values import UnfitError, fitted
from penjing.errors import PenjingError, nearest

T = TypeVar("T")


class Place(NamedTuple):
    """Where a thing is: the family (folder of a nested registry, or whose package it is) and the module to import."""

    family: str
    module: str


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field of a thing's dataclass: its name, its type as written, and its default (`MISSING` if it has none)."""

    name: str
    kind: str
    default: Any


class Loaded(NamedTuple):
    """All that can be loaded, by name, and why each of the others cannot."""

    modules: dict[str, ModuleType]
    failed: dict[str, PenjingError]


class Registry(Generic[T]):
    """The things in the folder of `package`, each a `kind` ("method"), in files `name.py` or folders `name/`.

    `nested` says that they lie one deeper, in a folder for each family. Names that begin with an underscore are no
    things. `attribute` names the dataclass that each file must define (its fields are the settings) and `calls` the
    functions that it must have; `supply` may make one for a file without it, and `check` look at the file for more: it
    gives what is wrong with it, or "".
    """

    def __init__(
        self, package: str, *, kind: str, attribute: str = "", calls: tuple[str, ...] = (), nested: bool = False,
        check: Callable[[ModuleType], str] = lambda module: "",
        supply: Callable[[ModuleType], type | None] = lambda module: None,
    ) -> None:  # fmt: skip
        self.package, self.kind, self.attribute, self.nested = package, kind, attribute, nested
        self._calls, self._check, self._supply = calls, check, supply
        self._loaded: dict[str, ModuleType] = {}
        self._supplied: dict[str, type] = {}

    def names(self) -> list[str]:
        """The names of all, sorted; nothing is imported. A name that two have is among them, and fails to load."""
        return sorted(self._found())

    def places(self) -> dict[str, Place]:
        """Name -> where it is, without names that two have."""
        return {name: where[0] for name, where in self._found().items() if len(where) == 1}

    def summaries(self) -> dict[str, str]:
        """Name -> the first line of its file, for those of the folder itself; nothing is imported."""
        return {path.stem: _first_line(path) for path, _ in self._files()}

    def load(self, name: str) -> ModuleType:
        """The file of this name.

        Raises:
            PenjingError: there is none, or two, or it cannot be imported, or it lacks what such a file must define.
        """
        if name not in self._loaded:
            self._loaded[name] = self._import(name)
        return self._loaded[name]

    def load_all(self) -> Loaded:
        """Every file; one that fails is named with its error and costs no other."""
        found = Loaded({}, {})
        for name in self.names():
            try:
                found.modules[name] = self.load(name)
            except PenjingError as error:
                found.failed[name] = error
        return found

    def type_of(self, name: str) -> Any:
        """The dataclass of the thing of this name: the file's own, or what is supplied for it.

        Raises:
            PenjingError: as `load`.
        """
        file = self.load(name)
        return self._supplied[file.__name__] if file.__name__ in self._supplied else getattr(file, self.attribute)

    def settings(self, name: str) -> tuple[Setting, ...]:
        """The settings of the thing of this name, in the order in which its file gives them.

        Raises:
            PenjingError: as `load`.
        """
        of = self.type_of(name)
        return tuple(Setting(name=f.name, kind=_kind(f), default=_default(f)) for f in fields(of) if f.init)

    def build(self, name: str, given: Mapping[str, Any] | None = None) -> T:
        """The thing of this name with these settings; lists become tuples, as TOML and JSON have no tuples.

        One thing where several are taken is one of them.

        Raises:
            PenjingError: as `load`, or it has no such setting, or takes no such value, or needs one that is not given.
        """
        known = self.settings(name)
        for key in given or {}:
            if key not in [s.name for s in known]:
                have = ", ".join(s.name for s in known) or "none"
                hint = nearest(key, [s.name for s in known])
                raise PenjingError(f"{self.kind} '{name}' has no setting '{key}'{hint}; it has {have}")
        chosen = {k: self._fitted(name, k, v) for k, v in (given or {}).items()}
        for setting in known:
            if setting.default is MISSING and setting.name not in chosen:
                raise PenjingError(f"{self.kind} '{name}' needs the setting '{setting.name}'; give it a value")
        return self.type_of(name)(**chosen)

    def _fitted(self, name: str, setting: str, value: Any) -> Any:
        kind = next(f.type for f in fields(self.type_of(name)) if f.name == setting)
        try:
            return fitted(value, kind)
        except UnfitError as error:
            raise PenjingError(
                f"{self.kind} '{name}' has the setting '{setting}' at {value!r}; it takes {error}"
            ) from error

    def _found(self) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = {}
        for name, place in (*self._own(), *self._theirs()):
            found.setdefault(name, []).append(place)
        return found

    def _files(self) -> Iterator[tuple[Path, tuple[str, ...]]]:
        for root in _folders(self.package):
            for path in sorted(root.glob("*/*" if self.nested else "*")):
                inner = path.relative_to(root).with_suffix("").parts
                if _holds_one(path) and not any(part.startswith("_") for part in inner):
                    yield path, inner

    def _own(self) -> Iterator[tuple[str, Place]]:
        for path, inner in self._files():
            yield path.stem, Place(inner[0] if self.nested else "", ".".join((self.package, *inner)))

    def _theirs(self) -> Iterator[tuple[str, Place]]:
        for point in metadata.entry_points(group=self.package):
            yield point.name, Place(point.value.split(".")[0], point.value)

    def _import(self, name: str) -> ModuleType:
        found = self._found()
        if name not in found:
            every = f"choose one of {', '.join(sorted(found))}" if found else "there are none"
            hint = nearest(name, found) or f"; {every}"
            raise PenjingError(f"no {self.kind} named '{name}'{hint}")
        where = [place.module for place in found[name]]
        if len(where) > 1:
            both = " and in ".join(where)
            raise PenjingError(f"two {self.kind}s are named '{name}': in {both}; names must differ; rename one")
        try:
            module = import_module(where[0])
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise PenjingError(
                f"{self.kind} '{name}' ({where[0]}) cannot be imported ({said}); mend or remove it"
            ) from error
        if wrong := self._lacks(module) or self._check(module):
            raise PenjingError(f"{self.kind} '{name}' ({where[0]}) {wrong}")
        return module

    def _lacks(self, module: ModuleType) -> str:
        of = getattr(module, self.attribute, None)
        if self.attribute and of is None and (of := self._supply(module)) is not None:
            self._supplied[module.__name__] = of
        if not self.attribute or (
            isinstance(of, type) and is_dataclass(of) and all(callable(getattr(of, call, None)) for call in self._calls)
        ):
            return ""
        wanted = " with " + ", ".join(f"{call}(...)" for call in self._calls) if self._calls else ""
        return f"has no dataclass {self.attribute}{wanted}; define it"


def _folders(package: str) -> list[Path]:
    """The folders of a package; of what lies above it only the topmost is looked up, and nothing is imported."""
    top, *below = package.split(".")
    spec = find_spec(top)
    above = (spec.submodule_search_locations if spec else None) or ()
    return [folder for place in above if (folder := Path(place, *below)).is_dir()]


def _holds_one(path: Path) -> bool:
    return path.suffix == ".py" if path.is_file() else (path / "__init__.py").is_file()


def _first_line(path: Path) -> str:
    text = (path if path.is_file() else path / "__init__.py").read_text(encoding="utf-8")
    return text.removeprefix('"""').partition("\n")[0].removesuffix('"""').strip() if text.startswith('"""') else ""


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else MISSING


def _kind(field: Field[Any]) -> str:
    return field.type.__name__ if type(field.type) is type else str(field.type)
