"""By how many values the key-value cache of a stock model grows with each token: counted once, then read from disk."""

import json
from collections.abc import Mapping
from typing import Any

from penjing.errors import LayoutError
from penjing.layouts import cache as kept

FORMAT = "penjing key-value cache 2"
MOST = 2**63 - 1


def values_per_token(config: Mapping[str, Any]) -> int:
    """Values by which the cache grows with each token of one sequence; 0 when the model keeps none.

    Counted, not derived: the model is built on the meta device and run on a few tokens. Layers with a window grow only
    up to it; the figure holds below that.

    Raises:
        CheckpointError: stock code cannot build the config.
        LayoutError: the model cannot be run without values, so that nothing can be counted.
    """
    name = _name(config)
    found = _read(name)
    if found is None:
        from penjing.layouts.config.stock import build
        from penjing.layouts.graph.growth import growth

        module = build(config)
        try:
            found = growth(module, config)
        except Exception as error:  # stock code may raise anything where it is run without values
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            kind = config.get("model_type")
            raise LayoutError(f"the key-value cache of '{kind}' could not be counted: {line}") from error
        _write(name, found)
    return found


def remember(config: Mapping[str, Any], module: Any) -> None:
    """Count for a model that is built already and keep it, so that `values_per_token` need not build it again.

    A model that cannot be run on a few tokens is let be: who asks for the figure hears why.
    """
    from penjing.layouts.graph.growth import growth

    name = _name(config)
    if _read(name) is not None:
        return
    try:
        found = growth(module, config)
    except Exception:  # stock code may raise anything, and a layout is whole without this figure
        return
    _write(name, found)


def _name(config: Mapping[str, Any]) -> str:
    return kept.key(config, None, "key-value cache")


def _read(name: str) -> int | None:
    text = kept.read_text(name)
    try:
        table = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    found = table.get("values_per_token") if isinstance(table, dict) and table.get("format") == FORMAT else None
    return found if type(found) is int and 0 <= found <= MOST else None


def _write(name: str, values: int) -> None:
    kept.write_text(name, json.dumps({"format": FORMAT, "values_per_token": values}))
