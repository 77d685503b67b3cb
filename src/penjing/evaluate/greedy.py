"""How long another runtime writes the tokens that a model would have written."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from penjing.core import Measurement
from penjing.evaluate.scoring import evaluating, logits
from penjing.evaluate.statistics import mean_ratio

VERSION = 1
WRITTEN = Measurement(
    name="greedy_agreement", value=None, unit="share of tokens", label="Same tokens written", better="higher",
    group="quality",
)  # fmt: skip
"""The figure of this file, without its value."""


def greedy_agreement(
    model: nn.Module, write: Callable[[Sequence[int], int], list[int]], prompts: Sequence[Tensor], count: int
) -> Measurement:
    """Of `count` tokens written after each prompt [tokens], the share before the first that is not the model's; 0 to 1.

    `write(tokens, count)` gives the likeliest tokens of the other runtime. From the first other token on the two write
    different texts, so what follows is not compared.
    """
    same = []
    for prompt in prompts:
        tokens = prompt.tolist()
        written = write(tokens, count)
        whole = torch.tensor([[*tokens, *written[:-1]]])
        with evaluating(model):
            best = logits(model, whole)[0, len(tokens) - 1 :].argmax(-1).tolist()
        same.append(next((i for i, (a, b) in enumerate(zip(written, best, strict=True)) if a != b), count))
    mean, error = mean_ratio([float(n) for n in same], [float(count)] * len(same))
    read = sum(map(len, prompts))
    return replace(
        WRITTEN, value=mean, n=count * len(same), spread=error, spread_kind="standard error",
        protocol=f"greedy/{VERSION} prompts={len(prompts)} tokens={read} written={count} to the first other token",
        details={"same": same, "written": count},
    )  # fmt: skip
