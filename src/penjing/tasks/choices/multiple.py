"""Multiple choice by log-likelihood as a task: items in, accuracies with their errors out."""

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penjing.core import Measurement
from penjing.data.items import AnyChoice
from penjing.errors import DataError
from penjing.tasks.choices.grades import Scored, accuracy
from penjing.tasks.choices.likelihood import log_likelihoods
from penjing.tasks.choices.requests import encode, special_tokens
from penjing.tasks.choices.styles import PLAIN, Pair, Style, shots_for, written
from penjing.tasks.kind import Asked
from penjing.tasks.task import Examined, called

VERSION = 1
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class MultipleChoice:
    """How often the likeliest choice is right.

    `style` writes the questions, `label` is what people call the task (empty: its name). `shots` solved examples come
    from `examples`, or from the other items when there are none. `limit` draws that many items by `seed`; None takes
    all. `metrics` are some of `METRICS`, the main one first (empty: the style's own). `alone` is what stands before a
    choice for acc_mutual_info.
    """

    name: str
    items: tuple[AnyChoice, ...]
    style: Style = PLAIN
    shots: int = 0
    examples: tuple[AnyChoice, ...] = ()
    limit: int | None = None
    seed: int = 0
    metrics: tuple[str, ...] = ()
    alone: str = "Answer:"
    share: bool = True
    batch: int | None = None
    label: str = ""

    def key(self) -> str:
        """The protocol: everything that changes the figures."""
        how = self.style
        parts = [
            f"multiple_choice/{VERSION} style={how.name} shots={self.shots} seed={self.seed}",
            f"items={len(self.drawn())}/{len(self.items)} metrics={','.join(self._metrics())}",
        ]
        if "acc_mutual_info" in self._metrics():
            parts.append(f"alone={json.dumps(self.alone)}")
        return " ".join([*parts, f"text=sha256:{items_hash([*self.drawn(), *(self.examples if self.shots else ())])}"])

    def _metrics(self) -> tuple[str, ...]:
        return self.metrics or self.style.metrics

    def drawn(self) -> tuple[AnyChoice, ...]:
        """The items that are measured, in their order.

        Raises:
            DataError: there are none, or the limit is below 1.
        """
        return drawn(self.items, self.limit, self.seed, self.name)

    def pairs(self) -> list[list[Pair]]:
        """(context, continuation) per choice of each drawn item.

        Raises:
            DataError: there are fewer examples than shots.
        """
        how, pool = self.style, self.examples or self.items
        items = self.drawn()
        return [written(i, how, shots_for(i, pool, self.shots, how, seed=self.seed)) for i in items]

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """One figure per metric: the first bears the task's name, the others `name:metric`.

        Raises:
            DataError: the model has no tokenizer, or an item cannot be written.
            MeasureError: the model cannot be measured so.
        """
        reader = model.reader(f"the task {self.name}")
        scored, note = self.score(model.module, reader, progress)
        protocol = f"{self.key()} {special_tokens(reader)}"
        main = self._metrics()[0]
        out = []
        for metric in self._metrics():
            what = "" if metric == main else metric
            name = self.name if metric == main else f"{self.name}:{metric}"
            found = accuracy(scored, metric, name=name, protocol=protocol, note=note, full=metric == main)
            out.append(replace(found, label=called(self.label, what)))
        return tuple(out)

    def score(self, module: Any, tokenizer: Any, progress: Progress | None = None) -> tuple[list[Scored], str]:
        """Every drawn item with its log-likelihoods, and a note on what had to be cut.

        Raises:
            DataError: an item cannot be written or tokenised.
            MeasureError: the model cannot be measured so.
        """
        how, items, pairs = self.style, self.drawn(), self.pairs()
        flat = [p for each in pairs for p in each]
        names = [f"choice {c} of item {i.id}" for i in items for c in range(len(i.choices))]
        apart = "acc_mutual_info" in self._metrics()
        if apart:
            flat += [(self.alone, continuation) for _, continuation in flat]
            names += [f"{n} alone" for n in names]
        found = log_likelihoods(
            module, encode(tokenizer, flat), share=self.share, batch=self.batch, names=names, progress=progress
        )
        values = iter(found.values)
        together = [tuple(next(values) for _ in i.choices) for i in items]
        alone = [tuple(next(values) for _ in i.choices) if apart else () for i in items]
        scored = [Scored(i, v, tuple(how.lengths(i)), a) for i, v, a in zip(items, together, alone, strict=True)]
        return scored, truncation_note(found.truncated, len(flat))


def benchmark(name: str, items: Sequence[AnyChoice], style: Style, asked: Asked, *, title: str) -> MultipleChoice:
    """The task that a benchmark's file makes of its items, called `title`."""
    return MultipleChoice(
        name=name, label=title, items=tuple(items), style=style, shots=asked.shots, limit=asked.limit, seed=asked.seed
    )


def drawn(items: Sequence[Any], limit: int | None, seed: int, name: str) -> tuple[Any, ...]:
    """`limit` of the items, drawn by `seed`, in their order; all of them without a limit.

    Raises:
        DataError: there are none, or the limit is below 1.
    """
    if not items:
        raise DataError(f"the task {name} has no items; give at least one")
    if limit is not None and limit < 1:
        raise DataError(f"the task {name} has a limit of {limit} items; it must be 1 or more")
    if limit is None or limit >= len(items):
        return tuple(items)
    return tuple(items[i] for i in sorted(random.Random(f"draw {seed}").sample(range(len(items)), limit)))


def items_hash(items: Sequence[Any]) -> str:
    """16 hex digits over ids, texts and answers: the same for the same items."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(repr(item).encode("utf-8", errors="surrogatepass"))
    return digest.hexdigest()[:16]


def truncation_note(count: int, of: int) -> str:
    """A sentence on contexts that lost their beginning, or nothing."""
    if not count:
        return ""
    return f"{count} of {of} contexts were longer than the model's positions and lost their beginning"
