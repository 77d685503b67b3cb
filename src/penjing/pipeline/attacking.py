"""Text attacks as people name them: `attack:RECIPE:FILE.jsonl`."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from penjing.core import Measurement
from penjing.data.labelled import LabelledText, read_labelled
from penjing.data.synonyms import read_synonyms, read_wordnet
from penjing.errors import DataError, MeasureError
from penjing.pipeline.vision import parted
from penjing.tasks.attacks import RECIPES, Attacked, Classifier, label_words, recipe, sequence_classifier
from penjing.tasks.task import Examined, Progress

SETTINGS = ("synonyms", "words")


@dataclass(frozen=True)
class ByWords:
    """Makes the zero-shot classifier of a language model that goes on with one of these words, one a class."""

    words: tuple[str, ...]

    def __call__(self, model: Examined) -> Classifier:
        """The classifier of a model.

        Raises:
            DataError: the model has no tokenizer, or the words are not different.
        """
        return label_words(model, self.words)


@dataclass(frozen=True, kw_only=True)
class TextAttack:
    """An attack on the texts of a file, whose labels are held to the classes of each model."""

    task: Attacked
    source: str

    @property
    def name(self) -> str:
        """The inner task's."""
        return self.task.name

    @property
    def items(self) -> tuple[LabelledText, ...]:
        """The texts."""
        return self.task.items

    def key(self) -> str:
        """The inner task's."""
        return self.task.key()

    def run(self, model: Examined, *, progress: Progress | None = None) -> tuple[Measurement, ...]:
        """The inner task's figures.

        Raises:
            DataError: a label is outside the model's classes, or the model has no tokenizer.
            MeasureError: the model is no classifier of texts.
        """
        by = self.task.classifier
        classes = len(by.words) if isinstance(by, ByWords) else _classes(model)
        wrong = [i for i in self.items if classes is not None and i.label >= classes]
        if wrong and classes is not None:
            raise DataError(
                f"{self.source}: the text '{wrong[0].id}' has label {wrong[0].label}, {model.name} has {classes} "
                f"classes; needed 0 to {classes - 1}, so correct the labels or name a fitting classifier"
            )
        return self.task.run(model, progress=progress)


def _classes(model: Examined) -> int | None:
    found = getattr(getattr(model.module, "config", None), "num_labels", None)
    return found if isinstance(found, int) else None


def read_attack(wish: str, limit: int | None, seed: int, called: str) -> TextAttack:
    """The task `RECIPE:FILE[,synonyms=PATH][,words=bad+good]`; `called` is the file's short name.

    `words` makes a classifier of a causal language model: one word a class, in the classes' order.

    Raises:
        DataError: the recipe is unknown or lacks synonyms, or the file cannot be read; file and line are named.
    """
    name, colon, rest = wish.partition(":")
    if not colon:
        raise DataError(f"found attack:{wish}; needed attack:RECIPE:FILE.jsonl with one of {', '.join(RECIPES)}")
    paths, told = parted(rest, SETTINGS, "attack")
    if len(paths) != 1:
        raise DataError(f"attack names {len(paths)} files, {', '.join(paths)}; needed one")
    words = tuple(told.get("words", "").split("+")) if "words" in told else ()
    items = read_labelled(paths[0], classes=len(words) or sys.maxsize)
    if limit is not None and limit < len(items):
        order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))[:limit].sort().values
        items = tuple(items[i] for i in order.tolist())
    given = Path(told["synonyms"]) if "synonyms" in told else None
    synonyms = None if given is None else read_wordnet(given) if given.is_dir() else read_synonyms(given)
    try:
        attack = recipe(name, synonyms=synonyms)
    except MeasureError as error:
        raise DataError(f"{error}; write attack:{name}:FILE.jsonl,synonyms=PATH if it needs synonyms") from error
    task = Attacked(items=items, attack=attack, name=f"{called}-{name}", seed=seed)
    return TextAttack(task=replace(task, classifier=ByWords(words) if words else sequence_classifier), source=paths[0])
