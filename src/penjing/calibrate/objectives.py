"""What is differentiated: a figure for each example of a batch, from the model's output and the batch.

Source: `output` is the scalar of NIRVANA, arXiv:2509.14230, as its code has it: each vocabulary entry's largest logit
over the sequence, averaged over entries and examples. `entropy` is that of AMP, arXiv:2603.08100: the mean entropy of
the softmax over similarities of the batch's features, the similarity of an example to itself included.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from penjing.calibrate.batches import Batch, examples, labels, tokens, told
from penjing.calibrate.known import OBJECTIVES
from penjing.errors import DataError, nearest

Objective = Callable[[Any, Batch], Tensor]

INVERSE_TEMPERATURE = 15.0
IGNORED = -100
"""The label that transformers leaves out of a loss."""


def objective(name: str, *, inverse_temperature: float = INVERSE_TEMPERATURE) -> Objective:
    """(output, batch) -> the mean of an objective over the batch's examples, a scalar: `loss`, `output` or `entropy`.

    `inverse_temperature` is that of the entropy.

    Raises:
        DataError: there is no objective of this name.
    """
    each = per_example(name, inverse_temperature=inverse_temperature)
    return lambda output, batch: each(output, batch).mean()


def per_example(name: str, *, inverse_temperature: float = INVERSE_TEMPERATURE) -> Objective:
    """(output, batch) -> an objective of each example, [examples] float32; see `objective`.

    Raises:
        DataError: there is no objective of this name.
    """
    if name == "loss":
        return loss
    if name == "output":
        return output_mean
    if name == "entropy":
        return partial(entropy, inverse_temperature=inverse_temperature)
    known = ", ".join(OBJECTIVES)
    raise DataError(f"objective '{name}' is not known{nearest(name, OBJECTIVES)}; known: {known}")


def loss(output: Any, batch: Batch) -> Tensor:
    """[examples]: each example's cross-entropy, in nats.

    Of scores [examples classes] with the batch's labels; of logits [examples length vocabulary] the mean over tokens,
    where the labels are the next tokens, or those of the batch ([examples length], -100 left out; taken as next tokens
    too when they repeat the input, as for training a causal model).

    Raises:
        DataError: there are no labels, or they do not fit.
    """
    logits = scores(output).float()
    given = labels(batch)
    if logits.ndim == 2:
        if given is None:
            raise DataError(
                f"the loss of a classifier needs labels, and the batch ({told(batch)}) has none; give pairs (inputs, "
                "labels) or a mapping with 'labels', or choose a method that needs no loss"
            )
        return F.cross_entropy(logits, _checked(given, logits, (len(logits),)), reduction="none")
    if logits.ndim != 3:
        raise DataError(f"the loss needs logits of 2 or 3 dimensions, the model gave {list(logits.shape)}")
    return _token_loss(logits, batch, given)


def _token_loss(logits: Tensor, batch: Batch, given: Tensor | None) -> Tensor:
    found = tokens(batch)
    if found is None and given is None:
        raise DataError(f"the loss needs tokens or labels, and the batch ({told(batch)}) has none; give 'labels'")
    ids, mask = found if found is not None else (None, None)
    targets = ids if given is None else given
    assert targets is not None  # noqa: S101
    if given is None and mask is not None:
        targets = targets.masked_fill(mask == 0, IGNORED)
    repeats = given is not None and ids is not None and given.shape == ids.shape
    if given is None or (repeats and bool(((given == ids) | (given == IGNORED)).all())):
        logits, targets = logits[:, :-1], targets[:, 1:]
    targets = _checked(targets, logits, tuple(logits.shape[:2]))
    counted = (targets != IGNORED).sum(1)
    if not bool(counted.all()):
        raise DataError("an example has no token to predict, needed are two or more tokens in each; give longer ones")
    each = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=IGNORED)
    return each.view(targets.shape).sum(1) / counted


def _checked(targets: Tensor, logits: Tensor, shape: tuple[int, ...]) -> Tensor:
    if targets.is_floating_point() or tuple(targets.shape) != shape:
        raise DataError(f"found labels {told(targets)}, needed whole numbers {list(shape)}; correct the labels")
    wrong = (targets != IGNORED) & ((targets < 0) | (targets >= logits.shape[-1]))
    if bool(wrong.any()):
        raise DataError(
            f"found label {int(targets[wrong][0])}, and the model has {logits.shape[-1]} outputs; number labels from 0"
        )
    return targets.long()


def output_mean(output: Any, batch: Batch) -> Tensor:
    """[examples]: the mean over outputs of each one's largest value along the sequence (of its value, without one).

    Raises:
        DataError: the model gave no tensor.
    """
    logits = scores(output).float()
    return logits.flatten(1, -2).amax(1).mean(1) if logits.ndim > 2 else logits.flatten(1).mean(1)


def entropy(output: Any, batch: Batch, *, inverse_temperature: float = INVERSE_TEMPERATURE) -> Tensor:
    """[examples]: the entropy, in nats, of the softmax over an example's similarities to all of the batch.

    Features are the `pooler_output`, else the first position of `last_hidden_state`, else the outputs laid flat.

    Raises:
        DataError: the batch has one example only.
    """
    count = examples(batch)
    if count < 2:
        raise DataError("the entropy compares examples, and a batch has 1; give batches of two or more")
    unit = F.normalize(features(output).float().flatten(1), dim=1)
    logs = torch.log_softmax(inverse_temperature * unit @ unit.T, dim=1)
    return -(logs.exp() * logs).sum(1)


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
