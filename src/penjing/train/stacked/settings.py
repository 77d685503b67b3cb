"""How a stack is trained: steps, batch, optimiser, and how the learning rate goes."""

from dataclasses import dataclass

from penjing.errors import RequestError, nearest
from penjing.train.settings import Schedule, Settings

OPTIMISERS = ("adamw", "sgd")
SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True, kw_only=True)
class Course:
    """The same for every network of a stack, but for the learning rate, which may differ.

    `batch` examples make a step. Weight decay is AdamW's for adamw, and SGD's L2 for sgd; vectors (biases) have none.
    The learning rate rises over the share `warm` of the steps, then stays, or falls to the share `lowest` of itself.
    """

    steps: int = 400
    batch: int = 60
    optimiser: str = "adamw"
    learning_rate: float = 1.2e-3
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    warm: float = 0.0
    lowest: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
            RequestError: a value is out of range, or no optimiser or schedule.
        """
        for name, value, known in (
            ("optimiser", self.optimiser, OPTIMISERS), ("schedule", self.schedule, SCHEDULES),
        ):  # fmt: skip
            if value not in known:
                raise RequestError(f"{name} is '{value}'{nearest(value, known)}; it is one of {', '.join(known)}")
        if self.steps < 0 or self.batch < 1 or not self.learning_rate > 0:
            raise RequestError(
                f"found steps {self.steps}, batch {self.batch}, learning_rate {self.learning_rate:g}; needed 0 or "
                "more, 1 or more, and above 0"
            )

    def how(self) -> Settings:
        """The same schedule as the loop of one model has it."""
        return Settings(schedule=self.schedule, warm=self.warm, last=0.0, lowest=self.lowest)
