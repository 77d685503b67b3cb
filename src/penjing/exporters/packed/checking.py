"""A packed folder held against its own definition, and told how far that is from the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from penjing.errors import CheckpointError, ExportError
from penjing.exporters.exporter import TOLERANCE, gap
from penjing.exporters.gguf.tokenizer import TEXTS
from penjing.exporters.packed.matrices import Matrices
from penjing.exporters.packed.scheme import Scheme
from penjing.io import OpenCheckpoint
from penjing.maths.quantise import rounded

PROMPTS, LONGEST = 3, 48


@dataclass(frozen=True, kw_only=True)
class Found:
    """How far the folder is from its definition and from the model, relative to the largest logit of each.

    `divergence` is the mean KL divergence from the model in nats; at `same` of `places` the likeliest token is its.
    """

    exact: float
    difference: float
    divergence: float
    same: int
    places: int


@torch.no_grad()
def compare(
    model: nn.Module, packed: Callable[[], nn.Module], checkpoint: OpenCheckpoint, found: Matrices, scheme: Scheme,
    prompts: Sequence[Sequence[int]],
) -> Found:  # fmt: skip
    """Run the model as it is, and with its weights as they are defined to be after packing, and the folder.

    The model's weights are changed. One of the two models is in memory at a time as far as the caller lets go of it.

    Raises:
        ExportError: the folder computes something else than its definition.
    """
    before = _all(model, prompts)
    for name in found.packed:
        weight = rounded(checkpoint[name], bits=scheme.bits, group=scheme.group)
        model.get_parameter(name).data.copy_(weight)
    defined, opened = _all(model, prompts), _all(packed(), prompts)
    worst = max(gap(b.double(), a.double()) for a, b in zip(defined, opened, strict=True))
    if not worst <= TOLERANCE:
        raise ExportError(
            f"what transformers opens computes something else than the packed weights stand for: logits differ by "
            f"{worst:.1e} of the largest, allowed {TOLERANCE:g}; do not use it"
        )
    pairs = list(zip(before, opened, strict=True))
    return Found(
        exact=worst,
        difference=max(gap(b.double(), a.double()) for a, b in pairs),
        divergence=float(torch.cat([_divergence(a, b) for a, b in pairs]).mean()),
        same=sum(int((a.argmax(-1) == b.argmax(-1)).sum()) for a, b in pairs),
        places=sum(len(a) for a in before),
    )


def prompts_of(checkpoint: OpenCheckpoint, positions: int, vocabulary: int) -> list[list[int]]:
    """Beginnings of short texts where there is a tokenizer; else tokens at random."""
    room = max(1, min(LONGEST, positions))
    try:
        tokenizer = checkpoint.tokenizer()
        found = [tokenizer(text)["input_ids"][:room] for text in TEXTS[:PROMPTS]]
        if min(map(len, found)) > 1 and max(map(max, found)) < vocabulary:  # less is no tokenizer of this model
            return found
    except CheckpointError:
        pass  # a folder without a tokenizer is no fault
    drawn = torch.Generator().manual_seed(0)
    return [torch.randint(vocabulary, (room,), generator=drawn).tolist() for _ in range(PROMPTS)]


def _all(module: nn.Module, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
    return [module(input_ids=torch.tensor([list(p)]), use_cache=False).logits[0].float() for p in prompts]


def _divergence(model: Tensor, other: Tensor) -> Tensor:
    """KL(model, other) after each token."""
    a, b = model.double().log_softmax(-1), other.double().log_softmax(-1)
    return (a.exp() * (a - b)).sum(-1)
