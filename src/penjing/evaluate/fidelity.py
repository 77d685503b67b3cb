"""How close a smaller model stays to its original, token by token."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from penjing.core import Measurement
from penjing.errors import MeasureError
from penjing.evaluate.perplexity import Blocks, Protocol, Rolling, Text, cut, from_losses, with_bytes
from penjing.evaluate.scoring import Model, Progress, batches, check_finite, check_fits, evaluating, logits, nll
from penjing.evaluate.statistics import mean_ratio
from penjing.evaluate.windows import Window

_CHUNK_VALUES = 4 << 20
DIVERGENCE = Measurement(
    name="divergence", value=None, unit="nats per token", label="Divergence from the original", better="lower",
    group="quality",
)  # fmt: skip
AGREEMENT = Measurement(
    name="agreement", value=None, unit="share of positions", label="Same next token as the original", better="higher",
    group="quality",
)  # fmt: skip
"""The figures of this file, without their values."""


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """What one pass of both models over the same text gives.

    `divergence` is the mean Kullback-Leibler divergence of next-token distributions, original from smaller, in
    nats, 0 when they are the same; `agreement` the share of positions, 0 to 1, where both find the same token most
    likely. `base` and `other` are the perplexities of the two.
    """

    divergence: Measurement
    agreement: Measurement
    base: Measurement
    other: Measurement


def fidelity(
    base: Model,
    other: Model,
    text: Text,
    *,
    protocol: Protocol | None = None,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Fidelity:
    """Divergence, agreement and both perplexities, from one pass of each model over the same windows.

    Standard errors are over windows.

    Raises:
        DataError: the text is shorter than a window, or does not fit a vocabulary.
        MeasureError: the vocabularies differ, a window is too long, or logits are not numbers.
    """
    windows, label = cut(base, text, protocol or Blocks())
    check_fits(base, windows)
    check_fits(other, windows)
    # columns: loss of base, loss of other, divergence, agreeing positions
    sums = torch.zeros(len(windows), 4, dtype=torch.float64)
    done = 0
    with evaluating(base), evaluating(other):
        for group in batches(base, windows, batch):
            tokens = torch.stack([windows[i].inputs for i in group])
            first, second = logits(base, tokens), logits(other, tokens)
            if first.shape != second.shape:
                raise MeasureError(
                    f"the models have vocabularies of {first.shape[-1]} and {second.shape[-1]}; "
                    "fidelity needs the same one, compare bits per byte instead"
                )
            for row, i in enumerate(group):
                sums[i] = _compare(first[row], second[row], windows[i])
            done += len(group)
            if progress:
                progress(done, len(windows))
    counts = [float(len(w.targets)) for w in windows]
    return Fidelity(
        divergence=_figure(DIVERGENCE, sums[:, 2], counts, label),
        agreement=_figure(AGREEMENT, sums[:, 3], counts, label),
        base=_loss(sums[:, 0], windows, label, text, protocol),
        other=_loss(sums[:, 1], windows, label, text, protocol),
    )


def _loss(sums: Tensor, windows: Sequence[Window], label: str, text: Text, protocol: Protocol | None) -> Measurement:
    found = from_losses(sums, windows, label)
    return with_bytes(found, sums, windows, text) if isinstance(protocol, Rolling) else found


def _compare(first: Tensor, second: Tensor, window: Window) -> Tensor:
    losses = [nll(first, window.targets), nll(second, window.targets)]
    for loss in losses:
        check_finite(loss, window)
    scored = len(window.targets)
    divergence, agreeing = compare_rows(first[-scored:], second[-scored:])
    return torch.tensor([float(losses[0]), float(losses[1]), divergence, agreeing], dtype=torch.float64)


def compare_rows(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Summed KL(first || second) in nats, and how many rows agree on the likeliest token; logits [rows vocabulary]."""
    step = max(1, _CHUNK_VALUES // first.shape[-1])
    divergence = agreeing = 0.0
    for start in range(0, len(first), step):
        one = first[start : start + step].float().log_softmax(1)
        two = second[start : start + step].float().log_softmax(1).to(one.device)
        p = one.exp()
        # a token that the original rules out (p = 0) adds nothing, whatever the other says
        gap = torch.where(p > 0, p * (one - two), torch.zeros_like(p))
        divergence += float(gap.double().sum())
        agreeing += float((one.argmax(1) == two.argmax(1)).sum())
    return divergence, agreeing


def _figure(bare: Measurement, sums: Tensor, counts: Sequence[float], label: str) -> Measurement:
    mean, error = mean_ratio(sums.tolist(), counts)
    return replace(
        bare,
        value=mean,
        n=int(sum(counts)),
        spread=error,
        spread_kind="standard error",
        protocol=f"fidelity/1 over {label}",
        note="" if error is not None else "one block only: no standard error",
    )
