"""Config entries that a config leaves open: null, or not there, while stock code would read a number."""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from torch import nn

from penjing.core import Layout
from penjing.errors import CheckpointError
from penjing.layouts.config import paths, scales
from penjing.layouts.config.stock import build

_ASKED = re.compile(r"""getattr\(\s*(?:self\.)?config,\s*["'](\w+)["']""")
_NO_SIZE = re.compile(r"(^|\.)(architectures|\w*dtype|\w*_implementation|\w*path|\w*name)$")
MOST = 8
"""Values that are tried for one entry."""


def left_open(config: Mapping[str, Any], module: nn.Module, layout: Layout) -> dict[str, int]:
    """Path -> the number that stock code puts in the place of an entry that the config leaves open.

    `module` is the model of the config. A value is found by trying: with it written out the model is the same, and with
    another it has other shapes. So `n_inner` is 3072 where GPT-2 says null, and `head_dim` 64 where it is left out.
    """
    sizes = list(dict.fromkeys(a.size for a in layout.axes.values() if a.state != "uncut" and a.size > 1))
    numbers: dict[str, dict[int, None]] = {}
    for values in scales.integers(module).values():
        for key, value in values.items():
            if value > 1:
                numbers.setdefault(key, {})[value] = None
    out: dict[str, int] = {}
    for path in (*_nulls(config), *_absent(config, module)):
        own = list(numbers.get(path.rpartition(".")[2], ()))
        value = _found({**config}, path, module, list(dict.fromkeys([*own, *sizes]))[:MOST])
        if value is not None:
            out[path] = value
    if len(out) > 1 and not _same(paths.put(config, out), module):
        return {}
    return out


def filled(config: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """The config with those entries written out that it leaves open and that the layout knows the number of."""
    known = {e.path: e.value for e in layout.entries if e.whole and paths.get(config, e.path) is None}
    return paths.put(config, {p: int(v) for p, v in known.items() if _is_table(config, p)})


def same_model(one: nn.Module, other: nn.Module) -> bool:
    """Whether two builds have the same shapes, whole-number settings and constants."""
    return (
        shapes_of(one) == shapes_of(other)
        and scales.integers(one) == scales.integers(other)
        and not scales.moved(other, one)
    )


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of everything that a checkpoint of the module holds, each tied tensor under each of its names."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _found(config: Mapping[str, Any], path: str, module: nn.Module, values: Sequence[int]) -> int | None:
    for value in values:
        if not _same(paths.put(config, {path: value}), module):
            continue
        for other in (2 * value, 3 * value, value // 2):
            changed = _built(paths.put(config, {path: other})) if other else None
            if changed is not None:
                # An entry that changes nothing is no size: any value of it would do.
                return value if shapes_of(changed) != shapes_of(module) else None
    return None


def _nulls(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        path = f"{prefix}{key}"
        if value is None and not paths.skipped(path) and not _NO_SIZE.search(path):
            yield path
        elif isinstance(value, Mapping):
            yield from _nulls(value, f"{path}.")


def _absent(config: Mapping[str, Any], module: nn.Module) -> Iterator[str]:
    """Entries that the code of the model's parts asks for with a default of its own, at every level of the config."""
    homes = {type(part).__module__ for part in module.modules()}
    asked = dict.fromkeys(name for home in sorted(homes) for name in _asked_in(home))
    levels = {"": config} | {f"{k}.": v for k, v in config.items() if isinstance(v, Mapping) and "model_type" in v}
    for prefix, level in levels.items():
        yield from (f"{prefix}{name}" for name in asked if name not in level and not paths.skipped(f"{prefix}{name}"))


@cache
def _asked_in(home: str) -> tuple[str, ...]:
    if not home.startswith("transformers.models.") or home not in sys.modules:
        return ()
    return tuple(dict.fromkeys(_ASKED.findall(inspect.getsource(sys.modules[home]))))


def _same(config: Mapping[str, Any], module: nn.Module) -> bool:
    built = _built(config)
    return built is not None and same_model(built, module)


def _built(config: Mapping[str, Any]) -> nn.Module | None:
    try:
        return build(config)
    except CheckpointError:
        return None


def _is_table(config: Mapping[str, Any], path: str) -> bool:
    folder = path.rpartition(".")[0]
    return "[" not in path and (not folder or isinstance(paths.get(config, folder), Mapping))
