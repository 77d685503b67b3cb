"""What scores training examples: how hard each is, so that some of them can be left out."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from penjing.errors import UnsupportedError


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """What networks made of every example as they were trained, looked at now and then.

    `right` [networks looks n] bool: whether the likeliest class is the right one; `error` [networks n]: the length of
    the difference between probabilities and the right class, early; `margin` [networks n]: the right class's logit less
    the highest other, at the end.
    """

    right: Tensor
    error: Tensor
    margin: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleView:
    """What a scorer is given: `features` [n width] of an encoder, `labels` [n] or None, and what it `needs` beside.

    `trained` is there for scorers that need it, `classes` is how many there are (0 where nobody knows).
    """

    features: Tensor
    labels: Tensor | None = None
    classes: int = 0
    trained: Trained | None = None
    seed: int = 0

    def of_training(self, who: str) -> Trained:
        """What networks made of the examples.

        Raises:
            UnsupportedError: no network was trained, as without labels none can be.
        """
        if self.trained is None:
            raise UnsupportedError(f"{who} looks at networks that are trained, which needs labels; score by prototypes")
        return self.trained


@runtime_checkable
class ScoresExamples(Protocol):
    """A frozen dataclass whose fields are the settings; its file defines it as `Scorer`, and `NEEDS`."""

    def score(self, seen: ExampleView) -> Tensor:
        """[n]: higher is harder, less like others, and kept where hard examples are."""
        ...
