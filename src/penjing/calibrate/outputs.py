"""What a model gives: its scores, and what stands for each example."""

from typing import Any

from torch import Tensor

from penjing.errors import DataError


def features(output: Any) -> Tensor:
    """[examples ...]: what stands for each example."""
    pooled, hidden = getattr(output, "pooler_output", None), getattr(output, "last_hidden_state", None)
    if isinstance(pooled, Tensor):
        return pooled
    return hidden[:, 0] if isinstance(hidden, Tensor) and hidden.ndim == 3 else scores(output)


def scores(output: Any) -> Tensor:
    """The tensor that a model gives: its logits, else its last hidden state, else the first of what it gives.

    Raises:
        DataError: there is none.
    """
    for name in ("logits", "last_hidden_state"):
        found = getattr(output, name, None)
        if isinstance(found, Tensor):
            return found
    first = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(first, Tensor) or not first.ndim:
        raise DataError(f"the model gave {type(first).__name__}, needed a tensor or an output with logits")
    return first
