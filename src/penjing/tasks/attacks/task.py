"""Robustness to changed words as a measurement: attacks on one model, and the same texts on another."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penjing.core import Measurement
from penjing.data.labelled import LabelledText
from penjing.errors import MeasureError
from penjing.tasks.attacks.attack import Attack, Classifier, Outcome, attack_text
from penjing.tasks.attacks.classifiers import sequence_classifier
from penjing.tasks.attacks.figures import attack_figures, transfer_figures
from penjing.tasks.task import Examined, Progress

Make = Callable[[Examined], Classifier]
"""How a classifier comes from a model; `sequence_classifier` is one."""

PROTOCOL = "attack/1"


def run_attack(
    classify: Classifier,
    items: Sequence[LabelledText],
    attack: Attack,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Outcome, ...]:
    """The outcome of each text, in order; `progress` gets (done, all) texts.

    Raises:
        MeasureError: the classifier gives something else than probabilities of every class.
    """
    out = []
    for item in items:
        out.append(attack_text(classify, item, attack, seed=seed))
        if progress:
            progress(len(out), len(items))
    return tuple(out)


def transfer(
    classify: Classifier, found: Sequence[Outcome], *, progress: Progress | None = None
) -> tuple[list[bool], list[bool]]:
    """Whether a classifier is right on each original text, and on what an attack on another model made of it."""
    clean, after = [], []
    for o in found:
        first, second = classify([o.item.text, o.text]).argmax(1).tolist()
        clean.append(first == o.item.label)
        after.append(second == o.item.label)
        if progress:
            progress(len(clean), len(found))
    return clean, after


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """Accuracy under attack, clean accuracy, success rate, words changed and queries of one classifier.

    `classifier` makes it from the model; the same items and seed give the same attacks of the same model.
    """

    items: tuple[LabelledText, ...]
    attack: Attack
    classifier: Make = sequence_classifier
    name: str = "attacked"
    seed: int = 0

    def key(self) -> str:
        """Changes with the texts, the attack and the seed; a classifier of one's own counts by its name."""
        return f"name={self.name} {_label(self.attack, self.seed, self.items)} by={_called(self.classifier)}"

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """The five figures; records of the first have, for each text, what became of it.

        Raises:
            MeasureError: there are no texts, or the classifier gives no probabilities.
            DataError: the model has no tokenizer.
        """
        if not self.items:
            raise MeasureError("there are no texts to attack; give at least one")
        found = run_attack(self.classifier(model), self.items, self.attack, seed=self.seed, progress=progress)
        protocol = f"{PROTOCOL} {_label(self.attack, self.seed, self.items)}"
        return attack_figures(found, name=self.name, protocol=protocol)


@dataclass(frozen=True, kw_only=True)
class Transferred:
    """What attacks found on another model (`found`, by `run_attack`) do to this one."""

    found: tuple[Outcome, ...]
    classifier: Make = sequence_classifier
    name: str = "transferred"

    def key(self) -> str:
        """Changes with the texts; a classifier of one's own counts by its name."""
        return f"name={self.name} {self._label()} by={_called(self.classifier)}"

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """Accuracy on the attacked texts, clean accuracy, and the share of right texts that flip.

        Raises:
            MeasureError: there are no texts, or the classifier gives no probabilities.
            DataError: the model has no tokenizer.
        """
        clean, after = transfer(self.classifier(model), self.found, progress=progress)
        return transfer_figures(self.found, clean, after, name=self.name, protocol=f"{PROTOCOL} {self._label()}")

    def _label(self) -> str:
        return f"transfer texts={len(self.found)} data=sha256:{_hash([[o.item.id, o.text] for o in self.found])}"


def _label(attack: Attack, seed: int, items: Sequence[LabelledText]) -> str:
    """Recipe, its parts, the seed and the texts: all that decides which attacks are tried."""
    parts = " ".join(_plain(part) for part in (attack.ranking, attack.transformation, *attack.constraints))
    data = _hash([[i.id, i.text, i.label] for i in items])
    return f"{attack.name} {parts} seed={seed} texts={len(items)} data=sha256:{data}"


def _plain(part: object) -> str:
    """`MostChanged(share=0.2)`, with the source in the place of a table of synonyms."""
    shown = [f"{name}={getattr(value, 'source', value)}" for name, value in vars(part).items()]
    return f"{type(part).__name__}({','.join(shown)})"


def _hash(rows: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def _called(make: Make) -> str:
    return getattr(make, "__qualname__", repr(make))
