"""Whether probabilities mean what they say: calibration errors, Brier score, temperature. For any probabilities [n c].

Source: Guo et al., ICML 2017, arXiv:1706.04599 (ECE, MCE, temperature); Nixon et al., 2019, arXiv:1904.01685 (equal
masses, classwise); Brier, 1950. In each bin, the upper bound belongs to it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.errors import MeasureError
from penjing.maths.bootstrap import Bootstrap, bootstrap

BINS = 15
DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Bins:
    """Items sorted into bins by confidence: for the diagram and the errors. Columns have one entry per filled bin.

    `member` is each item's bin, [n] int64, and `gap` its correctness less its confidence, [n] float64.
    """

    low: Tensor
    high: Tensor
    count: Tensor
    confidence: Tensor
    accuracy: Tensor
    member: Tensor
    gap: Tensor

    def ece(self) -> float:
        """The mean over items of their bin's |accuracy - confidence|, 0 to 1."""
        return float((self.count * (self.accuracy - self.confidence).abs()).sum() / self.count.sum())

    def worst(self) -> float:
        """The largest |accuracy - confidence| of a bin, 0 to 1."""
        return float((self.accuracy - self.confidence).abs().max())

    def columns(self) -> dict[str, list[float]]:
        """The bins as plain lists, for a diagram."""
        names = ("low", "high", "count", "confidence", "accuracy")
        return {name: getattr(self, name).tolist() for name in names}

    def interval(self, *, seed: int = 0, draws: int = DRAWS) -> Bootstrap:
        """The bootstrap of `ece` over items; which bin an item is in stays. ECE of few items is too large itself."""
        rows = torch.zeros(len(self.gap), len(self.count), dtype=torch.float64)
        rows[torch.arange(len(self.gap)), self.member] = self.gap
        generator = torch.Generator().manual_seed(seed)
        items = len(self.gap)
        return bootstrap(rows, lambda totals: totals.abs().sum(-1) / items, generator=generator, draws=draws)


def equal_width(confidence: Tensor, correct: Tensor, bins: int = BINS) -> Bins:
    """Bins of equal width over 0 to 1, from `confidence` [n] and `correct` [n], 0 or 1.

    Raises:
        MeasureError: there is nothing to sort, or a confidence is not from 0 to 1.
    """
    confidence = _checked(confidence, correct)
    edges = torch.arange(bins + 1, dtype=torch.float64) / bins
    return _bins(confidence, correct, edges, torch.searchsorted(edges, confidence).sub(1).clamp(0, bins - 1))


def equal_mass(confidence: Tensor, correct: Tensor, bins: int = BINS) -> Bins:
    """Bins with as many items each (to within one), in order of confidence.

    Raises:
        MeasureError: there is nothing to sort, or a confidence is not from 0 to 1.
    """
    confidence = _checked(confidence, correct)
    n = len(confidence)
    bins = min(bins, n)
    order = confidence.argsort(stable=True)
    member = torch.empty(n, dtype=torch.int64)
    member[order] = torch.arange(n) * bins // n
    ordered = confidence[order]
    starts = [-(-i * n // bins) for i in range(bins)]
    edges = torch.cat([ordered[starts], ordered[-1:]])
    return _bins(confidence, correct, edges, member)


def _checked(confidence: Tensor, correct: Tensor) -> Tensor:
    if not len(confidence) or confidence.shape != correct.shape:
        raise MeasureError(f"found confidences {list(confidence.shape)} and answers {list(correct.shape)}; needed [n]")
    confidence = confidence.double().contiguous()
    if not bool(((confidence >= 0) & (confidence <= 1 + 1e-9)).all()):
        raise MeasureError("a confidence is not from 0 to 1; give probabilities, not scores")
    return confidence


def _bins(confidence: Tensor, correct: Tensor, edges: Tensor, member: Tensor) -> Bins:
    answers = correct.double()
    count = torch.bincount(member, minlength=len(edges) - 1)
    filled = count > 0
    sums = [torch.bincount(member, weights=v, minlength=len(edges) - 1)[filled] for v in (confidence, answers)]
    count_filled = count[filled]
    place = filled.long().cumsum(0) - 1
    return Bins(
        low=edges[:-1][filled],
        high=edges[1:][filled],
        count=count_filled,
        confidence=sums[0] / count_filled,
        accuracy=sums[1] / count_filled,
        member=place[member],
        gap=answers - confidence,
    )


def confidences(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """([n], [n]): the largest probability, and whether the (first) most likely class is the label.

    Raises:
        MeasureError: the rows are no probabilities of the labels.
    """
    _check(probabilities, labels)
    highest = probabilities.max(1)
    return highest.values, highest.indices == labels


def classwise_ece(probabilities: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """The mean over classes of the calibration error of "is it this class", 0 to 1.

    Raises:
        MeasureError: the rows are no probabilities of the labels.
    """
    _check(probabilities, labels)
    each = [equal_width(p, labels == c, bins).ece() for c, p in enumerate(probabilities.T)]
    return sum(each) / len(each)


def brier(probabilities: Tensor, labels: Tensor) -> Tensor:
    """[n] float64: each item's sum of squared differences from the true class, 0 to 2, lower is better.

    Raises:
        MeasureError: the rows are no probabilities of the labels.
    """
    _check(probabilities, labels)
    truth = torch.zeros_like(probabilities, dtype=torch.float64)
    truth[torch.arange(len(labels)), labels] = 1.0
    return (probabilities.double() - truth).square().sum(1)


def nll(logits: Tensor, labels: Tensor) -> Tensor:
    """[n] float64: minus the log-probability of each label, in nats, from scores [n c]."""
    return -logits.double().log_softmax(1)[torch.arange(len(labels)), labels]


def _check(probabilities: Tensor, labels: Tensor) -> None:
    if probabilities.ndim != 2 or len(probabilities) != len(labels) or not len(labels):
        raise MeasureError(
            f"found probabilities {list(probabilities.shape)} for {len(labels)} labels; needed [items classes]"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= probabilities.shape[1]:
        raise MeasureError(f"a label is outside the {probabilities.shape[1]} classes that have a probability")
    if not bool((probabilities.double().sum(1) - 1).abs().max() < 1e-3) or bool((probabilities < 0).any()):
        raise MeasureError("the rows do not sum to 1; give probabilities, such as the softmax of scores")


def temperature(logits: Tensor, labels: Tensor, *, least: float = 0.01, most: float = 100.0) -> float:
    """The T between `least` and `most` for which softmax(logits / T) has the lowest loss; above 1: overconfident.

    The loss is convex in 1/T, so its slope is halved upon: no start, no step size, the same answer each time.
    """
    z, places = logits.double(), torch.arange(len(labels))
    chosen = z[places, labels]

    def slope(inverse: float) -> float:
        return float(((z * inverse).softmax(1).mul(z).sum(1) - chosen).mean())

    low, high = 1 / most, 1 / least
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) <= 0 else (low, middle)
    return 1 / (low * high) ** 0.5
