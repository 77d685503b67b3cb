"""How well a language model predicts a text: three protocols, named in every result.

Source: `blocks` is the pruning papers' WikiText-2 protocol, `rolling` lm-evaluation-harness's, `stride` the
transformers documentation's. They differ by several percent; a number without its protocol says little.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from penjing.core import Measurement
from penjing.errors import DataError
from penjing.evaluate.scoring import Model, Progress, max_positions, score
from penjing.evaluate.statistics import mean_ratio
from penjing.evaluate.windows import Document, Window, blocks, rolling, strided, text_hash

VERSION = 1
PERPLEXITY = Measurement(
    name="perplexity", value=None, unit="perplexity per token", label="Perplexity", better="lower", group="quality"
)
BITS = Measurement(
    name="bits_per_byte", value=None, unit="bits per byte", label="Bits per byte", better="lower", group="quality"
)
"""The figures of this file, without their values."""


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Disjoint blocks of `window` tokens (None: 2048, or the model's positions if fewer), each after `bos` if given."""

    window: int | None = None
    bos: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rolling:
    """Every token of every document once, after a `prefix` token (BOS or EOS), in stretches of `window` tokens."""

    prefix: int
    window: int | None = None


@dataclass(frozen=True, kw_only=True)
class Stride:
    """Overlapping windows, one every `stride` tokens (None: half a window), each scoring what is new."""

    window: int | None = None
    stride: int | None = None
    bos: int | None = None


Protocol = Blocks | Rolling | Stride
Text = Tensor | Sequence[Document]


def perplexity(
    model: Model,
    text: Text,
    *,
    protocol: Protocol | None = None,
    batch: int | None = None,
    progress: Progress | None = None,
    name: str = "perplexity",
) -> Measurement:
    """exp(mean negative log-likelihood per predicted token), at least 1, lower is better; with its standard error.

    `text` is one row of token numbers [tokens] or documents (text, tokens [tokens]); `blocks` and `stride` join
    documents end to end. The error is over blocks, documents (windows, if there is one) or windows, by the delta
    method. `details` holds the loss of each unit, and for `rolling` bits per byte and byte and word perplexity.

    Raises:
        DataError: the text is shorter than a window, or does not fit the model's vocabulary.
        MeasureError: the window is longer than the model's positions, or the logits are not numbers.
    """
    windows, label = cut(model, text, protocol or Blocks())
    losses = score(model, windows, batch=batch, progress=progress)
    found = from_losses(losses, windows, label, name)
    return with_bytes(found, losses, windows, text) if isinstance(protocol, Rolling) else found


def cut(model: Model, text: Text, protocol: Protocol) -> tuple[list[Window], str]:
    """The windows of a text under a protocol, and the protocol's id.

    Raises:
        DataError: the text is shorter than a window.
    """
    rows = [text] if isinstance(text, Tensor) else [ids for _, ids in text]
    window = protocol.window or min(2048, max_positions(model) or 2048)
    if isinstance(protocol, Rolling):
        made = rolling(rows, window, protocol.prefix)
        options = f"rolling window={window} prefix={protocol.prefix} documents={len(rows)}"
    else:
        joined = rows[0] if len(rows) == 1 else torch.cat(list(rows)) if rows else torch.zeros(0, dtype=torch.long)
        bos = "none" if protocol.bos is None else protocol.bos
        if isinstance(protocol, Blocks):
            made = blocks(joined, window, protocol.bos)
            options = f"blocks window={window} bos={bos} blocks={len(made)}"
        else:
            step = protocol.stride or max(1, window // 2)
            made = strided(joined, window, step, protocol.bos)
            options = f"stride window={window} stride={step} bos={bos} windows={len(made)}"
    predicted = sum(len(w.targets) for w in made)
    total = sum(len(r) for r in rows)
    return made, f"perplexity/{VERSION} {options} tokens={total} predicted={predicted} text=sha256:{text_hash(rows)}"


def from_losses(losses: Tensor, windows: Sequence[Window], label: str, name: str = "perplexity") -> Measurement:
    """A perplexity from each window's summed loss, float64 [windows]."""
    sums, counts = _per_unit(losses, windows)
    mean, error = mean_ratio(sums, counts)
    value = math.exp(mean) if mean < 700 else math.inf
    measured = math.isfinite(value)
    tokens = int(sum(counts))
    notes = [] if error is not None else ["one block only: no standard error"]
    if not measured:
        notes.append(f"the mean loss is {mean:g} nats: too large to show as a perplexity")
    return replace(
        PERPLEXITY,
        name=name,
        value=value if measured else None,
        n=tokens,
        spread=value * error if measured and error is not None else None,
        spread_kind="standard error",
        protocol=label,
        note="; ".join(notes),
        details={
            "nll_per_token": mean,
            "nll": [s / c for s, c in zip(sums, counts, strict=True)],
            "tokens": [int(c) for c in counts],
        },
    )


def _per_unit(losses: Tensor, windows: Sequence[Window]) -> tuple[list[float], list[float]]:
    """Summed losses and token counts by block or document; by window when there is one document only."""
    single = len({w.unit for w in windows}) == 1
    units = list(range(len(windows))) if single else [w.unit for w in windows]
    sums: dict[int, float] = {}
    counts: dict[int, float] = {}
    for unit, loss, w in zip(units, losses.tolist(), windows, strict=True):
        sums[unit] = sums.get(unit, 0.0) + loss
        counts[unit] = counts.get(unit, 0.0) + len(w.targets)
    return list(sums.values()), list(counts.values())


def with_bytes(found: Measurement, losses: Tensor, windows: Sequence[Window], documents: Text) -> Measurement:
    """The same figure with bits per byte and byte and word perplexity of the original text in its details.

    Bare token numbers have no text: the figure is then given back as it is.

    Raises:
        DataError: the documents' texts are empty.
    """
    if isinstance(documents, Tensor):
        return found
    sums = [0.0] * len(documents)
    for loss, w in zip(losses.tolist(), windows, strict=True):
        sums[w.unit] += loss
    sizes = [float(len(text.encode("utf-8"))) for text, _ in documents]
    words = [float(len(text.split())) for text, _ in documents]
    if not sum(sizes):
        raise DataError("the documents have tokens but no text; give each document's own text for bits per byte")
    per_byte, error = mean_ratio(sums, sizes)
    extra: dict[str, Any] = {
        "bits_per_byte": per_byte / math.log(2),
        "bits_per_byte_error": None if error is None else error / math.log(2),
        "byte_perplexity": math.exp(per_byte),
        "word_perplexity": _exp(sum(sums) / sum(words)) if sum(words) else None,
        "bytes": int(sum(sizes)),
        "words": int(sum(words)),
    }
    return replace(found, details={**found.details, **extra})


def _exp(value: float) -> float | None:
    return math.exp(value) if value < 700 else None
