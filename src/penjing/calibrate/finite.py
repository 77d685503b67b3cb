"""Values that are not finite: noticed at little cost, and traced to the layer where they began."""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate.batches import Batch, run
from penjing.errors import DataError


class NotFiniteError(Exception):
    """What goes into a layer holds values that are not finite; never leaves this room."""

    def __init__(self, what: str, count: int) -> None:
        super().__init__(what)
        self.what, self.count = what, count


def require_finite(x: Tensor, what: str) -> None:
    """Raise `NotFiniteError` if `x` holds NaN or infinity. A sum is read first, for it needs no memory."""
    if not math.isfinite(float(x.sum())):
        bad = int((~x.isfinite()).sum())
        if bad:
            raise NotFiniteError(what, bad)


def refusal(module: nn.Module, batch: Batch, found: NotFiniteError) -> DataError:
    """The error that names what was found and the first layer, in the order of the forward, that gave such values."""
    return DataError(
        f"{found.what} hold {found.count} values that are not finite, needed are finite ones; {_origin(module, batch)}"
    )


def _origin(module: nn.Module, batch: Batch) -> str:
    if any(not t.isfinite().all() for t in _tensors(batch) if t.is_floating_point()):
        return "the data itself holds them: correct it"
    seen: list[str] = []

    def watch(path: str) -> Any:
        def hook(layer: nn.Module, args: Any, output: Any) -> None:
            if not seen and any(not t.isfinite().all() for t in _tensors(output) if t.is_floating_point()):
                seen.append(path)

        return hook

    with torch.no_grad(), ExitStack() as stack:
        for path, layer in module.named_modules():
            if path and not any(layer.children()):
                stack.callback(layer.register_forward_hook(watch(path)).remove)
        run(module, batch)
    where = f"they begin in the output of {seen[0]}: " if seen else ""
    return f"{where}check the weights for NaN, or run in float32"


def _tensors(item: Any) -> Iterator[Tensor]:
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, Mapping):
        for value in item.values():
            yield from _tensors(value)
    elif isinstance(item, tuple | list):
        for value in item:
            yield from _tensors(value)
