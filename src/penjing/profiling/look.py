"""What a model is made of, from headers and the layout: no weights are read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from penjing.core import Layout
from penjing.errors import LayoutError
from penjing.io.spans import KINDS
from penjing.layouts import costs
from penjing.running.outline import Outline


@dataclass(frozen=True, kw_only=True)
class Look:
    """Totals, the share of each part, and the axes.

    `macs_per_token` is of one generated token after `context` tokens, None for models without tokens, which have
    `macs_per_sample`; `kv_cache_bytes_per_token` is None where there is no such cache.
    """

    name: str
    parameters: int
    bytes: int
    macs_per_sample: float
    macs_per_token: float | None
    kv_cache_bytes_per_token: int | None
    context: int
    shares: tuple[Any, ...]
    layout: Layout

    def to_json(self) -> dict[str, Any]:
        """Plain data with stable keys."""
        return {
            "model": self.name,
            "parameters": self.parameters,
            "bytes": self.bytes,
            "macs_per_sample": self.macs_per_sample,
            "macs_per_token": self.macs_per_token,
            "kv_cache_bytes_per_token": self.kv_cache_bytes_per_token,
            "context": self.context,
            "shares": [asdict(s) for s in self.shares],
            "axes": [asdict(a) for a in self.layout.axes.values()],
            "blocks": [asdict(b) for b in self.layout.blocks],
            "notes": list(self.layout.notes),
        }


def look_at(model: Outline, *, context: int) -> Look:
    """Count what a model holds and does.

    Raises:
        CheckpointError: stock code cannot build the config.
    """
    layout = model.layout
    itemsize = _config_itemsize(model.config) if model.contents is None else model.contents.itemsize
    tokens = any(w.tokens for w in layout.work)
    cache = None
    if model.config and tokens:
        try:
            cache = costs.kv_cache_bytes_per_token(model.config, round(itemsize))
        except LayoutError as error:
            layout = replace(layout, notes=(*layout.notes, str(error)))
    parameters = costs.parameters(layout)
    return Look(
        name=model.name,
        parameters=parameters,
        bytes=round(parameters * itemsize) if model.contents is None else model.contents.bytes,
        macs_per_sample=costs.macs(layout, tokens=context),
        macs_per_token=costs.macs_per_token(layout, context=context) if tokens else None,
        kv_cache_bytes_per_token=cache or None,
        context=context,
        shares=tuple(costs.shares(layout)),
        layout=layout,
    )


def _config_itemsize(config: Mapping[str, Any]) -> float:
    """Bytes per weight as the config's dtype says, or 2 (bfloat16)."""
    named = str(config.get("dtype") or config.get("torch_dtype") or "bfloat16").removeprefix("torch.")
    known = dict(KINDS.values()).get(named)
    if known is not None:
        return known
    import torch  # which has more names, such as "half"

    found = getattr(torch, named, torch.bfloat16)
    return found.itemsize if isinstance(found, torch.dtype) else 2
