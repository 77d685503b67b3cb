"""The teacher: what it gives for each batch, kept while there is room, so that its body runs once a batch.

Kept are the states that go into its last layer, where the logits that follow are the very same: a few hundred numbers a
token, and not one for each entry of the vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from penjing.core import Looks, Seen
from penjing.train.seeing import Watched

ROOM = 2 << 30
"""Bytes that are kept of a teacher at most; beyond, it runs anew."""


class Teacher:
    """What a model in evaluation mode gives for the batches at their places; `paths` are its blocks.

    What is kept of a batch is what its first pass gave, bit for bit. With `room` 0 it runs for each.
    """

    def __init__(
        self, module: nn.Module, batches: Sequence[Any], looks: Looks, paths: Sequence[str], *, room: int = ROOM
    ) -> None:
        self._module, self._batches, self._looks, self._room = module.eval(), batches, looks, room
        self._head = _head_of(module) if looks.logits else None
        wanted = {there: paths[there] for _, there in looks.blocks}
        self._watched = Watched(self._module, wanted, head=self._head)
        self._kept: dict[int, Seen] = {}
        self._bytes = 0
        self.passes = 0
        self.is_exact = False

    @torch.no_grad()
    def __call__(self, place: int) -> Seen:
        """What the batch at a place gives: logits and states as looked for."""
        known = self._kept.get(place)
        return self._finished(self._run(place) if known is None else known)

    @torch.no_grad()
    def of(self, batch: Any) -> Seen:
        """What any batch gives; nothing is kept of it."""
        seen = self._watched(batch)
        return Seen(
            logits=seen.logits if self._looks.logits else None,
            states={n: seen.states[n] for _, n in self._looks.blocks},
        )

    def forget(self) -> None:
        """Keep nothing of what it gave so far."""
        self._kept, self._bytes = {}, 0

    def close(self) -> None:
        """Take off what watches it."""
        self._watched.close()

    def _run(self, place: int) -> Seen:
        seen = self._watched(self._batches[place])
        self.passes += 1
        if self.passes == 1 and self._head is not None:
            self.is_exact = self._follows(seen)
        states = {n: seen.states[n] for _, n in self._looks.blocks}
        logits = seen.logits if self._looks.logits else None
        if logits is not None and self.is_exact and -1 in seen.states:
            states, logits = {**states, -1: seen.states[-1]}, None
        kept = Seen(logits=logits, states=states)
        size = sum(t.nbytes for t in (*states.values(), *([] if logits is None else [logits])))
        if self._bytes + size <= self._room:
            self._bytes += size
            self._kept[place] = kept
        return kept

    def _finished(self, seen: Seen) -> Seen:
        if self._head is None or not self.is_exact or -1 not in seen.states:
            return seen
        states = {n: t for n, t in seen.states.items() if n >= 0}
        return replace(seen, logits=self._head(seen.states[-1]), states=states)

    def _follows(self, seen: Seen) -> bool:
        """Whether the logits are what the last layer makes of its input: some models scale or bound them afterwards."""
        assert self._head is not None  # noqa: S101 - asked only then
        state, logits = seen.states.get(-1), seen.logits
        return state is not None and logits is not None and torch.equal(self._head(state), logits)


def _head_of(module: nn.Module) -> nn.Module | None:
    """The layer that makes the logits of a language model, or None."""
    found: Callable[[], Any] | None = getattr(module, "get_output_embeddings", None)
    head = found() if found is not None else None
    return head if isinstance(head, nn.Linear) else None
