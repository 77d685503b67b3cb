"""Classifiers from models: sequence classifiers, and language models that continue with a label's word.

Texts are batched by equal length in tokens, without padding, so that no answer hangs on its neighbours in a batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from penjing.errors import DataError, MeasureError
from penjing.evaluate.scoring import evaluating, max_positions
from penjing.tasks.attacks.attack import Classifier
from penjing.tasks.task import Examined

SLOT = "{text}"


def sequence_classifier(model: Examined, *, batch: int = 32) -> Classifier:
    """The classifier of a model of transformers that gives logits [texts classes]; long texts are cut at the end.

    Raises:
        DataError: the model has no tokenizer.
        MeasureError: it gives logits of another shape; raised when texts come.
    """
    tokenizer = model.reader("a text attack")
    limit = max_positions(model.module)

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, truncation=limit is not None, max_length=limit)["input_ids"])

    def last(ids: Tensor) -> Tensor:
        found = model.module(input_ids=ids).logits
        if found.ndim != 2:
            raise MeasureError(
                f"{model.name} gave logits {list(found.shape)}, needed [texts classes]; for a language model give a "
                "template and label words"
            )
        return found

    def classify(texts: Sequence[str]) -> Tensor:
        return _by_length(model, [encode(t) for t in texts], last, batch).softmax(1)

    return classify


def label_words(
    model: Examined, words: Sequence[str], *, template: str = "Text: {text}\nLabel:", batch: int = 16
) -> Classifier:
    """The zero-shot classifier of a causal language model: which word, after a blank, it would go on with.

    `words` has one label word per class, `template` a place `{text}`. A class has the summed log-likelihood of its
    word's tokens, and the probabilities are their softmax. Words of one token each cost one forward pass.

    Raises:
        DataError: the model has no tokenizer, the template no place for the text, or the words are not different.
    """
    tokenizer = model.reader("a text attack")
    if template.count(SLOT) != 1:
        raise DataError(f"the template has {template.count(SLOT)} places {SLOT}, needed one")
    if len(words) < 2 or len(set(words)) < len(words) or not all(w.strip() for w in words):
        raise DataError(f"the label words are {list(words)}; needed two or more, each different")

    def encode(text: str) -> tuple[list[int], list[list[int]]]:
        """The prompt's tokens, and those of each word after it.

        Raises:
            DataError: the words change the prompt's own tokens.
        """
        prompt = template.replace(SLOT, text)
        whole = [list(tokenizer(f"{prompt} {word}")["input_ids"]) for word in words]
        start = len(tokenizer(prompt)["input_ids"])
        shared = min(start, *(len(ids) - 1 for ids in whole))
        if any(ids[:shared] != whole[0][:shared] for ids in whole):
            raise DataError("the label words change the tokens before them; let the template end with a colon or so")
        return whole[0][:shared], [ids[shared:] for ids in whole]

    def classify(texts: Sequence[str]) -> Tensor:
        rows = [encode(t) for t in texts]
        _check_room(model, max(len(p) + max(map(len, ends)) - 1 for p, ends in rows))
        if all(len(end) == 1 for _, ends in rows for end in ends):
            found = _by_length(model, [p for p, _ in rows], lambda ids: _log_likelihood(model, ids)[:, -1], batch)
            picked = torch.tensor([[end[0] for end in ends] for _, ends in rows])
            return found.gather(1, picked).softmax(1)
        return _many_tokens(model, rows, batch).softmax(1)

    return classify


def _many_tokens(model: Examined, rows: Sequence[tuple[list[int], list[list[int]]]], batch: int) -> Tensor:
    """[texts classes]: summed log-likelihoods of words of several tokens."""
    flat = [(prompt, end) for prompt, ends in rows for end in ends]
    sums = torch.zeros(len(flat))
    for group in _groups([len(prompt) + len(end) for prompt, end in flat], batch):
        ids = torch.tensor([flat[i][0] + flat[i][1] for i in group])
        with evaluating(model.module):
            found = _log_likelihood(model, ids[:, :-1].to(_place(model))).cpu()
        for row, i in enumerate(group):
            end = torch.tensor(flat[i][1])
            sums[i] = found[row, -len(end) :].gather(1, end[:, None]).sum()
    return sums.view(len(rows), -1)


def _log_likelihood(model: Examined, ids: Tensor) -> Tensor:
    found = model.module(input_ids=ids).logits
    if found.ndim != 3:
        raise MeasureError(
            f"{model.name} gave logits {list(found.shape)}, needed [texts tokens vocabulary] of a causal language model"
        )
    return found.float().log_softmax(-1)


def _by_length(
    model: Examined, rows: Sequence[list[int]], forward: Callable[[Tensor], Tensor], batch: int
) -> Tensor:
    """[rows ...]: what `forward` gives for each row, on the CPU in float32."""
    out: list[Any] = [None] * len(rows)
    if empty := sum(not row for row in rows):
        raise DataError(f"{empty} texts give no tokens; take empty texts out of the data")
    with evaluating(model.module):
        for group in _groups([len(row) for row in rows], batch):
            found = forward(torch.tensor([rows[i] for i in group]).to(_place(model)))
            for i, values in zip(group, found.float().cpu(), strict=True):
                out[i] = values
    return torch.stack(out)


def _groups(lengths: Sequence[int], batch: int) -> list[list[int]]:
    """Places of equal length, at most `batch` together."""
    by_length: dict[int, list[int]] = {}
    for i, length in enumerate(lengths):
        by_length.setdefault(length, []).append(i)
    return [places[i : i + batch] for places in by_length.values() for i in range(0, len(places), batch)]


def _place(model: Examined) -> torch.device:
    return next(model.module.parameters()).device


def _check_room(model: Examined, longest: int) -> None:
    limit = max_positions(model.module)
    if limit is not None and longest > limit:
        raise MeasureError(
            f"a text has {longest} tokens with its template, {model.name} has {limit} positions; take shorter texts"
        )
