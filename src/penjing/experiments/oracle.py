"""Whether a score of a cut foretells what retraining makes of it: many cuts of one network, before and after."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from penjing.core.experiment import Figure, Figures, place
from penjing.errors import RequestError
from penjing.maths.kendall import agreement, kendall
from penjing.methods import METHODS
from penjing.train.stacked import Course, Stack, draw, evaluate, fit, perceptron
from penjing.train.stacked.cuts import Cut, cuts, masks_of, rows_of
from penjing.train.stacked.pictures import Parts, read_parts

READS = ("writing rows", "all rows", "nothing")
OVER: dict[str, Any] = {"over": "steps"}
FIGURES = {
    "steps": Figure(label="Steps of retraining", unit="steps"),
    "tau_accuracy": Figure(label="Kendall's tau of the score and the test accuracy", better="lower", **OVER),
    "tau_loss": Figure(label="Kendall's tau of the score and the test loss", better="higher", **OVER),
    "tau_train_loss": Figure(label="Kendall's tau of the score and the training loss", better="higher", **OVER),
    "ceiling": Figure(label="Kendall's tau of the accuracy of two retrainings", better="higher", **OVER),
    "anomaly": Figure(label="Share of the cuts that end above the best score's", unit="fraction", over="steps"),
    "range": Figure(label="Standard deviation of the test accuracy over cuts", unit="fraction", over="steps"),
    "proxy": Figure(label="Kendall's tau of the accuracy then and at the end", better="higher", **OVER),
    "low": Figure(label="Lower end of the interval of tau with the accuracy", over="steps", aside=True),
    "high": Figure(label="Upper end of the interval of tau with the accuracy", over="steps", aside=True),
    "p": Figure(label="p of no agreement with the accuracy", over="steps", aside=True),
    "models": Figure(label="Networks that were retrained", unit="count", aside=True),
    "whole": Figure(label="Test accuracy of the whole network", unit="fraction", aside=True),
    "score": Figure(label="Score of each cut", aside=True),
    "accuracy": Figure(label="Test accuracy of each cut after retraining", unit="fraction", aside=True),
}
AGAIN = 1_000_003
"""What is added to a seed for another retraining."""


class _Population(NamedTuple):
    """All cuts of one network, retrained: `looks` [repeats steps 3 cuts], `whole` the uncut network's test accuracy."""

    network: nn.Sequential
    parts: Parts
    values: Tensor
    ways: list[Cut]
    masks: Tensor
    looks: Tensor
    whole: float


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A perceptron of `hidden` widths loses the share `gone` of the units of these `layers` (0 the first) in many ways.

    All ways are tried, or `most` that are drawn. Each is retrained for the last of `steps`, `repeats` times in orders
    of their own, and looked at after each number of `steps`. `score` ranks cuts, the lowest being the best: "loss" is
    the training loss right after the cut (the oracle), any other the name of a method that scores units by weights
    alone, whose scores are summed over the units that go. See `small_network` for pictures.

    Source: Feng et al., "Is Oracle Pruning the True Oracle?", arXiv:2412.00143, sections 3 and 4. Deviations: AdamW at
    a constant rate; the last state is told, not the one that is best on the test part; the noise ceiling, the intervals
    and the look at fewer steps of the same retraining are ours.
    """

    images: str = place()
    labels: str = place("")
    test_images: str = place("")
    test_labels: str = place("")
    held_out: float = 0.05
    tested: float = 0.4
    limit: int = 0
    hidden: tuple[int, ...] = (10, 10)
    layers: tuple[int, ...] = (0,)
    gone: float = 0.4
    most: int = 200
    first: str = "glorot"
    pretrain: int = 3000
    steps: tuple[int, ...] = (0, 100, 1000)
    repeats: int = 2
    batch: int = 60
    learning_rate: float = 1e-3
    score: str = "loss"

    def __post_init__(self) -> None:
        if self.repeats < 2 or not self.steps or list(self.steps) != sorted(set(self.steps)) or self.steps[0] < 0:
            raise RequestError(
                f"found repeats {self.repeats} and steps {list(self.steps)}; needed 2 or more, and rising steps"
            )
        if any(not 0 <= layer < len(self.hidden) for layer in self.layers):
            raise RequestError(f"layers are {list(self.layers)} of {len(self.hidden)} hidden ones; count from 0")
        if self.score != "loss" and (reads := METHODS.load(self.score).CARD.reads) not in READS:
            what = reads or "more than weights"
            raise RequestError(f"'{self.score}' reads {what}; name loss, or one that reads units' weights")
        self._gone()

    @property
    def shape(self) -> Any:
        """What runs that share their retrained networks have in common: all but the score."""
        return replace(self, score="loss")

    def run(self, seed: int) -> Figures:
        """What the score and the results of all cuts of one network say of each other."""
        return self.together([(self, seed)])[0]

    @classmethod
    def together(cls, jobs: Sequence[tuple[Self, int]]) -> list[Figures]:
        """The figures of each (experiment, seed); what is retrained for a seed serves every score."""
        one = jobs[0][0]
        trained = {seed: one._population(seed) for seed in dict.fromkeys(seed for _, seed in jobs)}
        return [e._figures(trained[seed], seed) for e, seed in jobs]

    def _population(self, seed: int) -> "_Population":
        parts = read_parts(
            self.images, self.labels, self.test_images, self.test_labels, held_out=self.held_out, tested=self.tested,
            limit=self.limit,
        )  # fmt: skip
        network = perceptron((parts.train.inputs[0].numel(), *self.hidden, parts.classes))
        whole = Stack(network, draw(network, [seed], self.first))  # type: ignore[arg-type]
        fit(whole, parts.train, self._course(self.pretrain), [seed])
        values, ways = whole.values.detach()[0], cuts(self.hidden, self._gone(), self.most, seed)
        masks = masks_of(network, ways)
        looks = [self._retrain(network, values, masks, parts, seed + 1 + AGAIN * r) for r in range(self.repeats)]
        right = float(evaluate(whole, parts.test)[1])
        return _Population(network, parts, values, ways, masks, torch.stack(looks), right)

    def _figures(self, of: "_Population", seed: int) -> Figures:
        score = self._score(of, seed)
        return {
            "steps": list(self.steps), **summarise(score, of.looks, seed), "models": self.repeats * len(of.ways),
            "whole": of.whole, "score": score.tolist(), "accuracy": of.looks[:, -1, 0].mean(0).tolist(),
        }  # fmt: skip

    def _course(self, steps: int) -> Course:
        return Course(steps=steps, batch=self.batch, learning_rate=self.learning_rate)

    def _gone(self) -> list[int]:
        """Units that go of each hidden layer.

        Raises:
            RequestError: none do, or all.
        """
        gone = [int(w * self.gone + 1e-9) if i in self.layers else 0 for i, w in enumerate(self.hidden)]
        if not any(gone) or any(g >= w for g, w in zip(gone, self.hidden, strict=True)):
            raise RequestError(f"gone {self.gone:g} takes {gone} of {list(self.hidden)} units; needed some, not all")
        return gone

    def _score(self, of: "_Population", seed: int) -> Tensor:
        """[cuts]: the lowest is the best."""
        if self.score == "loss":
            return evaluate(Stack(of.network, of.values.expand(len(of.ways), -1), of.masks), of.parts.train)[0]
        units = list(self._units(of.network, of.values, seed))
        sums = [[float(s[list(gone)].sum()) for s, gone in zip(units, way, strict=True)] for way in of.ways]
        return torch.tensor(sums).sum(1)

    def _units(self, network: nn.Sequential, values: Tensor, seed: int) -> Iterator[Tensor]:
        """[units] for each hidden layer: the method's scores, the higher the more worth keeping."""
        file: Any = METHODS.load(self.score)
        for layer, width in enumerate(self.hidden):
            if file.CARD.reads == "nothing":
                yield file.score(width, torch.Generator().manual_seed(seed + layer))
            else:
                yield file.score(rows_of(network, values, layer, every=file.CARD.reads == "all rows"))

    def _retrain(self, network: nn.Sequential, values: Tensor, masks: Tensor, parts: Parts, seed: int) -> Tensor:
        """[looks 3 cuts]: test accuracy, test loss and training loss after each number of steps."""
        stack, found = Stack(network, values.expand(len(masks), -1), masks), {}

        def look(step: int) -> None:
            if step in self.steps:
                loss, right = evaluate(stack, parts.test)
                found[step] = torch.stack([right, loss, evaluate(stack, parts.train)[0]])

        look(0)
        fit(stack, parts.train, self._course(self.steps[-1]), [seed] * len(masks), after=look)
        return torch.stack([found[s] for s in self.steps])


def summarise(score: Tensor, looks: Tensor, seed: int) -> dict[str, list[float]]:
    """What a score [cuts] says of `looks` [repeats steps 3 cuts], at each number of steps; means over the repeats."""
    mean, names = looks.double().mean(0), ("tau_accuracy", "low", "high", "p", "tau_loss", "tau_train_loss")
    out: dict[str, list[float]] = {n: [] for n in (*names, "ceiling", "anomaly", "range", "proxy")}
    best = int(score.argmin())
    for at, (right, loss, train) in enumerate(mean):
        said = agreement(score, right, seed=seed)
        pairs = [kendall(one, two)[0] for i, one in enumerate(looks[:, at, 0]) for two in looks[:i, at, 0]]
        found = {
            "tau_accuracy": said.tau, "low": said.low, "high": said.high, "p": said.p,
            "tau_loss": kendall(score, loss)[0], "tau_train_loss": kendall(score, train)[0],
            "ceiling": sum(pairs) / len(pairs), "anomaly": float((right > right[best]).double().mean()),
            "range": float(right.std()), "proxy": kendall(right, mean[-1, 0])[0],
        }  # fmt: skip
        for name, value in found.items():
            out[name].append(value)
    return out
