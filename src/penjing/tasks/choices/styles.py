"""How a question is written for a model: one style per benchmark.

Source: the templates are lm-evaluation-harness's (0.4.13), BIG-bench's that of its JSON schema. Where a benchmark's
authors wrote it otherwise, the harness's way is kept, since published figures are the harness's.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from penjing.data.bigbench import Form
from penjing.data.items import LETTERS, AnyChoice
from penjing.errors import DataError, nearest

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


def _texts(item: AnyChoice) -> tuple[str, ...]:
    return item.choices


def _after(question: Callable[[AnyChoice], str]) -> Callable[[AnyChoice], Sequence[Pair]]:
    """The choices, each after a space, behind one question."""

    def pairs(item: AnyChoice) -> list[Pair]:
        context = question(item)
        return [(context, f" {choice}") for choice in item.choices]

    return pairs


def _asked(item: AnyChoice) -> str:
    return f"Question: {item.question}\nAnswer:"


def _plain(item: AnyChoice) -> str:
    return f"{item.context}\n{item.question}" if item.context else item.question


def _boolq(item: AnyChoice) -> str:
    return f"{item.context}\nQuestion: {item.question}?\nAnswer:"


def clean_hellaswag(text: str) -> str:
    """The text without WikiHow's marks: `[title]` ends a sentence, other brackets go, double spaces become one.

    >>> clean_hellaswag(" Make tea [title] Boil [step] water. ")
    'Make tea. Boil water.'
    """
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def _hellaswag(item: AnyChoice) -> list[Pair]:
    context = clean_hellaswag(f"{item.context}: {item.question}")
    return [(context, f" {choice}") for choice in _clean_endings(item)]


def _clean_endings(item: AnyChoice) -> tuple[str, ...]:
    return tuple(map(clean_hellaswag, item.choices))


def _winogrande(item: AnyChoice) -> list[Pair]:
    """Partial scoring: each option in the blank, and the same rest of the sentence scored after it."""
    before, _, rest = item.question.partition("_")
    return [(before + option, f" {rest.strip()}") for option in item.choices]


def _letters(item: AnyChoice) -> list[str]:
    if len(item.choices) > len(LETTERS):
        raise DataError(f"item {item.id} has {len(item.choices)} choices, the style has letters for {len(LETTERS)}")
    return list(LETTERS[: len(item.choices)])


def _lettered(item: AnyChoice) -> list[Pair]:
    letters = _letters(item)
    listed = "".join(f"\n{a}. {text}" for a, text in zip(letters, item.choices, strict=True))
    context = f"{item.question.strip()}{listed}\nAnswer:"
    return [(context, f" {a}") for a in letters]


def _mmlu_header(item: AnyChoice) -> str:
    subject = " ".join(str(item.extra.get("group", "")).split("_"))
    about = f" about {subject}" if subject else ""
    return f"The following are multiple choice questions (with answers){about}.\n\n"


def _form(item: AnyChoice) -> Form:
    form = item.extra.get("form", Form())
    if not isinstance(form, Form):
        raise DataError(f"item {item.id} has a form that is none of BIG-bench; read the task with read_bigbench")
    return form


def _bigbench(item: AnyChoice) -> list[Pair]:
    form = _form(item)
    listed = "".join(form.choice_prefix + c for c in item.choices) if form.append_choices else ""
    context = form.input_prefix + item.question + listed + form.output_prefix
    return [(context, choice) for choice in item.choices]


PLAIN = Style(name="plain", pairs=_after(_plain), lengths=_texts)

STYLES: Mapping[str, Style] = MappingProxyType(
    {
        "arc": Style(name="arc", pairs=_after(_asked), lengths=_texts),
        "bigbench": Style(
            name="bigbench",
            pairs=_bigbench,
            lengths=_texts,
            header=lambda item: _form(item).task_prefix,
            separator=lambda item: _form(item).separator,
            metrics=("acc",),
        ),
        "boolq": Style(name="boolq", pairs=_after(_boolq), lengths=_texts, metrics=("acc",)),
        "hellaswag": Style(name="hellaswag", pairs=_hellaswag, lengths=_clean_endings, metrics=("acc_norm", "acc")),
        "mmlu": Style(
            name="mmlu", pairs=_lettered, lengths=_letters, header=_mmlu_header, metrics=("acc",), first_shots=True
        ),
        "openbookqa": Style(
            name="openbookqa",
            pairs=_after(lambda item: item.question),
            lengths=_texts,
            metrics=("acc_norm", "acc"),
        ),
        "piqa": Style(name="piqa", pairs=_after(_asked), lengths=_texts),
        "plain": PLAIN,
        "question": Style(name="question", pairs=_after(_asked), lengths=_texts),
        "winogrande": Style(name="winogrande", pairs=_winogrande, lengths=_texts, metrics=("acc",)),
    }
)
"""Every style by its name."""


def style(name: str) -> Style:
    """The style of this name.

    Raises:
        DataError: there is none.
    """
    if name not in STYLES:
        raise DataError(f"no style is named '{name}'; there are {', '.join(STYLES)}{nearest(name, STYLES)}")
    return STYLES[name]


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
