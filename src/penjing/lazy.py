"""Names of a package that are imported when they are first asked for, so that what needs no torch waits for none."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def names_of(package: str, places: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: `places` says which module each of its names comes from.

    No name may be that of a module or folder of the package, for importing that one would stand in its place.
    """
    where = {name: place for place, names in places.items() for name in names}

    def find(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        value = getattr(import_module(where[name]), name)
        vars(import_module(package))[name] = value
        return value

    return find
