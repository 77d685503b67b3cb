"""What stands in the place of a module of the stock code, and where a config and a record say so.

A model whose config has such an entry is not stock: `penjing.load` opens it. In a folder the entry lies in
`penjing.json`, with a digest; in memory it is part of the config, so that whoever builds a model from a config builds
this one.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penjing.errors import CheckpointError

MODULES = "penjing_modules"
"""The entry of a config: path of a module -> kind and settings of what stands there."""
LAYERS = "penjing_layers"
"""The entry of a config with what differs from it in single layers: number of the layer -> entries."""
WIDTHS = "per_layer_config"
"""The same as transformers calls it, in `config.json`; few of its classes can build from it, all others refuse."""
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
    return "penjing" if config.get(MODULES) or config.get(LAYERS) else "stock"


def layers_of(config: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Number of a layer -> the entries in which it differs from the config; empty where layers are alike.

    Raises:
        CheckpointError: the entry is no such table.
    """
    table = config.get(LAYERS) or {}
    out: dict[int, dict[str, Any]] = {}
    for number, changes in table.items() if isinstance(table, Mapping) else ((None, None),):
        plain = isinstance(changes, Mapping) and all(isinstance(v, int | float) for v in changes.values())
        if not plain or not str(number).isdecimal():
            found = f"{str(number)[:20]}: {str(changes)[:60]}"
            raise CheckpointError(f"'{LAYERS}' has {found}; the number of a layer and its entries were needed")
        out[int(str(number))] = dict(changes)  # type: ignore[arg-type]
    return dict(sorted(out.items()))


def with_layers(config: Mapping[str, Any], layers: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The config of the same model with layers that differ in these entries."""
    out = {k: v for k, v in config.items() if k != LAYERS}
    return out | ({LAYERS: {str(k): dict(layers[k]) for k in sorted(layers)}} if layers else {})


def shorter(config: Mapping[str, Any], kept: Sequence[int]) -> dict[str, Any]:
    """The config whose layers differ as those did that are kept, by their old numbers."""
    layers = layers_of(config)
    return with_layers(config, {new: layers[old] for new, old in enumerate(kept) if old in layers})


def as_file(config: Mapping[str, Any]) -> dict[str, Any]:
    """What is written to `config.json`: stock entries alone; where layers differ, stock code that cannot refuses."""
    layers = layers_of(config)
    out = {k: v for k, v in config.items() if k not in (MODULES, LAYERS)}
    return out | ({WIDTHS: {str(k): v for k, v in layers.items()}} if layers else {})


def recorded(config: Mapping[str, Any]) -> dict[str, Any]:
    """What `penjing.json` says of the modules and layers in a config, with digests; nothing for a stock model."""
    out: dict[str, Any] = {}
    for name, table in _tables(config).items():
        out |= {name: table, f"{name}_sha256": _digest(table)}
    return out | ({"opens_with": "penjing.load"} if out else {})


def from_record(config: Mapping[str, Any], record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A config with the modules and layers that a `penjing.json` tells of, or else with those that it has itself.

    Raises:
        CheckpointError: what it says is not what was written, or makes no sense.
    """
    found = {**config, **{entry: record[name] for name, entry in _ENTRIES.items() if record.get(name) is not None}}
    found = with_layers(with_specs(found, specs_of(found)), layers_of(found))
    for name, table in _tables(found).items():
        if name in record and record.get(f"{name}_sha256") != _digest(table):
            raise CheckpointError(
                f"{where} was changed after it was written: the digest of its '{name}' is another; put it back as it "
                "was, or carry the plan out again"
            )
    return {k: v for k, v in found.items() if k != WIDTHS} if record.get("layers") else found


_ENTRIES = {"modules": MODULES, "layers": LAYERS}
"""What a record calls them -> the entries of the config."""


def _tables(config: Mapping[str, Any]) -> dict[str, Any]:
    modules = {path: spec.table() for path, spec in specs_of(config).items()}
    layers = {str(k): v for k, v in layers_of(config).items()}
    return {name: table for name, table in (("modules", modules), ("layers", layers)) if table}


def _digest(table: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
