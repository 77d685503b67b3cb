"""Attacks on the texts of a file, as people name them: with the classes of each model, or with words for classes."""

from dataclasses import dataclass

from penjing.core import Measurement
from penjing.data.labelled import LabelledText
from penjing.errors import DataError
from penjing.tasks.attacks.attack import Classifier
from penjing.tasks.attacks.classifiers import label_words
from penjing.tasks.attacks.task import Attacked
from penjing.tasks.task import Examined, Progress


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
