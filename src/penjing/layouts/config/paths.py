"""Entries of a nested config by their path: `text_config.depths[2]`."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from penjing.core.spec import LAYERS, MODULES

Number = int | float
LONGEST = 32
"""Lists longer than this hold something else than one number per stage or block."""
_SKIPPED = re.compile(
    r"(^|\.)(penjing_modules|penjing_layers|id2label|label2id|transformers_version|quantization_config|task_specific_params|rope_\w+|\w*_token_id\w*"
    r"|\w*_token_index|initializer_\w+|\w*drop\w*|\w*_eps|\w*epsilon|problem_type|num_labels|\w*mask_\w*prob)"
    r"(\.|\[|$)"
)


def numbers(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Number]]:
    """Every numeric entry that may shape a model, with its path; marks of tokens, rates and labels are left out."""
    for key, value in config.items():
        path = f"{prefix}{key}"
        if _SKIPPED.search(path):
            continue
        if isinstance(value, Mapping):
            yield from numbers(value, f"{path}.")
        elif _is_number(value):
            yield path, value
        elif isinstance(value, list | tuple) and 0 < len(value) <= LONGEST and all(_is_number(v) for v in value):
            yield from ((f"{path}[{k}]", v) for k, v in enumerate(value))


def skipped(path: str) -> bool:
    """Whether an entry is a mark of a token, a rate, a label or the like, which shapes nothing."""
    return bool(_SKIPPED.search(path))


def lists(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Every list of a config with its path."""
    for key, value in config.items():
        if key in (MODULES, LAYERS):
            continue
        if isinstance(value, Mapping):
            yield from lists(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{key}", list(value)


def get(config: Mapping[str, Any], path: str) -> Any:
    """The value at a path, or None when there is none."""
    value: Any = config
    for step in _steps(path):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def put(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the config with the values at some paths changed."""
    out = copy.deepcopy(dict(config))
    for path, value in changes.items():
        *way, last = _steps(path)
        place: Any = out
        for step in way:
            if isinstance(place[step], tuple):
                place[step] = list(place[step])
            place = place[step]
        place[last] = value
    return out


def _steps(path: str) -> list[str | int]:
    return [int(p[1:-1]) if p.startswith("[") else p for p in re.findall(r"\[\d+\]|[^.\[\]]+", path)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
