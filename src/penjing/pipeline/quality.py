"""How well models predict texts: one model's perplexities, and a smaller one's held against the original's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from penjing.core import Measurement, Plan
from penjing.errors import DataError, MeasureError
from penjing.evaluate.block_losses import BLOCK_LOSS, block_losses
from penjing.evaluate.fidelity import AGREEMENT, DIVERGENCE, fidelity
from penjing.evaluate.perplexity import BITS, PERPLEXITY, Blocks, Protocol, Text, cut, perplexity
from penjing.evaluate.scoring import check_fits, max_positions

Progress = Callable[[str, int, int], None]
WINDOWS, LENGTH = 4, 128
"""On how much each block is tried alone: that many windows of so many tokens of the first text."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is read, by which protocols; the first of each gives the figure that is just called perplexity.

    `answering` says that models are also asked to go on with a few prompts, `by_block` that it is also measured what
    each block of a smaller model costs alone; `plan` is what such a model was made by, where it is known.
    """

    texts: Mapping[str, Text]
    protocols: tuple[Protocol, ...]
    progress: Progress
    answering: bool = False
    by_block: bool = False
    plan: Plan | None = None

    @property
    def first(self) -> tuple[str, Protocol]:
        """The first text and protocol."""
        return next(iter(self.texts)), self.protocols[0]


def missing(why: str) -> list[Measurement]:
    """A perplexity that cannot be had."""
    return [replace(PERPLEXITY, note=why)]


def first_perplexity(module: Any, name: str, reading: Reading) -> list[Measurement]:
    """The perplexity of a model on the first text, and its bits per byte if the protocol gives them."""
    return _perplexity(module, name, reading.first, reading)


def later_perplexities(module: Any, name: str, reading: Reading) -> list[Measurement]:
    """Perplexities on all pairs of text and protocol but the first, once every pair has been found to fit.

    Raises:
        DataError: a text is shorter than a window.
        MeasureError: a window is longer than the model's positions.
    """
    pairs = [(t, p) for t in reading.texts for p in reading.protocols]
    for text, protocol in pairs:
        check_fits(module, cut(module, reading.texts[text], protocol)[0])
    return [f for i, pair in enumerate(pairs[1:], 2) for f in _perplexity(module, name, pair, reading, i)]


def _perplexity(
    module: Any, model: str, on: tuple[str, Protocol], reading: Reading, place: int = 1
) -> list[Measurement]:
    text, protocol = on
    key = "perplexity" if place == 1 else f"perplexity:{text}:{type(protocol).__name__.lower()}:{place}"
    label = PERPLEXITY.label if place == 1 else f"{PERPLEXITY.label} ({text.replace('_', ' ')})"
    what = f"perplexity of {model} on {text}"
    try:
        found = perplexity(
            module, reading.texts[text], protocol=protocol, name=key,
            progress=lambda d, n: reading.progress(what, d, n),
        )  # fmt: skip
    except MeasureError as error:
        return [replace(PERPLEXITY, name=key, label=label, note=str(error))]
    out = [replace(found, label=label, details={**found.details, "text": text})]
    if place == 1 and "bits_per_byte" in found.details:
        out.append(_bits(found))
    return out


def beside(original: Any, module: Any, name: str, reading: Reading) -> tuple[list[Measurement], list[Measurement]]:
    """The first perplexity and the fidelity of a model, and the original's perplexity from the same pass."""
    text, protocol = reading.first
    try:
        found = fidelity(
            original, module, reading.texts[text], protocol=protocol,
            progress=lambda d, n: reading.progress(f"fidelity of {name}", d, n),
        )  # fmt: skip
    except MeasureError as error:
        lost = [replace(bare, note=str(error)) for bare in (DIVERGENCE, AGREEMENT)]
        return [*first_perplexity(module, name, reading), *lost], []
    kept = [replace(f, details={**f.details, "text": text}) for f in (found.base, found.other)]
    base, other = ([f, _bits(f)] if "bits_per_byte" in f.details else [f] for f in kept)
    return [*other, found.divergence, found.agreement], base


def one_by_one(
    original: nn.Module, module: nn.Module, name: str, reading: Reading, kept: Sequence[int] | None
) -> Measurement:
    """What each block of a smaller model costs alone; without a value, and a note why, where that cannot be measured.

    `kept` are the places in the original of its blocks, where some were dropped.
    """
    text = reading.texts[reading.first[0]]
    ids = text if isinstance(text, torch.Tensor) else torch.cat([i for _, i in text])
    length = min(LENGTH, max_positions(original) or LENGTH, len(ids) // 2)
    try:
        return block_losses(
            original, module, ids[: WINDOWS * length], protocol=Blocks(window=length), kept=kept,
            progress=lambda d, n: reading.progress(f"blocks of {name}, one by one", d, n),
        )  # fmt: skip
    except (DataError, MeasureError) as error:
        return replace(BLOCK_LOSS, note=f"withheld: {error}")


def _bits(found: Measurement) -> Measurement:
    return replace(
        BITS,
        value=found.details["bits_per_byte"],
        n=found.details["bytes"],
        spread=found.details["bits_per_byte_error"],
        spread_kind="standard error",
        protocol=found.protocol,
    )
