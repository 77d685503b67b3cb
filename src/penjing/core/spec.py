"""What stands in the place of a module of the stock code, and where a config and a record say so.

A model whose config has such an entry is not stock: `penjing.load` opens it. In a folder the entry lies in
`penjing.json`, with a digest; in memory it is part of the config, so that whoever builds a model from a config builds
this one.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penjing.errors import CheckpointError

MODULES = "penjing_modules"
"""The entry of a config: path of a module -> kind and settings of what stands there."""
WIDTHS = "per_layer_config"
"""The entry of a config with what differs from it in single layers: number of the layer -> entries."""
Value = bool | int | float | str | None
_PATH = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Spec:
    """A kind of module of `penjing.nn`, by the name of its file, and its settings: plain values."""

    kind: str
    settings: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in self.settings.items())
        return f"{self.kind}({given})"

    def table(self) -> dict[str, Any]:
        """As plain data."""
        return {"kind": self.kind, "settings": dict(self.settings)}


def spec_from(table: object, where: str) -> Spec:
    """The spec that a table tells; `where` says whose it is.

    Raises:
        CheckpointError: it tells something else.
    """
    kind = table.get("kind") if isinstance(table, Mapping) else None
    settings = table.get("settings", {}) if isinstance(table, Mapping) else None
    if not isinstance(kind, str) or not _KIND.fullmatch(kind) or not isinstance(settings, Mapping):
        raise CheckpointError(f"{where} is {str(table)[:80]}; 'kind' (a name) and 'settings' (a table) were needed")
    for key, value in settings.items():
        if not isinstance(key, str) or not isinstance(value, Value):
            found = f"{key!s:.40} = {str(value)[:40]!r}"
            raise CheckpointError(f"{where} has the setting {found}; a plain value was needed")
    return Spec(kind, dict(settings))


def specs_of(config: Mapping[str, Any]) -> dict[str, Spec]:
    """Path of a module -> what stands there; outer modules before inner ones. Empty for a stock model.

    Raises:
        CheckpointError: a path is none, or what stands there is not told as it should be.
    """
    table = config.get(MODULES) or {}
    if not isinstance(table, Mapping):
        raise CheckpointError(f"'{MODULES}' is {str(table)[:80]}; a table from paths of modules was needed")
    return {path: spec_from(table[path], f"the module {check_path(path)}") for path in sorted(table)}


def check_path(path: object) -> str:
    """The path of a module, as `model.layers.0.mlp`.

    Raises:
        CheckpointError: it is no such path.
    """
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise CheckpointError(f"{str(path)[:80]!r} is no path of a module such as model.layers.0.mlp; correct it")
    return path


def with_specs(config: Mapping[str, Any], specs: Mapping[str, Spec]) -> dict[str, Any]:
    """The config of the same model with these modules in it."""
    out = {k: v for k, v in config.items() if k != MODULES}
    return out | ({MODULES: {p: specs[p].table() for p in sorted(specs)}} if specs else {})


def opens_with(config: Mapping[str, Any]) -> str:
    """What opens a model of this config: "stock" loaders, or "penjing" alone."""
    return "penjing" if config.get(MODULES) else "stock"


def recorded(config: Mapping[str, Any]) -> dict[str, Any]:
    """What `penjing.json` says of the modules in a config, with a digest; nothing for a stock model."""
    table = {path: spec.table() for path, spec in specs_of(config).items()}
    return {"modules": table, "modules_sha256": _digest(table), "opens_with": "penjing.load"} if table else {}


def from_record(record: Mapping[str, Any], where: str) -> dict[str, Spec]:
    """The modules that a `penjing.json` tells of; none if it tells of none.

    Raises:
        CheckpointError: what it says is not what was written, or makes no sense.
    """
    table = record.get("modules")
    if table is None:
        return {}
    found = specs_of({MODULES: table})
    if record.get("modules_sha256") != _digest({path: spec.table() for path, spec in found.items()}):
        raise CheckpointError(
            f"{where} was changed after it was written: the digest of its 'modules' is another; put it back as it was, "
            "or carry the plan out again"
        )
    return found


def _digest(table: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
