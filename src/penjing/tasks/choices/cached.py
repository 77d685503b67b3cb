"""Running a causal model over contexts once, and going on from there as often as wanted."""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import MeasureError


@dataclass(frozen=True, eq=False)
class Prefilled:
    """Contexts that went through the model: their keys and values, and which places hold tokens, [rows width]."""

    cache: Any
    mask: Tensor
    lengths: Tensor


def cacheable(module: Any) -> bool:
    """Whether the module takes and keeps keys and values that can be copied from row to row.

    State-space layers, encoder-decoders and modules that are not of transformers do not.
    """
    if not isinstance(module, nn.Module) or getattr(module, "config", None) is None:
        return False
    if not {"past_key_values", "attention_mask", "position_ids"} <= parameters(module):
        return False
    if getattr(module.config, "is_encoder_decoder", False):
        return False
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    layers = _empty_cache(module).layers
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)


def parameters(module: Any) -> set[str]:
    """The names that a module's forward takes."""
    return set(inspect.signature(module.forward).parameters) if isinstance(module, nn.Module) else set()


def _empty_cache(module: Any) -> Any:
    from transformers import DynamicCache

    return DynamicCache(config=module.config)


def device_of(module: Any) -> torch.device:
    """Where the module's first parameter lies."""
    parameter = next(module.parameters(), None) if isinstance(module, nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device


def prefill(module: Any, contexts: Sequence[Sequence[int]]) -> tuple[Prefilled, Tensor]:
    """The contexts run through the model, padded on the left; and the logits after each, [contexts vocabulary].

    Raises:
        MeasureError: the model gives no logits.
    """
    device = device_of(module)
    width = max(map(len, contexts))
    tokens = torch.zeros(len(contexts), width, dtype=torch.long)
    mask = torch.zeros(len(contexts), width, dtype=torch.long)
    for i, context in enumerate(contexts):
        tokens[i, width - len(context) :] = torch.tensor(context)
        mask[i, width - len(context) :] = 1
    lengths = mask.sum(1)
    positions = (torch.arange(width) - (width - lengths)[:, None]).clamp(min=0)
    cache = _empty_cache(module)
    settings: dict[str, Any] = {"past_key_values": cache, "use_cache": True, **_masked(mask, positions, device)}
    if "logits_to_keep" in parameters(module):
        settings["logits_to_keep"] = 1
    logits = logits_of(module(tokens.to(device), **settings))
    return Prefilled(cache, mask, lengths), logits[:, -1]


def extend(
    module: Any, filled: Prefilled, tokens: Tensor, *, rows: Sequence[int] | None = None
) -> tuple[Prefilled, Tensor]:
    """`tokens` [rows tokens] run after the contexts `rows` (None: all, in order); the logits [rows tokens vocabulary].

    The rows' keys and values are copied, so `filled` may be gone on from again; with `rows` None they are not, and
    `filled` is used up.

    Raises:
        MeasureError: the model gives no logits.
    """
    device = device_of(module)
    cache, mask, lengths = filled.cache, filled.mask, filled.lengths
    if rows is not None:
        chosen = torch.tensor(rows)
        mask, lengths = mask[chosen], lengths[chosen]
        # Selecting makes new tensors, so the layers' shells are all that must be copied.
        cache = copy.copy(cache)
        cache.layers = [copy.copy(layer) for layer in cache.layers]
        cache.batch_select_indices(chosen.to(device))
    mask = torch.cat([mask, torch.ones_like(tokens, device="cpu")], dim=1)
    positions = lengths[:, None] + torch.arange(tokens.shape[1])
    settings = {"past_key_values": cache, "use_cache": True, **_masked(mask, positions, device)}
    logits = logits_of(module(tokens.to(device), **settings))
    return Prefilled(cache, mask, lengths + tokens.shape[1]), logits


def _masked(mask: Tensor, positions: Tensor, device: torch.device) -> dict[str, Tensor]:
    """The mask and positions to pass: no mask where nothing is padded, which lets attention take its fast path."""
    out = {"position_ids": positions.to(device)}
    return out if bool(mask.all()) else {**out, "attention_mask": mask.to(device)}


def logits_of(output: Any) -> Tensor:
    """The logits [rows tokens vocabulary] in what a model gave.

    Raises:
        MeasureError: there are none of that shape.
    """
    found = getattr(output, "logits", output)
    if not isinstance(found, Tensor) or found.ndim != 3:
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise MeasureError(
            f"the model gave {shape}; needed logits [batch tokens vocabulary]: questions in words are for causal "
            "language models"
        )
    return found
