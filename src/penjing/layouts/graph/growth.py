"""How the key-value cache of a model grows: counted by running few of its blocks on `meta`."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from penjing.layouts.config.paths import numbers
from penjing.layouts.config.stock import quiet
from penjing.layouts.graph.inputs import BATCH, example
from penjing.layouts.graph.thin import Group, thinned


class _UnlikeError(Exception):
    """The blocks that were run do not tell how the cache of the others grows."""


def growth(module: nn.Module, config: Mapping[str, Any]) -> int:
    """Values by which the cache of a model on `meta` grows with each token of one sequence; 0 when it keeps none.

    Of many like blocks three are run, and the others grow as the second does; all are run where these differ, or where
    it is not clear which block a part of the cache belongs to.
    """
    if not _generates(module):
        return 0
    length = _unlike(config)
    with thinned(module) as groups:
        if not groups:
            return sum(_by_layer(module, length).values())
        try:
            return _of_all(groups, _by_layer(module, length), module)
        except Exception:  # stock code may need the blocks that were left out, and say so in any way
            pass
    return sum(_by_layer(module, length).values())


def _of_all(groups: list[Group], counts: Mapping[int, int], module: nn.Module) -> int:
    """What all blocks hold, from the counts of those that were run.

    Raises:
        _UnlikeError: they do not tell.
    """
    paths = {g.path for g in groups if not any(g.path.startswith(f"{o.path}.") for o in groups)}
    held = {k for k, n in counts.items() if n}
    fitting = [p for p in paths if held <= {int(k) for k in dict(module.get_submodule(p).named_children())}]
    if not held:
        return 0
    if len(fitting) != 1:
        raise _UnlikeError
    total = sum(counts.values())
    for group in groups:
        if group.path == fitting[0]:
            first, template, last = (counts.get(k, 0) for k in group.kept)
            if not first == template == last:
                raise _UnlikeError
            total += template * len(group.rest)
    return total


def _by_layer(module: Any, length: int) -> dict[int, int]:
    """Layer of the cache -> its values for each of `length` tokens of one sequence."""
    given: dict[str, Any] = {"input_ids": torch.zeros((1, length), dtype=torch.long, device="meta")}
    if getattr(module.config, "is_encoder_decoder", False):
        ids = torch.zeros((BATCH, length), dtype=torch.long, device="meta")
        given = {**example(module), "decoder_input_ids": ids}
    with quiet(), torch.no_grad():
        cache = getattr(module(**{**given, "use_cache": True}), "past_key_values", None)
    if "decoder_input_ids" in given:  # what is kept of the encoder's does not grow with the tokens
        return {k: n // BATCH for k, n in _layers(getattr(cache, "self_attention_cache", None), length).items()}
    return _layers(cache, length)


def _layers(cache: Any, length: int) -> dict[int, int]:
    seen: set[int] = set()
    counts: dict[int, int] = {}
    for k, layer in enumerate(getattr(cache, "layers", ())):
        new = [t for t in _tensors(vars(layer).values()) if id(t) not in seen]
        seen.update(map(id, new))
        counts[k] = sum(t.numel() // length for t in new if length in t.shape)
    return counts


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value


def _unlike(config: Mapping[str, Any]) -> int:
    """A small prime that divides no number of the config: a size of a cache that it divides comes from the tokens."""
    sizes = [v for _, v in numbers(config) if isinstance(v, int) and v > 0]
    return next((p for p in (11, 13, 17, 19, 23, 29, 31, 37) if all(v % p for v in sizes)), 41)


def _generates(module: Any) -> bool:
    takes = inspect.signature(module.forward).parameters
    into = "decoder_input_ids" if getattr(module.config, "is_encoder_decoder", False) else "input_ids"
    return "past_key_values" in takes and into in takes
