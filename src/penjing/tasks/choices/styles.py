"""How a question is written for a model; each benchmark's own style stands in its file in `tasks/kinds`.

Source: the templates are lm-evaluation-harness's (0.4.13). Where a benchmark's authors wrote it otherwise, the
harness's way is kept, since published figures are the harness's.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penjing.data.items import AnyChoice
from penjing.errors import DataError

Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Style:
    """How items are written.

    `pairs` gives (context, continuation) for each choice of an item; `lengths` are the texts whose length `acc_norm`
    divides by. `header` stands before everything, `separator` between solved examples and after the last.
    `metrics` are those reported, the main one first. With `first_shots` the examples are the first of the item's
    own group, otherwise they are drawn.
    """

    name: str
    pairs: Callable[[AnyChoice], Sequence[Pair]]
    lengths: Callable[[AnyChoice], Sequence[str]]
    header: Callable[[AnyChoice], str] = lambda item: ""
    separator: Callable[[AnyChoice], str] = lambda item: "\n\n"
    metrics: tuple[str, ...] = ("acc", "acc_norm")
    first_shots: bool = False


def texts(item: AnyChoice) -> tuple[str, ...]:
    """The choices themselves."""
    return item.choices


def after(question: Callable[[AnyChoice], str]) -> Callable[[AnyChoice], Sequence[Pair]]:
    """The choices, each after a space, behind one question."""

    def pairs(item: AnyChoice) -> list[Pair]:
        context = question(item)
        return [(context, f" {choice}") for choice in item.choices]

    return pairs


def asked_as_question(item: AnyChoice) -> str:
    """The question between "Question:" and "Answer:"."""
    return f"Question: {item.question}\nAnswer:"


def _plain(item: AnyChoice) -> str:
    return f"{item.context}\n{item.question}" if item.context else item.question


PLAIN = Style(name="plain", pairs=after(_plain), lengths=texts)
"""What the item is about, if anything, and its question."""
QUESTION = Style(name="question", pairs=after(asked_as_question), lengths=texts)


def solved(item: AnyChoice, how: Style) -> str:
    """An item with its best choice, as an example for a model to follow."""
    context, continuation = how.pairs(item)[item.scores.index(max(item.scores))]
    return context + continuation


def written(item: AnyChoice, how: Style, examples: Sequence[AnyChoice] = ()) -> list[Pair]:
    """(context, continuation) per choice of an item, after the header and the solved examples."""
    lead = how.header(item) + "".join(solved(e, how) + how.separator(e) for e in examples)
    return [(lead + context, continuation) for context, continuation in how.pairs(item)]


def shots_for(
    item: AnyChoice, pool: Sequence[AnyChoice], count: int, how: Style, *, seed: int = 0
) -> tuple[AnyChoice, ...]:
    """`count` examples for an item from the pool, never the item itself.

    Drawn by `seed` and the item's id, so that they do not depend on what else is measured; with `first_shots` the
    first of the item's group.

    Raises:
        DataError: the pool has not as many.
    """
    if not count:
        return ()
    group = item.extra.get("group")
    fit = [e for e in pool if (e.id, e.question) != (item.id, item.question) and e.extra.get("group") == group]
    if len(fit) < count:
        of = f" of group '{group}'" if group else ""
        raise DataError(
            f"found {len(fit)} examples{of} besides item {item.id}, needed {count} shots; give more or ask for fewer"
        )
    if how.first_shots:
        return tuple(fit[:count])
    return tuple(random.Random(f"{seed} {item.id}").sample(fit, count))
