"""A model while it is healed: what a healer sees of it and of its teacher, pass by pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from penjing.core.training import Training
from penjing.errors import UnsupportedError

CLASS_TOKEN = "cls_token"


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What of a pass a healer looks at: the teacher's `logits`, and the outputs of blocks.

    `blocks` are pairs (block of the student, block of the teacher), counted from 0. With neither, there is no teacher.
    With `alone` each of these blocks of the student is trained by itself, one after the other, on what comes to it
    through those that were trained before; the loss then sees the outputs of one pair.
    """

    logits: bool = False
    blocks: tuple[tuple[int, int], ...] = ()
    alone: bool = False

    def __bool__(self) -> bool:
        """Whether a teacher is looked at at all."""
        return self.logits or bool(self.blocks)


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What a pass of a batch gave.

    `output` is all of it (None for a teacher), `logits` [examples ... classes], `states` the outputs of blocks by their
    number, [examples ... width]; `counts` [examples length] bool says which tokens count (None: all).
    """

    output: Any = None
    logits: Tensor | None = None
    states: Mapping[int, Tensor] = field(default_factory=dict)
    counts: Tensor | None = None


def check_same_predictions(student: Seen, teacher: Seen) -> None:
    """Refuse a teacher of other classes.

    Raises:
        UnsupportedError: the two do not predict the same.
    """
    shapes = [None if s.logits is None else list(s.logits.shape) for s in (student, teacher)]
    if shapes[0] is None or shapes[0] != shapes[1]:
        raise UnsupportedError(
            f"the student gives logits {shapes[0]} and the teacher {shapes[1]}; name a teacher that predicts the same "
            "classes or tokens, or heal by sft"
        )


def has_class_token(module: nn.Module) -> bool:
    """Whether the first position of a model's states stands for the whole example."""
    return any(name.endswith(CLASS_TOKEN) for name, _ in module.named_parameters())


class Healing(Training, Protocol):
    """A run that heals."""

    @property
    def beside(self) -> nn.ModuleDict:
        """Modules that are trained along and belong to no model, such as the projections of a loss."""
        ...


@runtime_checkable
class Heals(Protocol):
    """A healer: a frozen dataclass whose fields are the paper's settings; the file defines it as `Healer`.

    One whose loss compares the examples of a batch says `compares: ClassVar[bool] = True`: then no batch is shared.
    """

    def looks(self, blocks: tuple[int, int]) -> Looks:
        """What it looks at, of a student and a teacher with so many blocks (0: their blocks are not known)."""
        ...

    def prepare(self, run: Healing, student: Seen, teacher: Seen) -> None:
        """Before the first step, with what both give for a batch: refuse what does not fit, add modules beside."""
        ...

    def loss(self, run: Healing, batch: Any, student: Seen, teacher: Seen) -> Tensor:
        """[]: what is made small."""
        ...
