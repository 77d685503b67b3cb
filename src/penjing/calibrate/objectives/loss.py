"""Each example's cross-entropy, in nats."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from penjing.calibrate.batches import Batch, describe, labels, tokens
from penjing.calibrate.outputs import scores
from penjing.errors import DataError

IGNORED = -100
"""The label that transformers leaves out of a loss."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The loss that the model was trained on; `smoothing` is the share of a target that all classes divide."""

    smoothing: float = 0.0
    joins: ClassVar[bool] = False
    answers: ClassVar[bool] = True

    def __call__(self, output: Any, batch: Batch) -> Tensor:
        """[examples]: see `loss`."""
        return loss(output, batch, smoothing=self.smoothing)


def loss(output: Any, batch: Batch, *, smoothing: float = 0.0) -> Tensor:
    """[examples]: each example's cross-entropy, in nats.

    Of scores [examples classes] with the batch's labels; of logits [examples length vocabulary] the mean over tokens,
    where the labels are the next tokens, or those of the batch ([examples length], -100 left out; taken as next tokens
    too when they repeat the input, as for training a causal model). Of a model of CTC, whose labels are not one for
    each frame, its own loss of the one example in the batch, which knows its blank and the frames that count.

    Raises:
        DataError: there are no labels, or they do not fit.
    """
    logits = scores(output).float()
    given = labels(batch)
    if logits.ndim == 3 and tokens(batch) is None and given is not None and given.shape[1:2] != logits.shape[1:2]:
        return _own_loss(output, logits, given)
    if logits.ndim == 2:
        if given is None:
            raise DataError(
                f"the loss of a classifier needs labels, and the batch ({describe(batch)}) has none; give pairs "
                "(inputs, labels) or a mapping with 'labels', or choose a method that needs no loss"
            )
        targets = _checked(given, logits, (len(logits),))
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    if logits.ndim != 3:
        raise DataError(f"the loss needs logits of 2 or 3 dimensions, the model gave {list(logits.shape)}")
    return _token_loss(logits, batch, given, smoothing)


def _own_loss(output: Any, logits: Tensor, given: Tensor) -> Tensor:
    """[1]: the loss that the model gives itself, where the labels are fewer than the frames that it scores.

    Raises:
        DataError: it gives none, or there are several examples, of which it gives one figure.
    """
    frames = f"the model scores {logits.shape[1]} frames and the labels are {describe(given)}, as for CTC"
    own = getattr(output, "loss", None)
    if not isinstance(own, Tensor):
        raise DataError(f"{frames}, and it gives no loss for them; choose a method that needs none, such as activation")
    if len(logits) > 1:
        raise DataError(f"{frames}; its loss is of a batch, found one of {len(logits)}; give batch=1 (--batch 1)")
    return own.float().reshape(1)


def _token_loss(logits: Tensor, batch: Batch, given: Tensor | None, smoothing: float) -> Tensor:
    found = tokens(batch)
    if found is None and given is None:
        raise DataError(f"the loss needs tokens or labels, and the batch ({describe(batch)}) has none; give 'labels'")
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
    each = F.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=IGNORED, label_smoothing=smoothing
    )
    return each.view(targets.shape).sum(1) / counted


def _checked(targets: Tensor, logits: Tensor, shape: tuple[int, ...]) -> Tensor:
    if targets.is_floating_point() or tuple(targets.shape) != shape:
        raise DataError(f"found labels {describe(targets)}, needed whole numbers {list(shape)}; correct the labels")
    wrong = (targets != IGNORED) & ((targets < 0) | (targets >= logits.shape[-1]))
    if bool(wrong.any()):
        raise DataError(
            f"found label {int(targets[wrong][0])}, and the model has {logits.shape[-1]} outputs; number labels from 0"
        )
    return targets.long()
