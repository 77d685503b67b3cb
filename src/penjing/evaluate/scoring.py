"""Negative log-likelihoods of windows: batched, float32, in row chunks so that big vocabularies fit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import DataError, MeasureError
from penjing.evaluate.windows import Window

Model = nn.Module | Callable[[Tensor], Any]
Progress = Callable[[int, int], None]
REFUSALS = (ValueError, TypeError, AttributeError, KeyError, IndexError, RuntimeError)
"""What models raise that take other inputs than they are given."""
POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
"""Entries of configs that bound how many tokens a model takes."""
_CHUNK_VALUES = 8 << 20  # float32 logits converted at a time: 32 MB
_BATCH_VALUES = 64 << 20  # logits of one batch: 256 MB in float32


def score(
    model: Model, windows: Sequence[Window], *, batch: int | None = None, progress: Progress | None = None
) -> Tensor:
    """[windows] float64: the summed negative log-likelihood, in nats, of each window's targets.

    `model` is a causal language model of transformers or any callable from tokens [batch tokens] to logits
    [batch tokens vocabulary]. `batch` None chooses one from the vocabulary. `progress` gets (done, all) windows.

    Raises:
        DataError: a token number is outside the vocabulary.
        MeasureError: a window is longer than the model's positions, or its logits are not numbers.
    """
    check_fits(model, windows)
    out = torch.zeros(len(windows), dtype=torch.float64)
    done = 0
    with evaluating(model):
        for group in batches(model, windows, batch):
            found = logits(model, torch.stack([windows[i].inputs for i in group]))
            for row, i in enumerate(group):
                out[i] = nll(found[row], windows[i].targets)
                check_finite(out[i], windows[i])
            done += len(group)
            if progress:
                progress(done, len(windows))
    return out


def nll(found: Tensor, targets: Tensor) -> Tensor:
    """The summed negative log-likelihood of `targets` [scored] under the last rows of `found` [tokens vocabulary]."""
    rows = found[len(found) - len(targets) :]
    targets = targets.to(rows.device)
    step = max(1, _CHUNK_VALUES // rows.shape[-1])
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step].float()
        picked = chunk.gather(1, targets[start : start + step, None]).squeeze(1)
        total += (chunk.logsumexp(1) - picked).double().sum().cpu()
    return total


def batches(model: Model, windows: Sequence[Window], batch: int | None) -> Iterator[list[int]]:
    """Places of windows of one length that go through the model together."""
    by_length: dict[int, list[int]] = {}
    for i, w in enumerate(windows):
        by_length.setdefault(len(w.inputs), []).append(i)
    for length, places in by_length.items():
        size = batch or max(1, min(16, _BATCH_VALUES // (length * (_config_size(model, "vocab_size") or 65536))))
        for start in range(0, len(places), size):
            yield places[start : start + size]


def logits(model: Model, tokens: Tensor) -> Tensor:
    """[batch tokens vocabulary]: what the model says after each of `tokens` [batch tokens].

    Raises:
        MeasureError: the model takes other inputs, or gives no logits of that shape.
    """
    if isinstance(model, nn.Module):
        parameter = next(model.parameters(), None)
        tokens = tokens if parameter is None else tokens.to(parameter.device)
    cached = hasattr(getattr(model, "config", None), "use_cache")
    call: Callable[..., Any] = model
    try:
        found = call(tokens, use_cache=False) if cached else call(tokens)
    except REFUSALS as error:
        raise MeasureError(f"{type(model).__name__} cannot be run on tokens alone: {_line(error)}") from error
    found = getattr(found, "logits", found)
    if not isinstance(found, Tensor) or found.ndim != 3 or found.shape[:2] != tokens.shape:
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise MeasureError(
            f"the model gave {shape} for tokens {list(tokens.shape)}; needed logits [batch tokens vocabulary]: "
            "perplexity is for causal language models"
        )
    return found


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Evaluation mode without gradients; the module's own mode comes back afterwards."""
    training = isinstance(model, nn.Module) and model.training
    if training:
        model.eval()  # type: ignore[union-attr]
    try:
        with torch.inference_mode():
            yield
    finally:
        if training:
            model.train()  # type: ignore[union-attr]


def check_fits(model: Model, windows: Sequence[Window]) -> None:
    """Refuse windows that the model's positions or vocabulary cannot hold.

    Raises:
        MeasureError: a window is longer than the model's positions.
        DataError: a token number is outside the vocabulary.
    """
    longest = max((len(w.inputs) for w in windows), default=0)
    positions = max_positions(model)
    if positions is not None and longest > positions:
        raise MeasureError(
            f"the windows have {longest} tokens, the model has {positions} positions "
            f"(max_position_embeddings); choose a window of at most {positions}"
        )
    vocabulary = _config_size(model, "vocab_size")
    if vocabulary is None:
        return
    for w in windows:
        worst = max(int(w.inputs.max()), int(w.targets.max()))
        least = min(int(w.inputs.min()), int(w.targets.min()))
        if worst >= vocabulary or least < 0:
            raise DataError(
                f"the text has token {worst if worst >= vocabulary else least}, the model's vocabulary has "
                f"{vocabulary}; tokenise the text with this model's tokeniser"
            )


def max_positions(model: Model) -> int | None:
    """How many tokens the model's config allows, or None when it does not say."""
    for entry in POSITIONS:
        if (found := _config_size(model, entry)) is not None:
            return found
    return None


def fitting(length: int, *configs: Mapping[str, Any]) -> int:
    """A length in tokens, or less where one of the models has fewer positions than that.

    >>> fitting(512, {"n_positions": 64}, {"text_config": {"max_position_embeddings": 100}}), fitting(512, {})
    (64, 512)
    """
    held = [table for c in configs for table in (c, c.get("text_config")) if isinstance(table, Mapping)]
    found = [n for table in held for entry in POSITIONS if isinstance(n := table.get(entry), int) and n > 0]
    return min(length, *found) if found else length


def _config_size(model: Model, entry: str) -> int | None:
    config = getattr(model, "config", None)
    for part in (config, getattr(config, "text_config", None)):
        value = getattr(part, entry, None)
        if isinstance(value, int) and value > 0:
            return value
    return None


def check_finite(value: Tensor, window: Window) -> None:
    """Refuse a loss that is not a number, naming the block.

    Raises:
        MeasureError: it is NaN or infinite.
    """
    if torch.isfinite(value):
        return
    kind = "NaN logits" if torch.isnan(value) else "an infinite loss"
    last = window.first + len(window.targets) - 1
    raise MeasureError(
        f"the model gave {kind} in block {window.unit} (tokens {window.first} to {last}); "
        "check its weights, or measure in float32"
    )
