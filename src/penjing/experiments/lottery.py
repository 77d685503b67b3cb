"""Lottery tickets: how well what pruning leaves learns from its first values, at each density, against controls."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from penjing.core.experiment import Figure, Figures, place
from penjing.errors import RequestError, nearest
from penjing.train.stacked import Course, convolutional, perceptron
from penjing.train.stacked.pictures import read_parts
from penjing.train.stacked.tickets import Bench, Levels, Trained, one_shot, reinit, shuffled, tickets

FIGURES = {
    "density": Figure(label="Share of the weights that is left", unit="fraction"),
    "accuracy": Figure(label="Test accuracy", unit="fraction", better="higher", over="density"),
    "early": Figure(label="Test accuracy after the early step", unit="fraction", better="higher", over="density"),
    "stop": Figure(label="Step with the least held-out loss", unit="steps", better="lower", over="density"),
    "at_stop": Figure(label="Test accuracy at that step", unit="fraction", better="higher", over="density"),
    "loss": Figure(label="Test loss", unit="nats", better="lower", over="density", aside=True),
}
KINDS = ("ticket", "reinit", "random", "one shot")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A figure at each of `levels`, from the whole network down; see `small_network` for pictures and network.

    `kind` is what is trained under the masks: the ticket, the same masks on values drawn anew (reinit), random masks of
    as many weights in each matrix on the ticket's values (random), or masks of the first training's smallest weights,
    all at once (one shot). `rate` of what is left goes at each level, `last_rate` of the last layer; with `is_global`
    all matrices are one ranking. Weights are put back to where they were after `rewind` steps. Networks are looked at
    after `early` steps and `every` so many; the held-out part decides where one would stop.
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
    kind: str = "ticket"
    levels: int = 18
    rate: float = 0.2
    last_rate: float = 0.1
    is_global: bool = False
    rewind: int = 0
    early: int = 50
    every: int = 20

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise RequestError(f"kind is '{self.kind}'{nearest(self.kind, KINDS)}; it is one of {', '.join(KINDS)}")
        self._course()
        self._levels()

    @property
    def shape(self) -> Any:
        """What runs that share their tickets have in common: all but the kind."""
        return replace(self, kind=KINDS[0])

    def run(self, seed: int) -> Figures:
        """The figures of one kind."""
        return self.together([(self, seed)])[0]

    @classmethod
    def together(cls, jobs: Sequence[tuple[Self, int]]) -> list[Figures]:
        """The figures of each (experiment, seed); the tickets that all kinds need are found once for a seed."""
        one, seeds = jobs[0][0], list(dict.fromkeys(seed for _, seed in jobs))
        bench, levels = one._bench(), one._levels()
        masks, found = tickets(bench, levels, seeds)
        below, kinds, made = masks[1:], {e.kind for e, _ in jobs}, {KINDS[0]: found}
        if "reinit" in kinds:
            made["reinit"] = [found[0], *reinit(bench, below, seeds)]
        if "random" in kinds:
            made["random"] = [found[0], *shuffled(bench, levels, below, seeds)]
        if "one shot" in kinds:
            made["one shot"] = [found[0], *one_shot(bench, levels, below, found[0].values, seeds)]
        matrices = sum(p.numel() for p in bench.network.parameters() if p.ndim > 1)
        density = [[1 - float((~m[i]).sum()) / matrices for m in masks] for i in range(len(seeds))]
        return [_figures(made[e.kind], seeds.index(s), density[seeds.index(s)]) for e, s in jobs]

    def _levels(self) -> Levels:
        return Levels(
            count=self.levels, rate=self.rate, last_rate=self.last_rate, is_global=self.is_global, rewind=self.rewind
        )

    def _course(self) -> Course:
        return Course(
            steps=self.steps, batch=self.batch, optimiser=self.optimiser, learning_rate=self.learning_rate,
            momentum=self.momentum, weight_decay=self.weight_decay, schedule=self.schedule, warm=self.warm,  # type: ignore[arg-type]
        )  # fmt: skip

    def _bench(self) -> Bench:
        parts = read_parts(
            self.images, self.labels, self.test_images, self.test_labels, held_out=self.held_out, tested=self.tested,
            limit=self.limit,
        )  # fmt: skip
        colours, side, _ = parts.train.inputs.shape[1:]
        if self.channels:
            network = convolutional(self.channels, self.hidden, side=side, colours=colours, classes=parts.classes)
        else:
            network = perceptron((parts.train.inputs[0].numel(), *self.hidden, parts.classes))
        return Bench(
            network=network, parts=parts, course=self._course(), first=self.first, early=self.early, every=self.every  # type: ignore[arg-type]
        )  # fmt: skip


def _figures(found: Sequence[Trained], place: int, density: list[float]) -> Figures:
    names = ("accuracy", "early", "stop", "at_stop", "loss")
    return {"density": density, **{n: [float(getattr(one, n)[place]) for one in found] for n in names}}
