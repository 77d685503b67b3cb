"""Train a small network on labelled pictures: linear layers, which are trained many at a time, or a LeNet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import nn

from penjing.core.experiment import Figure, Figures, place
from penjing.train.stacked import Course, Stack, convolutional, draw, evaluate, fit, perceptron
from penjing.train.stacked.pictures import Parts, read_parts

FIGURES = {
    "accuracy": Figure(label="Test accuracy", unit="fraction", better="higher"),
    "loss": Figure(label="Test loss", unit="nats", better="lower"),
    "held_out_accuracy": Figure(label="Held-out accuracy", unit="fraction", better="higher", aside=True),
    "held_out_loss": Figure(label="Held-out loss", unit="nats", better="lower", aside=True),
    "train_loss": Figure(label="Loss of the last step", unit="nats", better="lower", aside=True),
    "parameters": Figure(label="Parameters", unit="parameters", better="lower"),
}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A network of `hidden` widths, behind padded 5 x 5 convolutions of these `channels` if there are any.

    `images` and `labels` name what it is trained on (an .npz, a folder, or idx files), `test_images` and `test_labels`
    what it is tested on; without, a share `tested` is. The share `held_out` is to decide by. `limit` takes so many.
    """

    images: str = place()
    labels: str = place("")
    test_images: str = place("")
    test_labels: str = place("")
    held_out: float = 0.2
    tested: float = 0.2
    limit: int = 0
    hidden: tuple[int, ...] = (300, 100)
    channels: tuple[int, ...] = ()
    first: str = "glorot"
    steps: int = 400
    batch: int = 60
    optimiser: str = "adamw"
    learning_rate: float = 1.2e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    warm: float = 0.0

    def __post_init__(self) -> None:
        self._course()

    @property
    def shape(self) -> Any:
        """What runs that are trained together have in common: all but the learning rate."""
        return replace(self, learning_rate=1.0)

    def run(self, seed: int) -> Figures:
        """The figures of one network."""
        return self.together([(self, seed)])[0]

    @classmethod
    def together(cls, jobs: Sequence[tuple[Self, int]]) -> list[Figures]:
        """The figures of each (experiment, seed) of one shape."""
        one, seeds = jobs[0][0], [seed for _, seed in jobs]
        parts = one._parts()
        network = one._network(parts)
        stack = Stack(network, draw(network, seeds, one.first))  # type: ignore[arg-type]
        losses = fit(stack, parts.train, one._course(), seeds, rates=[e.learning_rate for e, _ in jobs])
        found = {"": evaluate(stack, parts.test), "held_out_": evaluate(stack, parts.held_out)}
        out = []
        for i in range(len(jobs)):
            figures = {f"{part}loss": float(loss[i]) for part, (loss, _) in found.items()}
            figures |= {f"{part}accuracy": float(right[i]) for part, (_, right) in found.items()}
            last = float(losses[-1, i]) if len(losses) else figures["held_out_loss"]
            out.append({**figures, "train_loss": last, "parameters": stack.values.shape[1]})
        return out

    def _course(self) -> Course:
        return Course(
            steps=self.steps, batch=self.batch, optimiser=self.optimiser, learning_rate=self.learning_rate,
            momentum=self.momentum, weight_decay=self.weight_decay, schedule=self.schedule, warm=self.warm,  # type: ignore[arg-type]
        )  # fmt: skip

    def _parts(self) -> Parts:
        return read_parts(
            self.images, self.labels, self.test_images, self.test_labels, held_out=self.held_out, tested=self.tested,
            limit=self.limit,
        )  # fmt: skip

    def _network(self, parts: Parts) -> nn.Module:
        colours, side, _ = parts.train.inputs.shape[1:]
        if self.channels:
            return convolutional(self.channels, self.hidden, side=side, colours=colours, classes=parts.classes)
        return perceptron((parts.train.inputs[0].numel(), *self.hidden, parts.classes))
