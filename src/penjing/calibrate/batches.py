"""What a batch may be: how it is run, how many examples it has, one of them, its labels."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import DataError

Batch = Tensor | Sequence[Any] | Mapping[str, Any]
"""One tensor, a sequence of positional arguments, keyword arguments, or a pair (one of these, labels [examples])."""

_FIRST = ("input_ids", "pixel_values", "inputs_embeds")


def run(module: nn.Module, batch: Batch) -> Any:
    """What the module gives for a batch. Labels are passed on only where its forward names them.

    Raises:
        DataError: the module refuses the batch.
    """
    takes = inspect.signature(module.forward).parameters
    args, kwargs = _arguments(batch, takes)
    if "use_cache" in takes:
        kwargs = {"use_cache": False, **kwargs}  # keys and values of a generation that never comes
    try:
        return module(*args, **kwargs)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:  # such as images of another size
        said = " ".join(str(error).split())[:300]
        raise DataError(
            f"{type(module).__name__} cannot take a batch of {describe(batch)}: {said}; give batches as its forward "
            "takes them"
        ) from error


def _arguments(batch: Batch, takes: Mapping[str, inspect.Parameter]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(batch, Tensor):
        return (batch,), {}
    if isinstance(batch, Mapping):
        return (), {k: v for k, v in batch.items() if k != "labels" or "labels" in takes}
    if is_labelled(batch) and _required(takes) < 2:
        return _arguments(batch[0], takes)
    return tuple(batch), {}


def _required(takes: Mapping[str, inspect.Parameter]) -> int:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return len([p for p in takes.values() if p.kind in positional and p.default is p.empty])


def is_labelled(batch: Batch) -> bool:
    """Whether this is a pair of inputs and whole-number labels, one for each example."""
    if isinstance(batch, Tensor | Mapping) or len(batch) != 2 or not isinstance(batch[1], Tensor):
        return False
    second, first = batch[1], batch[0]
    whole = not second.is_floating_point() and not second.is_complex() and second.dtype != torch.bool
    return isinstance(first, Tensor | Mapping) and whole and second.ndim == 1 and len(second) == examples(first)


def labels(batch: Batch) -> Tensor | None:
    """The labels of a batch, or None."""
    if isinstance(batch, Mapping):
        found = batch.get("labels")
        return found if isinstance(found, Tensor) else None
    return batch[1] if is_labelled(batch) else None


def tokens(batch: Batch) -> tuple[Tensor, Tensor | None] | None:
    """(token ids [examples length], the mask of those that count or None), or None if the batch is not of tokens."""
    if isinstance(batch, Mapping):
        ids, mask = batch.get("input_ids"), batch.get("attention_mask")
        return (ids, mask if isinstance(mask, Tensor) else None) if isinstance(ids, Tensor) else None
    first = batch if isinstance(batch, Tensor) else batch[0] if batch else None
    if isinstance(first, Mapping):
        return tokens(first)
    fits = isinstance(first, Tensor) and first.ndim == 2 and not first.is_floating_point()
    return (first, None) if isinstance(first, Tensor) and fits else None


def examples(batch: Batch) -> int:
    """How many examples a batch has: the length of its first tensor.

    Raises:
        DataError: there is no tensor in it.
    """
    first = _first(batch)
    if first is None:
        raise DataError(f"found a batch of {describe(batch)} without a tensor; give a tensor, a sequence or a mapping")
    return first.shape[0] if first.ndim else 1


def _first(batch: Any) -> Tensor | None:
    if isinstance(batch, Tensor):
        return batch
    if isinstance(batch, Mapping):
        named = [batch[k] for k in _FIRST if isinstance(batch.get(k), Tensor)]
        return next(iter(named + [v for v in batch.values() if isinstance(v, Tensor)]), None)
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return next((found for item in batch if (found := _first(item)) is not None), None)
    return None


def one(batch: Any, place: int) -> Any:
    """The batch of the example at `place` alone."""
    return some(batch, [place])


def some(batch: Any, places: Sequence[int]) -> Any:
    """The batch of the examples at `places`, in this order."""
    return _picked(batch, list(places), examples(batch))


def _picked(item: Any, places: list[int], count: int) -> Any:
    if isinstance(item, Tensor):
        return item[places] if item.ndim and item.shape[0] == count else item
    if isinstance(item, Mapping):
        return {k: _picked(v, places, count) for k, v in item.items()}
    if isinstance(item, tuple | list):
        return tuple(_picked(v, places, count) for v in item)
    return item


def describe(batch: Any) -> str:
    """What a batch is, for a message."""
    if isinstance(batch, Tensor):
        return f"{str(batch.dtype).removeprefix('torch.')} {list(batch.shape)}"
    if isinstance(batch, Mapping):
        return ", ".join(f"{k} {describe(v)}" for k, v in batch.items())
    if isinstance(batch, tuple | list):
        return ", ".join(describe(v) for v in batch)
    return type(batch).__name__
