"""Text that a model draws from its own predictions, row by row.

Source: Liu et al., "LLM-QAT: Data-Free Quantization Aware Training for Large Language Models", arXiv:2305.17888,
section 3.1: a first token drawn evenly from the vocabulary, then a few that are likeliest, then tokens drawn from the
whole distribution. Deviation: every row has the same number of greedy tokens; the paper takes three to five.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import UnsupportedError

GREEDY = 4
"""Tokens after the first that are the likeliest, so that a row begins with something that the model would say."""


@torch.inference_mode()
def sampled_rows(
    module: nn.Module, first: Tensor, length: int, *, generator: torch.Generator, barred: Sequence[int] = (),
    greedy: int = GREEDY,
) -> Tensor:  # fmt: skip
    """[rows length] token numbers: each row goes on from its `first` token [rows]; none of those that are `barred`.

    Logits are those of the module in its own type; what is drawn follows from the generator, on the processor.

    Raises:
        UnsupportedError: the module keeps no states of what it has read, or gives no logits.
    """
    device = next(module.parameters()).device
    out, ids, known = [first.cpu()], first[:, None].to(device), None
    for place in range(length - 1):
        given: Any = module(input_ids=ids, past_key_values=known, use_cache=True)
        known, logits = getattr(given, "past_key_values", None), getattr(given, "logits", None)
        if logits is None or known is None:
            raise UnsupportedError(
                f"{type(module).__name__} does not go on with text, or not step by step; name text to train on instead"
            )
        scores = logits[:, -1].float().cpu()
        scores[:, list(barred)] = -torch.inf
        drawn = place >= greedy
        new = torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0] if drawn else scores.argmax(1)
        out.append(new)
        ids = new[:, None].to(device)
    return torch.stack(out, 1)
