"""A config as JSON, in the form that transformers writes: numbers that are not finite are tables with one key.

JSON has no infinity and no NaN. transformers writes such a number as `{"__float__": "Infinity"}` and reads it back as
a number; configs that older tools wrote hold the bare words `Infinity` and `NaN`, which are read as well.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from penjing.errors import CheckpointError

TAG = "__float__"
"""The only key of a table that stands for a number."""

NUMBERS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}


def decoded(value: Any) -> Any:
    """Plain data as read from JSON, with the numbers that its tagged tables stand for.

    >>> decoded({"limit": [0.0, {"__float__": "Infinity"}]})
    {'limit': [0.0, inf]}
    """
    if isinstance(value, dict):
        word = value.get(TAG) if len(value) == 1 else None
        if isinstance(word, str) and word in NUMBERS:
            return NUMBERS[word]
        return {key: decoded(inner) for key, inner in value.items()}
    return [decoded(inner) for inner in value] if isinstance(value, list) else value


def encoded(value: Any) -> Any:
    """Plain data with every number that JSON cannot hold as a tagged table; the inverse of `decoded`.

    >>> encoded({"limit": (0.0, float("inf"))})
    {'limit': [0.0, {'__float__': 'Infinity'}]}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {TAG: "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, Mapping):
        return {key: encoded(inner) for key, inner in value.items()}
    return [encoded(inner) for inner in value] if isinstance(value, list | tuple) else value


def config_of_text(text: str, origin: object) -> dict[str, Any]:
    """The config that a JSON text holds; `origin` names its file in errors.

    Raises:
        CheckpointError: it is not JSON, or holds no table.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{origin} is not JSON ({error}); name the model's config.json") from error
    if not isinstance(config, dict):
        raise CheckpointError(
            f"{origin} holds a {type(config).__name__}, and a JSON object was needed; name the model's config"
        )
    return decoded(config)


def text_of_config(config: Mapping[str, Any]) -> str:
    """A config as the text of a config.json."""
    return json.dumps(encoded(config), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
