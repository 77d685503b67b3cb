"""A decoder whose cache goes in and comes out as plain tensors, and a file of it held against it token by token."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import ExportError
from penjing.exporters.exporter import TOLERANCE, Written, gap

PROMPT, MORE, PAST, SEQ = 11, 4, 7, 5
"""Tokens of the shorter prompt, and how many more the longer one has; what the graph is recorded with."""


class Cached(nn.Module):
    """`forward(input_ids, attention_mask, position_ids, past)` gives (logits, keys and values of all tokens...).

    `past` is a flat list: key and value of each layer, [batch heads tokens width].
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.inner = module
        self.sizes = kept(module)
        pairs = [(n, side) for n in range(len(self.sizes) // 2) for side in ("key", "value")]
        self.names = ["input_ids", "attention_mask", "position_ids", *(f"past.{n}.{side}" for n, side in pairs)]
        self.outputs = ["logits", *(f"present.{n}.{side}" for n, side in pairs)]
        self.vocabulary = int(module.get_input_embeddings().weight.shape[0])  # type: ignore[operator]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, past: list[Tensor]) -> Any:
        """The logits of all tokens given, and the cache with them."""
        from transformers import DynamicCache

        pairs = [(past[i], past[i + 1]) for i in range(0, len(past), 2)]
        cache = DynamicCache(pairs)
        out = self.inner(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, past_key_values=cache,
            use_cache=True,
        )  # fmt: skip
        kept = [t for layer in out.past_key_values.layers for t in (layer.keys, layer.values)]
        return (out.logits, *kept)

    def past(self, batch: int, tokens: int) -> list[Tensor]:
        """A cache drawn at random, or an empty one for no tokens."""
        drawn = torch.Generator().manual_seed(0)
        return [torch.randn(batch, heads, tokens, width, generator=drawn) for heads, width in self.sizes]

    def example(self) -> tuple[Any, ...]:
        """Five tokens after seven, in a batch of two."""
        ids = torch.arange(2 * SEQ).view(2, SEQ) % self.vocabulary
        positions = torch.arange(PAST, PAST + SEQ).expand(2, SEQ)
        return ids, torch.ones(2, PAST + SEQ, dtype=torch.long), positions, self.past(2, PAST)

    def shapes(self) -> tuple[Any, ...]:
        """Which dimensions are free, by name."""
        one = {0: "batch", 1: "seq"}
        return one, {0: "batch", 1: "total"}, one, [{0: "batch", 2: "past"} for _ in self.sizes]


@torch.no_grad()
def kept(module: nn.Module) -> list[tuple[int, int]]:
    """(heads, width) of the keys and the values of each layer that a model keeps from token to token.

    A model without weights, on `meta`, tells the same.

    Raises:
        ExportError: it keeps something else, or has too few positions to be tried.
    """
    config = module.config
    room = _room(config)
    if room < PROMPT + MORE + 1:
        raise ExportError(
            f"the model has {room} positions, and a file with a cache is tried on {PROMPT + MORE + 1}; export as pt2"
        )
    ids = torch.zeros(1, 2, dtype=torch.long, device=next(module.parameters()).device)
    found = getattr(module(input_ids=ids, use_cache=True), "past_key_values", None)
    layers = getattr(found, "layers", ())
    if not layers or any(getattr(x, "keys", None) is None for x in layers):
        raise ExportError("what this model keeps from token to token is no cache of keys and values; export as pt2")
    return [(t.shape[1], t.shape[3]) for layer in layers for t in (layer.keys, layer.values)]


def _room(config: Any) -> int:
    """How many tokens a model has positions for; many where it has no table of them."""
    return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 10**6)


@torch.no_grad()
def agreement(run: Callable[..., Any], cached: Cached, path: Path, written: int, *, exact: bool = True) -> Written:
    """Read prompts and write tokens with the file and with the model, and hold one against the other.

    Raises:
        ExportError: the file computes something else; without `exact`, only if it is far off.
    """
    drawn = torch.Generator().manual_seed(1)
    prompts = [torch.randint(cached.vocabulary, size, generator=drawn) for size in ((1, PROMPT), (2, PROMPT + MORE))]
    count = max(1, min(written, _room(cached.inner.config) - PROMPT - MORE))
    worst, same, total, compared = 0.0, 0, 0, []
    for ids in prompts:
        tokens = _greedy(lambda *given: cached(*given), cached, ids, count)
        other = _greedy(_by_file(run, cached), cached, ids, count, forced=tokens[0])
        worst = max(worst, *(gap(b.double(), a.double()) for a, b in zip(tokens[1], other[1], strict=True)))
        same += int((tokens[0] == other[0]).sum())
        total += tokens[0].numel()
        compared.append(f"input_ids {list(ids.shape)}, then {count} tokens")
    if not worst <= (TOLERANCE if exact else 1.0):
        raise ExportError(
            f"{path.name} computes something else than the model: logits differ by {worst:.1e} of the largest; do not "
            "use it"
        )
    note = f"at {same} of {total} places the likeliest token is the model's, with the cache"
    size = path.stat().st_size
    return Written(path=path, bytes=size, difference=worst, compared=tuple(compared), notes=(note,))


def _by_file(run: Callable[..., Any], cached: Cached) -> Callable[..., list[Tensor]]:
    def step(ids: Tensor, mask: Tensor, positions: Tensor, past: list[Tensor]) -> list[Tensor]:
        given = dict(zip(cached.names, (t.numpy() for t in (ids, mask, positions, *past)), strict=True))
        return [torch.from_numpy(t) for t in run(cached.outputs, given)]

    return step


def _greedy(
    step: Callable[..., Any], cached: Cached, ids: Tensor, count: int, *, forced: Tensor | None = None
) -> tuple[Tensor, list[Tensor]]:
    """(the likeliest tokens [batch count], the logits of each step); `forced` tokens are read instead of them."""
    past, tokens, logits, given, done = cached.past(len(ids), 0), [], [], ids, 0
    for place in range(count):
        positions = torch.arange(done, done + given.shape[1]).expand(given.shape)
        done += given.shape[1]
        found = step(given, torch.ones(len(ids), done, dtype=torch.long), positions.contiguous(), past)
        logits.append(found[0])
        past = list(found[1:])
        tokens.append(found[0][:, -1].argmax(-1))
        given = (tokens[-1] if forced is None else forced[:, place])[:, None]
    return torch.stack(tokens, 1), logits
