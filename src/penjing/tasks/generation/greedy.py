"""The likeliest continuation, token by token, of many prompts at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from penjing.errors import MeasureError
from penjing.evaluate.scoring import evaluating, max_positions
from penjing.tasks.choices.cached import cacheable, device_of, extend, logits_of, prefill
from penjing.tasks.choices.requests import prefix_token, token_ids

Progress = Callable[[int, int], None]
BATCH = 16
LIMIT = 256


@dataclass(frozen=True)
class Reply:
    """What a model wrote, up to what stopped it: a stop string (left out), the end token, or the limit of tokens."""

    text: str
    tokens: int
    ended: Literal["stop", "end", "limit"]
    truncated: bool = False


class _Writing:
    """One prompt's growing reply. It alone changes while a batch runs."""

    def __init__(self, place: int, prompt: tuple[int, ...], truncated: bool) -> None:
        self.place, self.prompt, self.truncated = place, prompt, truncated
        self.tokens: list[int] = []
        self.ended: Literal["stop", "end", "limit"] | None = None


@dataclass(frozen=True)
class _Rules:
    """When a reply is done."""

    tokenizer: Any
    stops: tuple[str, ...]
    ends: frozenset[int]
    limit: int
    tail: int

    def take(self, writing: _Writing, token: int) -> None:
        """Add a token, and see whether the reply is done."""
        if token in self.ends:
            writing.ended = "end"
            return
        writing.tokens.append(token)
        if self.stops:
            recent = self.tokenizer.decode(writing.tokens[-self.tail :], skip_special_tokens=False)
            if any(s in recent for s in self.stops):
                writing.ended = "stop"
        if writing.ended is None and len(writing.tokens) >= self.limit:
            writing.ended = "limit"

    def reply(self, writing: _Writing) -> Reply:
        text = self.tokenizer.decode(writing.tokens, skip_special_tokens=True)
        # Special tokens are gone from the text, so a stop string among them no longer splits it.
        for stop in self.stops:
            text = text.partition(stop)[0]
        return Reply(text, len(writing.tokens), writing.ended or "limit", writing.truncated)


def generate(
    module: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    stops: Sequence[str] = (),
    limit: int = LIMIT,
    batch: int | None = None,
    progress: Progress | None = None,
) -> list[Reply]:
    """One greedy reply per prompt, of at most `limit` tokens, in the order given.

    A reply ends before any of `stops`, at an end token of the model or its tokenizer, or at the limit. Prompts that
    leave no room for the limit lose their beginning. Neither penalties nor sampling of the model's own generation
    settings apply.

    Raises:
        MeasureError: the limit leaves no room for a prompt, or the logits are not numbers.
    """
    positions = max_positions(module)
    room = None if positions is None else positions - limit
    if limit < 1 or (room is not None and room < 1):
        raise MeasureError(
            f"replies of {limit} tokens were asked for, the model has {positions} positions; ask for 1 or more, and "
            "fewer than it has"
        )
    stops = tuple(s for s in stops if s)
    tail = max((len(s.encode("utf-8")) for s in stops), default=0) + 4
    rules = _Rules(tokenizer, stops, _end_tokens(module, tokenizer, stops), limit, tail)
    waiting = []
    for place, ids in enumerate(token_ids(tokenizer, prompts)):
        ids = ids or (prefix_token(tokenizer),)
        long = room is not None and len(ids) > room
        waiting.append(_Writing(place, ids[-room:] if long else ids, long))  # type: ignore[operator]
    waiting.sort(key=lambda w: -len(w.prompt))
    run, size = (_cached, batch or BATCH) if cacheable(module) else (_repeated, 1)
    replies: dict[int, Reply] = {}
    with evaluating(module):
        for start in range(0, len(waiting), size):
            group = waiting[start : start + size]
            run(module, rules, group)
            replies |= {w.place: rules.reply(w) for w in group}
            if progress:
                progress(len(replies), len(prompts))
    return [replies[i] for i in range(len(prompts))]


def _cached(module: Any, rules: _Rules, group: Sequence[_Writing]) -> None:
    """All of the group at once; those that are done leave, so that no time goes into them."""
    filled, last = prefill(module, [w.prompt for w in group])
    alive = list(group)
    while True:
        for writing, token in zip(alive, _best(last), strict=True):
            rules.take(writing, token)
        rows = [i for i, w in enumerate(alive) if w.ended is None]
        if not rows:
            return
        gone = len(rows) < len(alive)
        alive = [alive[i] for i in rows]
        tokens = torch.tensor([[w.tokens[-1]] for w in alive])
        filled, logits = extend(module, filled, tokens, rows=rows if gone else None)
        last = logits[:, -1]


def _repeated(module: Any, rules: _Rules, group: Sequence[_Writing]) -> None:
    """One at a time and from the start for each token: right for any causal model, and slow."""
    for writing in group:
        while writing.ended is None:
            tokens = torch.tensor([[*writing.prompt, *writing.tokens]], device=device_of(module))
            rules.take(writing, _best(logits_of(module(tokens))[:, -1])[0])


def _best(logits: Tensor) -> list[int]:
    if torch.isnan(logits).any():
        raise MeasureError("the model gave NaN logits while writing; check its weights, or measure in float32")
    return logits.argmax(-1).tolist()


def _end_tokens(module: Any, tokenizer: Any, stops: Sequence[str]) -> frozenset[int]:
    """The tokens that end a reply: those of the model, of its tokenizer, and stops that are one special token."""
    found: set[int] = set()
    sources = (getattr(module, "generation_config", None), getattr(module, "config", None), tokenizer)
    for source in sources:
        token = getattr(source, "eos_token_id", None)
        found |= set(token) if isinstance(token, list | tuple) else {token} if isinstance(token, int) else set()
    special = set(getattr(tokenizer, "all_special_tokens", ()))
    return frozenset(found | {tokenizer.convert_tokens_to_ids(s) for s in stops if s in special})
