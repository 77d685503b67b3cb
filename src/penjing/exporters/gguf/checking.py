"""A file run in llama.cpp beside the model in transformers: logits, and tokens that are written one after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from penjing.core.progress import Progress, silent
from penjing.errors import ExportError
from penjing.exporters.exporter import TOLERANCE, gap
from penjing.exporters.gguf.types import TYPES
from penjing.exporters.llama.model import LlamaModel

WRITTEN = 64
"""Tokens that are written after each prompt."""
NEAR = 1e-3
"""Where the two likeliest logits are nearer than this share of the largest, another order of sums may swap them."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a file is from its model at some prompts: logits relative to the largest, mean KL divergence in nats.

    `same` of `written` tokens were equal before the first other one of each prompt.
    """

    difference: float
    divergence: float
    same: int
    written: int
    version: str


@torch.no_grad()
def compare(
    path: Path, module: nn.Module, prompts: Sequence[Sequence[int]], asked: str, *, tolerance: float = TOLERANCE,
    progress: Progress = silent,
) -> Agreement:  # fmt: skip
    """Run both, and see that they agree as well as the type allows; `tolerance` is that of float32.

    Raises:
        ExportError: they do not, or llama.cpp does not run the file.
    """
    length = max(map(len, prompts)) + WRITTEN
    worst, divergence, same, written = 0.0, [], 0, 0
    with LlamaModel(path, context=length) as model:
        for done, prompt in enumerate(prompts):
            progress("running the file in llama.cpp", done, len(prompts))
            wanted = _logits(module, prompt)
            found = model.logits(prompt)
            if found.shape != wanted.shape:
                raise ExportError(f"the file gives {list(found.shape)}, needed {list(wanted.shape)}; do not use it")
            worst = max(worst, gap(found.double(), wanted.double()))
            divergence += _divergences(found, wanted)
            count = min(WRITTEN, model.positions - len(prompt))
            equal, told = _written(module, prompt, model.greedy(prompt, count))
            if asked == "f32" and told:
                raise ExportError(f"the file writes other text than the model: {told}; do not use it")
            same, written = same + equal, written + count
        mean = sum(divergence) / len(divergence)
        if asked == "f32" and not worst <= tolerance:
            raise ExportError(
                f"the file computes something else than the model: logits differ by {worst:.1e} of the largest, "
                f"allowed {tolerance:g}; do not use it"
            )
        if not mean <= TYPES[asked].loss:
            raise ExportError(
                f"as {asked} the model predicts something else: divergence {mean:.3g} nats, allowed "
                f"{TYPES[asked].loss:g}; export with more bits"
            )
        return Agreement(difference=worst, divergence=mean, same=same, written=written, version=model.version)


def _logits(module: nn.Module, tokens: Sequence[int]) -> Tensor:
    return module(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0].float()


def _divergences(found: Tensor, wanted: Tensor) -> list[float]:
    """KL(model, file) of each prediction."""
    a, b = wanted.double().log_softmax(-1), found.double().log_softmax(-1)
    return (a.exp() * (a - b)).sum(-1).tolist()


def _written(module: nn.Module, prompt: Sequence[int], tokens: Sequence[int]) -> tuple[int, str]:
    """(how many tokens are those that the model writes, why the next is another or ""; a near tie is no reason)."""
    whole = [*prompt, *tokens]
    logits = _logits(module, whole[:-1])[len(prompt) - 1 :]
    for i, token in enumerate(tokens):
        best = int(logits[i].argmax())
        if best != token:
            apart = float(logits[i, best] - logits[i, token])
            tied = apart < NEAR * float(logits[i].abs().max())
            return i, "" if tied else f"token {i} after a prompt is {token}, needed {best} (ahead by {apart:.2g})"
    return len(tokens), ""
