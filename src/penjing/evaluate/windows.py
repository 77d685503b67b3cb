"""Which tokens are predicted, and from what: the three ways to cut a text for perplexity."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penjing.errors import DataError

Document = tuple[str, Tensor]


@dataclass(frozen=True, eq=False)
class Window:
    """One forward pass: `inputs` [tokens] go in, and the last positions predict `targets` [scored].

    `unit` numbers the block or document that it belongs to: the independent samples behind a standard error.
    `first` is the place in the text of the first target.
    """

    inputs: Tensor
    targets: Tensor
    unit: int
    first: int


def blocks(tokens: Tensor, window: int, bos: int | None = None) -> list[Window]:
    """Disjoint blocks of `window` tokens from `tokens` [tokens]; a rest shorter than a block is left out.

    The first token of each block is not predicted. With `bos` that token comes first instead, and the other
    `window` - 1 are all predicted.

    Source: the pruning papers' WikiText-2 protocol (sequence length 2048); `bos` is an addition.

    Raises:
        DataError: the text is shorter than one block.
    """
    _check(tokens, window)
    step = window if bos is None else window - 1
    count = len(tokens) // step
    if not count:
        raise DataError(
            f"the text has {len(tokens)} tokens, one block needs {step}; give a longer text or a shorter window"
        )
    out = []
    for i in range(count):
        block = tokens[i * step : (i + 1) * step]
        if bos is None:
            out.append(Window(block[:-1], block[1:], i, i * step + 1))
        else:
            out.append(Window(torch.cat([block.new_tensor([bos]), block[:-1]]), block, i, i * step))
    return out


def rolling(documents: Sequence[Tensor], window: int, prefix: int) -> list[Window]:
    """Every token of each document [tokens] predicted once, in disjoint stretches of `window` tokens.

    The first stretch is predicted from the `prefix` token; a later one from the one token before it. The last,
    shorter stretch has as much context as fits in the window.

    Source: lm-evaluation-harness, `loglikelihood_rolling` with context length 1.

    Raises:
        DataError: there is no document, or one is empty.
    """
    if not documents:
        raise DataError("there is no document to measure on; give at least one text")
    out = []
    for unit, tokens in enumerate(documents):
        _check(tokens, window)
        if not len(tokens):
            raise DataError(f"document {unit} has no tokens; leave empty documents out")
        padded = torch.cat([tokens.new_tensor([prefix]), tokens])
        for start in range(0, len(tokens), window):
            end = min(start + window, len(tokens))
            first = start if end - start == window else max(0, end - window)
            out.append(Window(padded[first:end], tokens[start:end], unit, start))
    return out


def strided(tokens: Tensor, window: int, stride: int, bos: int | None = None) -> list[Window]:
    """Overlapping windows that start every `stride` tokens; each scores only what no earlier one has.

    The first window scores all its tokens but the first (all, after `bos`), each later one its last `stride`;
    the text's end may leave fewer.

    Source: the sliding-window protocol of the transformers documentation.

    Raises:
        DataError: the text is shorter than one window, or the stride does not fit in it.
    """
    _check(tokens, window)
    room = window if bos is None else window - 1
    if not 1 <= stride < window:
        raise DataError(f"the stride is {stride}; with a window of {window} it must be from 1 to {window - 1}")
    if len(tokens) < room:
        raise DataError(
            f"the text has {len(tokens)} tokens, one window needs {room}; give a longer text or a shorter window"
        )
    lead = tokens[:0] if bos is None else tokens.new_tensor([bos])
    out, done = [], 1 if bos is None else 0
    for start in range(0, len(tokens), stride):
        end = min(start + room, len(tokens))
        out.append(Window(torch.cat([lead, tokens[start : end - 1]]), tokens[done:end], len(out), done))
        done = end
        if end == len(tokens):
            break
    return out


def _check(tokens: Tensor, window: int) -> None:
    if tokens.ndim != 1 or tokens.is_floating_point():
        raise DataError(
            f"tokens have shape {list(tokens.shape)} and dtype {tokens.dtype}; needed one row of token numbers [tokens]"
        )
    if window < 2:
        raise DataError(f"the window is {window} tokens; it must be at least 2")


def text_hash(documents: Sequence[Tensor]) -> str:
    """16 hex digits of the sha256 over the token numbers: the same for the same text and tokeniser."""
    digest = hashlib.sha256()
    for tokens in documents:
        digest.update(f"{len(tokens)};".encode())
        digest.update(tokens.detach().cpu().to(torch.int64).contiguous().numpy().astype("<i8").tobytes())
    return digest.hexdigest()[:16]
