"""Which labelled pictures may be left out of training: scored, chosen, and held against as many drawn at random.

What is scored is one part of the pictures; which end of the scores is kept is decided on a second, and what that is
worth is told on a third, which neither has seen. Small networks are trained on what is kept and on random choices of
the same size, for as many steps, from the same first values.

Source: Sorscher et al., "Beyond neural scaling laws: beating power law scaling via data pruning", arXiv:2206.14486.
Deviations: the comparison trains small networks on an encoder's features, or on pixels, not the encoder itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from penjing.core import ExampleView
from penjing.core.progress import Progress, silent
from penjing.data.images import Images
from penjing.errors import BudgetError, DataError, UnsupportedError
from penjing.maths.student import mean_of
from penjing.scorers import SCORERS, trains
from penjing.select.examples import kept_examples
from penjing.train.stacked import Course, Stack, draw, evaluate, fit, perceptron
from penjing.train.stacked.examples import Examples
from penjing.train.stacked.watching import HIDDEN, watched

PARTS = (0.6, 0.2, 0.2)
LEAST = 10
"""Pictures of each class, on average, that there must be to tell anything."""
WATCHED = 5
"""Networks that are trained to score by."""
WIDTH = 32
"""Main components of pixels that are looked at where there is no encoder."""
Ends = Literal["hard", "easy", "auto"]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How much is kept, by which score, from which end, and how that is compared: `seeds` pairs of networks."""

    keep: float = 0.8
    score: str = "prototypes"
    settings: Mapping[str, Any] = field(default_factory=dict)
    end: Ends = "auto"
    trim: float = 0.0
    seeds: int = 5
    steps: int = 600
    seed: int = 0
    anyway: bool = False


@dataclass(frozen=True, kw_only=True)
class Against:
    """Accuracy on a part of its own with what an end keeps, less that with a random choice: paired, 95 % interval."""

    end: str
    accuracy: float
    random: float
    gain: float
    low: float
    high: float
    worst_class: float
    worst_class_random: float


@dataclass(frozen=True, kw_only=True)
class PrunedData:
    """What is kept and what goes, by their ids, and what that is worth: `decided` on one part, `told` on another."""

    keep: float
    score: str
    end: str
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    scored: int
    classes: dict[str, tuple[int, int]]
    decided: tuple[Against, ...]
    told: Against
    whole: float
    seeds: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data with stable keys."""
        return asdict(self)


Features = Callable[[Images], Tensor]


def prune_data(
    images: Images, wish: Wish, *, features: Features | None = None, progress: Progress = silent
) -> PrunedData:
    """Choose what stays of the pictures; `features` are those of an encoder ([n width]), or else pixels' main parts.

    Raises:
        BudgetError: a share is out of range, or two are more than all.
        UnsupportedError: what is kept is clearly worse than a random choice, and that was not allowed.
        DataError: there are too few pictures.
    """
    if not 0 < wish.keep < 1:
        raise BudgetError(f"found keep {wish.keep:g}; needed a share above 0 and below 1")
    if wish.keep + wish.trim > 1:
        raise BudgetError(f"found keep {wish.keep:g} and trim {wish.trim:g}, more than all together; trim less")
    if (there := len(images.labels.unique())) < 2 or len(images) < LEAST * there:
        raise DataError(
            f"found {len(images)} pictures of {there} classes; needed two classes or more and {LEAST} pictures of "
            "each on average, for networks to be compared on"
        )
    parts = images.split(PARTS, seed=wish.seed)
    progress("looking at the pictures", 0, 0)
    found = [features(p) for p in parts] if features is not None else _main(parts)
    train, decide, test = (Examples(x, p.labels) for x, p in zip(_scaled(found), parts, strict=True))
    course = Course(steps=wish.steps, batch=min(64, max(1, int(wish.keep * len(train)) // 2)))
    progress("scoring", 0, 0)
    seen = watched(train, course, range(WATCHED)) if trains(wish.score) else None
    view = ExampleView(features=found[0], labels=train.labels, classes=images.classes, trained=seen, seed=wish.seed)
    scores = SCORERS.build(wish.score, wish.settings).score(view)
    ends = ("hard", "easy") if wish.end == "auto" else (wish.end,)
    kept = {e: kept_examples(scores, wish.keep, end=e, labels=train.labels, trim=wish.trim) for e in ends}  # type: ignore[arg-type]
    trial = _Trial(train, course, wish, progress)
    random = trial.random(len(kept[ends[0]]))
    decided = [trial.against(e, kept[e], random, decide) for e in ends]
    best = max(decided, key=lambda a: a.gain)
    told = trial.against(best.end, kept[best.end], random, test)
    if best.high < 0 and not wish.anyway:
        raise UnsupportedError(
            f"what '{wish.score}' keeps ({wish.keep:g}, the {best.end} end) makes networks worse than a random choice: "
            f"{best.gain:+.4f} accuracy ({best.low:+.4f} to {best.high:+.4f}) over {wish.seeds} seeds; keep more, take "
            "another score, or draw at random"
        )
    stays = torch.zeros(len(train), dtype=torch.bool)
    stays[kept[best.end]] = True
    named = list(zip(parts[0].ids, stays.tolist(), strict=True))
    return PrunedData(
        keep=wish.keep, score=wish.score, end=best.end, kept=tuple(i for i, s in named if s),
        dropped=tuple(i for i, s in named if not s), scored=len(train),
        classes=_balance(train.labels, stays, parts[0]), decided=tuple(decided), told=told, whole=trial.whole(test),
        seeds=wish.seeds, notes=_notes(wish, told),
    )  # fmt: skip


class _Trial:
    """Networks trained on parts of the examples, the same first values and as many steps for each part."""

    def __init__(self, train: Examples, course: Course, wish: Wish, progress: Progress) -> None:
        self._train, self._course, self._wish, self._progress = train, course, wish, progress
        self._network = perceptron((train.inputs.shape[1], HIDDEN, train.classes))
        self._known: dict[str, list[Stack]] = {}

    def random(self, count: int) -> list[Tensor]:
        """As many places for each seed, drawn."""
        seeds = range(self._wish.seeds)
        return [torch.randperm(len(self._train), generator=torch.Generator().manual_seed(s))[:count] for s in seeds]

    def against(self, end: str, kept: Tensor, random: list[Tensor], part: Examples) -> Against:
        """What an end keeps against random choices, on a part of the pictures."""
        own = [_accuracies(s, part) for s in self._stacks(end, [kept] * len(random))]
        drawn = [_accuracies(s, part) for s in self._stacks("random", random)]
        means, others = (torch.tensor([m for m, _ in each], dtype=torch.float64) for each in (own, drawn))
        gain = mean_of(means - others)
        worst = [min(sum(w[c] for _, w in each) / len(each) for c in own[0][1]) for each in (own, drawn)]
        return Against(
            end=end, accuracy=float(means.mean()), random=float(others.mean()), gain=gain.value, low=gain.low,
            high=gain.high, worst_class=worst[0], worst_class_random=worst[1],
        )  # fmt: skip

    def whole(self, part: Examples) -> float:
        """The mean accuracy of networks trained on all examples, for as many steps."""
        every = [torch.arange(len(self._train))] * self._wish.seeds
        found = [_accuracies(s, part)[0] for s in self._stacks("all", every)]
        return sum(found) / len(found)

    def _stacks(self, name: str, places: list[Tensor]) -> list[Stack]:
        if name not in self._known:
            made = []
            for seed, own in enumerate(places):
                self._progress(f"training on what is kept ({name})", seed, len(places))
                stack = Stack(self._network, draw(self._network, [seed]))
                some = Examples(self._train.inputs[own], self._train.labels[own])
                fit(stack, some, self._course, [seed])
                made.append(stack)
            self._known[name] = made
        return self._known[name]


def _accuracies(stack: Stack, part: Examples) -> tuple[float, dict[int, float]]:
    """(accuracy, that of each class)."""
    _, right = evaluate(stack, part)
    with torch.no_grad():
        said = stack(part.inputs, shared=True)[0].argmax(-1)
    classes = {int(c): float((said[part.labels == c] == c).double().mean()) for c in part.labels.unique()}
    return float(right[0]), classes


def _main(parts: tuple[Images, ...]) -> list[Tensor]:
    """[n width]: the main components of the pixels, found on the first part alone."""
    flat = [p.pixels[torch.arange(len(p))].flatten(1).float() / 255 for p in parts]
    mean = flat[0].mean(0)
    centred = flat[0] - mean
    basis = torch.linalg.eigh(centred.T.double() @ centred.double()).eigenvectors[:, -WIDTH:].float()
    return [(f - mean) @ basis for f in flat]


def _scaled(found: list[Tensor]) -> list[Tensor]:
    mean, deviation = found[0].mean(0), found[0].std(0).clamp_min(1e-6)
    return [(f.float() - mean) / deviation for f in found]


def _balance(labels: Tensor, stays: Tensor, images: Images) -> dict[str, tuple[int, int]]:
    """Class -> (how many there are, how many stay)."""
    out = {}
    for c in labels.unique().tolist():
        name = images.names[c] if images.names else str(c)
        out[name] = (int((labels == c).sum()), int((stays & (labels == c)).sum()))
    return out


def _notes(wish: Wish, told: Against) -> tuple[str, ...]:
    out = []
    if wish.keep <= 0.3:
        out.append("at 30 % and less, choices by a score often lose to random ones (Ayed & Hayou, 2023)")
    if told.low <= 0 <= told.high:
        out.append("on pictures that nothing was decided by it is not clear that this is better than a random choice")
    if told.worst_class < told.worst_class_random - 0.02:
        out.append("the worst class has become worse than with a random choice")
    return tuple(out)
