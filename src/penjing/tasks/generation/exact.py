"""Exact match: the model writes, and what it wrote is compared."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penjing.core import Measurement
from penjing.data.items import ExactItem
from penjing.errors import DataError, nearest
from penjing.tasks.choices.grades import mean_with_error
from penjing.tasks.choices.multiple import drawn, items_hash, truncation_note
from penjing.tasks.choices.requests import special_tokens
from penjing.tasks.generation.answers import READINGS, Reading, matches, pattern
from penjing.tasks.generation.greedy import LIMIT, Reply, generate
from penjing.tasks.task import Examined, called

VERSION = 1
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ExactMatch:
    """How often a greedy reply is one of the targets; `label` is what people call the task (empty: its name).

    `readings` are names of `READINGS` or, with `pattern:` before it, a regular expression; the first gives the main
    figure. The prompt of an item stands between `before` and `after`; `shots` solved examples come first, from
    `examples` or the other items, with their target (or all of `extra["solution"]`, where there is one) and
    `separator` behind each.
    """

    name: str
    items: tuple[ExactItem, ...]
    readings: tuple[str, ...] = ("exact",)
    before: str = ""
    after: str = ""
    header: str = ""
    separator: str = "\n\n"
    shots: int = 0
    examples: tuple[ExactItem, ...] = ()
    stops: tuple[str, ...] = ("\n\n",)
    max_new_tokens: int = LIMIT
    limit: int | None = None
    seed: int = 0
    batch: int | None = None
    label: str = ""

    def key(self) -> str:
        """The protocol: everything that changes the figures."""
        items = self.drawn()
        text = items_hash([*items, *(self.examples if self.shots else ())])
        form = {"before": self.before, "after": self.after, "header": self.header, "separator": self.separator}
        return (
            f"exact_match/{VERSION} greedy readings={'|'.join(self.readings)} shots={self.shots} seed={self.seed} "
            f"max_new_tokens={self.max_new_tokens} stops={list(self.stops)!r} form={form!r} "
            f"items={len(items)}/{len(self.items)} text=sha256:{text}"
        )

    def drawn(self) -> tuple[ExactItem, ...]:
        """The items that are measured, in their order.

        Raises:
            DataError: there are none, or the limit is below 1.
        """
        return drawn(self.items, self.limit, self.seed, self.name)

    def prompts(self) -> list[str]:
        """What the model is given, one text per drawn item.

        Raises:
            DataError: there are fewer examples than shots.
        """
        out = []
        for item in self.drawn():
            fit = [e for e in self.examples or self.items if (e.id, e.prompt) != (item.id, item.prompt)]
            if len(fit) < self.shots:
                raise DataError(
                    f"found {len(fit)} examples besides item {item.id}, needed {self.shots} shots; give more or ask "
                    "for fewer"
                )
            chosen = random.Random(f"{self.seed} {item.id}").sample(fit, self.shots)
            solved = "".join(self._asked(e) + self._solution(e) + self.separator for e in chosen)
            out.append(self.header + solved + self._asked(item))
        return out

    def _asked(self, item: ExactItem) -> str:
        return self.before + item.prompt + self.after

    def _solution(self, item: ExactItem) -> str:
        text = str(item.extra.get("solution", item.targets[0]))
        return text if self.after.endswith((" ", "\n")) or not self.after else f" {text}"

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """One figure per reading: the first bears the task's name, the others `name:reading`.

        Raises:
            DataError: the model has no tokenizer, or a reading is unknown.
            MeasureError: the replies' limit does not fit the model.
        """
        reader = model.reader(f"the task {self.name}")
        readings = [_reading(r) for r in self.readings]
        replies = generate(
            model.module,
            reader,
            self.prompts(),
            stops=self.stops,
            limit=self.max_new_tokens,
            batch=self.batch,
            progress=progress,
        )
        protocol = f"{self.key()} {special_tokens(reader)}"
        names = [self.name if i == 0 else f"{self.name}:{r.name.split()[0]}" for i, r in enumerate(readings)]
        labels = [called(self.label, name.partition(":")[2]) for name in names]
        return tuple(
            replace(graded(self.drawn(), replies, r, name=name, protocol=protocol), label=label)
            for name, label, r in zip(names, labels, readings, strict=True)
        )


def _reading(name: str) -> Reading:
    if name.startswith("pattern:"):
        return pattern(name.removeprefix("pattern:"))
    if name not in READINGS:
        raise DataError(
            f"no reading is named '{name}'; there are {', '.join(READINGS)}, or pattern:REGEX{nearest(name, READINGS)}"
        )
    return READINGS[name]


def graded(
    items: Sequence[ExactItem], replies: Sequence[Reply], reading: Reading, *, name: str, protocol: str = ""
) -> Measurement:
    """The share of replies that are right under a reading, 0 to 1, with its standard error.

    Raises:
        MeasureError: there are no items.
    """
    found = [matches(r.text, i.targets, reading) for i, r in zip(items, replies, strict=True)]
    value, error = mean_with_error([float(right) for right, _ in found])
    records: dict[str, Sequence[Any]] = {
        "id": [i.id for i in items],
        "correct": [int(right) for right, _ in found],
        "answer": [answer for _, answer in found],
        "reply": [r.text for r in replies],
        "ended": [r.ended for r in replies],
    }
    return Measurement(
        name=name,
        value=value,
        unit=f"share right ({reading.name})",
        better="higher",
        group="quality",
        n=len(items),
        spread=error,
        spread_kind="standard error",
        chance=0.0,
        protocol=protocol,
        note=_note(replies, sum(a is None for _, a in found)),
        details=_lengths(replies),
        items=records,
    )


def _note(replies: Sequence[Reply], unread: int) -> str:
    n = len(replies)
    ran = sum(r.ended == "limit" for r in replies)
    notes = [truncation_note(sum(r.truncated for r in replies), n)]
    notes += [f"{ran} of {n} replies ran into the limit of new tokens"] if ran else []
    notes += [f"no answer could be read off {unread} of {n} replies"] if unread else []
    notes += ["one item only: no standard error"] if n == 1 else []
    return "; ".join(filter(None, notes))


def _lengths(replies: Sequence[Reply]) -> Mapping[str, Any]:
    return {"mean_tokens": sum(r.tokens for r in replies) / len(replies)}
