"""Recipes: a request as a TOML file, its tables being the classes of the request.

A place in a recipe is taken from the recipe's own folder, so that a recipe gives the same wherever it is called from.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from penjing.errors import RequestError
from penjing.pipeline.request import Request
from penjing.pipeline.tables import VERSION, below, placed, request_from, tables


def read_recipe(path: str | Path) -> Request:
    """The request that a recipe says.

    Raises:
        RequestError: it cannot be read, a table or key is not known, or it is of another version.
        BudgetError: it has two budgets.
    """
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); name a recipe, such as recipe.toml") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"{path} is not TOML ({error}); mend it there") from error
    request = placed(request_from(given, str(path)), below(path.parent))
    return request if request.out is None else replace(request, out=str(path.parent / Path(request.out).expanduser()))


def as_toml(request: Request) -> str:
    """A recipe that says the same; what is the default is left out."""
    found: dict[str, Any] = {"version": VERSION, **({"out": request.out} if request.out else {})}
    found |= tables(request, whole=False)
    lines = [f"{key} = {_value(value)}" for key, value in found.items() if not isinstance(value, Mapping)]
    for name, table in found.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{k} = {_value(v)}" for k, v in table.items() if not isinstance(v, Mapping))]
            for key, inner in table.items():
                if isinstance(inner, Mapping):
                    lines += ["", f"[{name}.{key}]", *(f"{_key(k)} = {_value(v)}" for k, v in inner.items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else json.dumps(name, ensure_ascii=False)


def _value(value: Any) -> str:
    """TOML writes these as JSON does, but for tables within a line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)
