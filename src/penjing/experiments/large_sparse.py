"""Train a large network while its smallest weights go, or a smaller one that stays whole, and count non-zeros."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from penjing import layouts
from penjing.calibrate.objectives import objective
from penjing.core import Budget, Stats, View
from penjing.core.experiment import Figure, Figures, place
from penjing.data import read_texts
from penjing.errors import DataError, RequestError
from penjing.io import open_checkpoint
from penjing.methods import METHODS
from penjing.surgery import apply
from penjing.train import train
from penjing.train.stacked import convolutional, perceptron, recurrent
from penjing.train.stacked.pictures import read_parts

FIGURES = {
    "loss": Figure(label="Test loss", unit="nats", better="lower"),
    "accuracy": Figure(label="Test accuracy", unit="fraction", better="higher"),
    "nonzeros": Figure(label="Weights of matrices that are not zero", unit="weights", better="lower"),
    "bytes": Figure(label="Bytes, a bit for each weight that may be zero", unit="bytes", better="lower"),
    "least": Figure(label="Share of the weights that the emptiest matrix keeps", unit="fraction", aside=True),
    "held_out_loss": Figure(label="Held-out loss", unit="nats", better="lower", aside=True),
    "learning_rate": Figure(label="Learning rate that was taken", unit="per step", aside=True),
}
LOOKED_AT = 500
"""Examples that are judged at a time."""


class Batches(NamedTuple):
    """Data that can be had again."""

    batches: Sequence[Any]

    @property
    def count(self) -> int:  # type: ignore[override]
        """How many batches."""
        return len(self.batches)

    def again(self) -> Sequence[Any]:
        """All batches."""
        return self.batches


class Sets(NamedTuple):
    """Batches to train on, to choose the learning rate by and to test on; `words` is 0 where they are pictures."""

    train: tuple[Tensor, ...]
    held_out: tuple[Tensor, ...]
    test: tuple[Tensor, ...]
    words: int
    classes: int


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A network on pictures (see `small_network`), or of one LSTM on the characters of a `text`.

    `hidden` are the widths of linear layers, behind convolutions of `channels` if there are any; of an LSTM the width
    of its embedding and its own. A `method` that trains keeps the share `keep` of the matrices but those of `protect`,
    going there between the shares `begin` and `end` (see the method); 1 leaves the network whole. It is trained with
    each of `learning_rates`, and that with the least held-out loss is the result. A text is cut into rows of `length`,
    the last ones for testing.

    Source: Zhu and Gupta, arXiv:1710.01878, section 3. Deviation: embeddings and what gives words stay whole.
    """

    images: str = place("")
    labels: str = place("")
    test_images: str = place("")
    test_labels: str = place("")
    text: str = place("")
    length: int = 64
    held_out: float = 0.1
    tested: float = 0.2
    limit: int = 0
    hidden: tuple[int, ...] = (256, 128)
    channels: tuple[int, ...] = ()
    window: int = 3
    method: str = "gradual_magnitude"
    keep: float = 1.0
    begin: float = 0.2
    end: float = 0.75
    every: int = 20
    exponent: float = 3.0
    protect: tuple[str, ...] = ()
    steps: int = 1500
    batch: int = 60
    learning_rates: tuple[float, ...] = (1.2e-3,)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained.

        Raises:
            RequestError: pictures and a text, or neither; no rate; an LSTM without two widths; no such method.
            PlanError: the method refuses its settings.
        """
        if bool(self.images) == bool(self.text):
            raise RequestError("found both images and text, or neither; name one of them")
        if not self.learning_rates or (self.text and (len(self.hidden) != 2 or self.channels)):
            raise RequestError(
                f"found {len(self.learning_rates)} learning_rates, hidden {list(self.hidden)}, channels "
                f"{list(self.channels)}; needed one rate or more, and of an LSTM two widths and no channels"
            )
        self._method(self.learning_rates[0])

    def run(self, seed: int) -> Figures:
        """The figures of the network whose learning rate was the best on held-out data."""
        sets, tried = self._sets(), []
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            network = self.network(sets)
        batches = self.batches(sets, seed)
        layout = layouts.from_module(network, _inputs(batches[0]))
        for rate in self.learning_rates:
            view = View(
                open_checkpoint(network), layout, Stats(), Budget(keep=self.keep), seed=seed, data=Batches(batches)
            )
            plan = train(self._method(rate), view, network)
            done = apply(network, layout, plan)
            loss, right = judge(done, sets.test)
            held, _ = judge(done, sets.held_out)
            tried.append({"loss": loss, "accuracy": right, "held_out_loss": held, "learning_rate": rate, **size(done)})
        return min(tried, key=lambda found: found["held_out_loss"])

    def network(self, sets: Sets) -> nn.Module:
        """A network with the values that its layers draw themselves."""
        if self.text:
            return recurrent(sets.words, *self.hidden)
        colours, side, _ = sets.train[0].shape[1:]
        if self.channels:
            return convolutional(
                self.channels, self.hidden, side=side, colours=colours, classes=sets.classes, size=self.window
            )
        return perceptron((sets.train[0][0].numel(), *self.hidden, sets.classes))

    def batches(self, sets: Sets, seed: int) -> list[Any]:
        """The training part in batches, which examples are in which drawn by the seed; what is left over is not used.

        Raises:
            DataError: there are fewer examples than a batch has.
        """
        count = len(sets.train[0])
        if count < self.batch:
            raise DataError(f"found {count} examples to train on, and a batch has {self.batch}; give more examples")
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        picks = order[: count // self.batch * self.batch].split(self.batch)
        return [_batch(tuple(t[p] for t in sets.train)) for p in picks]

    def _method(self, rate: float) -> Any:
        """The method, with those of the settings that it has."""
        if hasattr(METHODS.type_of(self.method), "plan"):
            raise RequestError(f"'{self.method}' does not train; name a method that does, such as gradual_magnitude")
        known = {s.name for s in METHODS.settings(self.method)}
        names = ("begin", "end", "every", "exponent", "protect", "steps")
        own = {n: getattr(self, n) for n in names if n in known}
        return METHODS.build(self.method, {"learning_rate": rate, **own})

    def _sets(self) -> Sets:
        if self.text:
            return characters(self.text, self.length, held_out=self.held_out, tested=self.tested)
        parts = read_parts(
            self.images, self.labels, self.test_images, self.test_labels, held_out=self.held_out, tested=self.tested,
            limit=self.limit,
        )  # fmt: skip
        three = [(p.inputs, p.labels) for p in parts[:3]]
        return Sets(three[0], three[1], three[2], 0, parts.classes)


def characters(path: str, length: int, *, held_out: float, tested: float) -> Sets:
    """Rows [n length] of the places of a text's characters among all that it has, in the text's order.

    Raises:
        DataError: the file cannot be read, or a part would be empty.
    """
    text = "\n".join(read_texts([Path(path)]))
    words = {c: i for i, c in enumerate(sorted(set(text)))}
    count = len(text) // length
    rows = torch.tensor([words[c] for c in text[: count * length]]).view(count, length)
    ends = [count - round((tested + held_out) * count), count - round(tested * count), count]
    parts = [rows[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    if not (held_out > 0 and tested > 0) or any(not len(p) for p in parts):
        raise DataError(
            f"the text has {count} rows of {length}, held_out is {held_out:g} and tested {tested:g}, which leaves a "
            "part empty; give more text, or other shares"
        )
    return Sets((parts[0],), (parts[1],), (parts[2],), len(words), len(words))


@torch.no_grad()
def judge(network: nn.Module, part: tuple[Tensor, ...]) -> tuple[float, float]:
    """(mean loss, share that is right) over a part; of characters, of the next one."""
    loss, right, count = 0.0, 0.0, 0
    take = objective("loss")
    network.eval()
    for chunk in zip(*(t.split(LOOKED_AT) for t in part), strict=True):
        batch = _batch(chunk)
        output = network(_inputs(batch))
        loss += float(take(output, batch)) * len(chunk[0])
        guess, wanted = output.argmax(-1), chunk[-1]
        if len(chunk) == 1:  # a text is its own answer, one place later
            guess, wanted = guess[:, :-1], wanted[:, 1:]
        right += float((guess == wanted).float().mean()) * len(chunk[0])
        count += len(chunk[0])
    return loss / count, right / count


def size(network: nn.Module) -> dict[str, float]:
    """Its non-zero weights, its bytes (float32, and a bit for each weight of a matrix with zeros), its least share."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    there = [int(torch.count_nonzero(p)) for p in matrices]
    others = sum(p.numel() for p in network.parameters() if p.ndim < 2)
    bits = sum(p.numel() for p, n in zip(matrices, there, strict=True) if n < p.numel())
    least = min(n / p.numel() for p, n in zip(matrices, there, strict=True))
    return {"nonzeros": sum(there), "bytes": 4 * (sum(there) + others) + bits / 8, "least": least}


def _batch(parts: tuple[Tensor, ...]) -> Any:
    return parts[0] if len(parts) == 1 else parts


def _inputs(batch: Any) -> Tensor:
    return batch if isinstance(batch, Tensor) else batch[0]
