"""Tokens of texts, cut into windows of one length."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from penjing.errors import DataError


def tokenise(texts: Sequence[str], tokenizer: Callable[..., Any]) -> Tensor:
    """[tokens] int64: all texts, one after the other, without special tokens.

    Raises:
        DataError: no token comes out.
    """
    ids = [i for text in texts for i in tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
    if not ids:
        raise DataError(f"{len(texts)} texts gave no tokens, needed some; give texts that are not empty")
    return torch.tensor(ids, dtype=torch.int64)


def windows(ids: Tensor, length: int, count: int | None = None, *, seed: int | None = None) -> Tensor:
    """[count length]: windows of `length` tokens that do not overlap, from `ids` [tokens].

    Without `count` all of them; with it, `count` spread evenly over the text, or drawn by `seed`. In order of the text.

    Raises:
        DataError: the text is too short.
    """
    if length < 1 or (count is not None and count < 1):
        raise DataError(f"found a window of {length} tokens and a count of {count}; both must be 1 or more")
    available = ids.numel() // length
    needed = 1 if count is None else count
    if available < needed:
        many = "one window" if needed == 1 else f"{needed} windows of {length}"
        raise DataError(
            f"found {ids.numel():,} tokens, needed {needed * length:,} for {many}; give more text or ask for shorter "
            "or fewer windows"
        )
    whole = ids.flatten()[: available * length].view(available, length)
    if count is None or count == available:
        return whole
    if seed is None:
        return whole[torch.arange(count) * available // count]
    chosen = torch.randperm(available, generator=torch.Generator().manual_seed(seed))[:count]
    return whole[chosen.sort().values]


def token_rows(
    tokenizer: Callable[..., Any],
    texts: Sequence[str],
    *,
    length: int,
    count: int | None = None,
    seed: int | None = None,
) -> Tensor:
    """[rows length]: `tokenise`, then `windows`.

    Raises:
        DataError: the texts are too short.
    """
    return windows(tokenise(texts, tokenizer), length, count, seed=seed)
