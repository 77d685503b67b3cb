"""A greedy attack on one text: the most important words first, each once, until the label flips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random

import torch
from torch import Tensor

from penjing.data.labelled import LabelledText
from penjing.errors import MeasureError
from penjing.tasks.attacks.constraints import Constraint
from penjing.tasks.attacks.ranking import Ranking
from penjing.tasks.attacks.transformations import Transformation
from penjing.tasks.attacks.wording import Wording, open_places, split

Classifier = Callable[[Sequence[str]], Tensor]
"""Texts -> probabilities, float [texts classes]."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What may be done to a word, what the text must keep to, and which words come first."""

    name: str
    transformation: Transformation
    ranking: Ranking
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one text.

    `text` is the last one tried that was accepted: the adversarial one when `flipped`. A text that was wrong from the
    start is not attacked. `queries` counts all texts that the classifier saw, the original among them.
    """

    item: LabelledText
    correct: bool
    flipped: bool
    text: str
    changed: int
    words: int
    queries: int

    @property
    def robust(self) -> bool:
        """Right, and still right after the attack."""
        return self.correct and not self.flipped


@dataclass
class _Counted:
    """A classifier that counts the texts it sees, for one label."""

    classify: Classifier
    label: int
    queries: int = field(default=0)

    def probabilities(self, texts: Sequence[str]) -> Tensor:
        self.queries += len(texts)
        found = self.classify(texts)
        if found.ndim != 2 or len(found) != len(texts) or self.label >= found.shape[1]:
            raise MeasureError(
                f"the classifier gave {list(found.shape)} for {len(texts)} texts and the label {self.label}; needed "
                "[texts classes] with a column for every label"
            )
        if not bool(found.isfinite().all()):
            raise MeasureError("the classifier gave probabilities that are not numbers; check the model's weights")
        return found.detach().double().cpu()

    def support(self, texts: Sequence[str]) -> Tensor:
        return self.probabilities(texts)[:, self.label] if texts else torch.zeros(0, dtype=torch.float64)


def attack_text(classify: Classifier, item: LabelledText, attack: Attack, *, seed: int = 0) -> Outcome:
    """Attack one text, if the classifier gets it right.

    Words are ranked on the original text. Then, in order, all candidates of a word that the constraints allow are
    tried on what the text has become: one that flips the label ends the attack (the one with the least probability of
    the label, if several do); otherwise the one with the least is taken, if that is less than before.

    Raises:
        MeasureError: the classifier gives something else than probabilities of every class.
    """
    counted = _Counted(classify, item.label)
    original = split(item.text)
    first = counted.probabilities([item.text])[0]
    correct = int(first.argmax()) == item.label
    if not correct:
        return _outcome(item, original, original, correct=False, flipped=False, queries=counted.queries)

    @cache
    def words_at(place: int) -> tuple[str, ...]:
        # Chance hangs on the item and the place alone, so that no order of work changes it.
        return attack.transformation.candidates(original.words[place], Random(f"{seed}:{item.id}:{place}"))

    def made(current: Wording, place: int) -> list[Wording]:
        tried = (current.with_word(place, word) for word in words_at(place))
        return [w for w in tried if all(c.allows(original, w) for c in attack.constraints)]

    base = float(first[item.label])
    places = open_places(original)
    ranked = (
        attack.ranking.order(original, places, base, counted.support, lambda i: made(original, i)) if places else []
    )
    current, held = original, base
    for place in ranked:
        options = made(current, place)
        if not options:
            continue
        found = counted.probabilities([w.text for w in options])
        support = found[:, item.label]
        flips = found.argmax(1) != item.label
        if bool(flips.any()):
            best = int(support.masked_fill(~flips, float("inf")).argmin())
            return _outcome(item, original, options[best], correct=True, flipped=True, queries=counted.queries)
        best = int(support.argmin())
        if float(support[best]) < held:
            current, held = options[best], float(support[best])
    return _outcome(item, original, current, correct=True, flipped=False, queries=counted.queries)


def _outcome(
    item: LabelledText, original: Wording, last: Wording, *, correct: bool, flipped: bool, queries: int
) -> Outcome:
    return Outcome(
        item=item, correct=correct, flipped=flipped, text=last.text, changed=original.changed(last),
        words=len(original.words), queries=queries,
    )  # fmt: skip
