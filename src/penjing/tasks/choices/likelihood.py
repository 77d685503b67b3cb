"""Log-likelihoods of continuations: each context is run once, and shared by all that follows it.

Source: the requests are lm-evaluation-harness's; that a context's keys and values are kept is not.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from penjing.errors import DataError, MeasureError
from penjing.evaluate.scoring import evaluating, max_positions
from penjing.tasks.choices.cached import (
    cacheable,
    device_of,
    extend,
    logits_of,
    parameters,
    prefill,
)
from penjing.tasks.choices.requests import Request

Progress = Callable[[int, int], None]
BATCH = 16
_PIECE_VALUES = 64 << 20  # logits of one forward: 256 MB in float32
_CHUNK_VALUES = 8 << 20  # of which this many are converted to float32 at a time


@dataclass(frozen=True)
class Likelihoods:
    """`values`: each request's summed log-probability, in nats; `greedy`: whether every token was the likeliest.

    `truncated` counts the requests whose context lost its beginning to fit the model.
    """

    values: tuple[float, ...]
    greedy: tuple[bool, ...]
    truncated: int = 0


@dataclass(frozen=True)
class _Job:
    """What the passes share: the model, how many values a forward may give, and where results go."""

    module: Any
    batch: int
    vocabulary: int
    keeps: bool  # the model can give the last logits only
    values: dict[Request, tuple[float, bool]] = field(default_factory=dict)


def log_likelihoods(
    module: Any,
    requests: Sequence[Request],
    *,
    share: bool = True,
    batch: int | None = None,
    names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Likelihoods:
    """How likely each request's continuation is after its context, in the order given.

    A context that several requests share runs once; its keys and values are copied for the continuations (with
    `share` off, or a model that keeps none, every request runs whole). Continuations of one token need no second
    pass. `batch` is how many contexts run together (None: 16). `names` are what errors call the requests. Contexts
    too long for the model lose their beginning.

    Raises:
        MeasureError: a continuation alone is longer than the model's positions, or the logits are not numbers.
        DataError: a token number is outside the vocabulary.
    """
    names = names or [f"request {i}" for i in range(len(requests))]
    fitted = _fit(module, requests, names)
    truncated = sum(a is not b for a, b in zip(fitted, requests, strict=True))
    different = list(dict.fromkeys(fitted))
    keeps = "logits_to_keep" in parameters(module)
    job = _Job(module, batch or BATCH, _vocabulary(module), keeps)
    with evaluating(module):
        for _ in _passes(job, different, share and cacheable(module), share):
            if progress:
                progress(len(job.values) * len(requests) // len(different), len(requests))
    for name, request in zip(names, fitted, strict=True):
        value = job.values[request][0]
        if value != value or value == float("-inf"):
            raise MeasureError(
                f"the model gave {'NaN logits' if value != value else 'a probability of 0'} for {name}; "
                "check its weights, or measure in float32"
            )
    found = [job.values[r] for r in fitted]
    return Likelihoods(tuple(v for v, _ in found), tuple(g for _, g in found), truncated)


def _fit(module: Any, requests: Sequence[Request], names: Sequence[str]) -> list[Request]:
    """The requests cut to the model's positions from the left; those that fit are the same objects."""
    positions = max_positions(module)
    vocabulary = _vocabulary(module, default=0)
    out = []
    for name, request in zip(names, requests, strict=True):
        room = None if positions is None else positions + 1 - len(request.continuation)
        if room is not None and room < 1:
            raise MeasureError(
                f"{name} has a continuation of {len(request.continuation)} tokens, the model has {positions} "
                "positions; leave it out, or measure a model with more"
            )
        if vocabulary and (worst := max(*request.context, *request.continuation)) >= vocabulary:
            raise DataError(
                f"{name} has token {worst}, the model's vocabulary has {vocabulary}; use this model's own tokenizer"
            )
        fits = room is None or len(request.context) <= room
        out.append(request if fits else Request(request.context[-room:], request.continuation))  # type: ignore[operator]
    return out


def _vocabulary(module: Any, default: int = 65536) -> int:
    config = getattr(module, "config", None)
    for part in (config, getattr(config, "text_config", None)):
        size = getattr(part, "vocab_size", None)
        if isinstance(size, int) and size > 0:
            return size
    return default


def _passes(job: _Job, requests: Sequence[Request], cached: bool, share: bool) -> Iterator[None]:
    """Run everything, longest first so that memory runs out at the start or not at all; a step per forward."""
    groups: dict[tuple[int, ...], list[Request]] = {}
    for r in requests:
        groups.setdefault(r.context, []).append(r)
    shared, whole = [], []
    for group in groups.values():
        heavy = len(group[0].continuation) * job.vocabulary > _PIECE_VALUES
        (shared if cached and (len(group) > 1 or heavy) else whole).append(group)
    shared.sort(key=lambda g: -len(g[0].context))
    for start in range(0, len(shared), job.batch):
        yield from _shared(job, shared[start : start + job.batch])
    yield from _whole(job, [r for g in whole for r in g], share)


def _shared(job: _Job, groups: Sequence[Sequence[Request]]) -> Iterator[None]:
    """The contexts of some groups once, then all their continuations but the last token."""
    filled, last = prefill(job.module, [g[0].context for g in groups])
    first = last.float().log_softmax(-1)
    best = first.argmax(-1).tolist()
    rows = [i for i, g in enumerate(groups) for _ in g]
    requests = [r for g in groups for r in g]
    heads = [r.continuation[0] for r in requests]
    values = first[rows, heads].double().tolist()
    longer = []
    for row, r, value in zip(rows, requests, values, strict=True):
        job.values[r] = (value, best[row] == r.continuation[0])
        if len(r.continuation) > 1:
            longer.append((row, r))
    yield
    longer.sort(key=lambda pair: -len(pair[1].continuation))
    while longer:
        length = len(longer[0][1].continuation) - 1
        size = max(1, min(4 * job.batch, _PIECE_VALUES // (length * job.vocabulary)))
        _follow(job, filled, longer[:size])
        longer = longer[size:]
        yield


def _follow(job: _Job, filled: Any, pairs: Sequence[tuple[int, Request]]) -> None:
    """Add what the tokens after the first are worth, in pieces that keep the logits small."""
    width = max(len(r.continuation) for _, r in pairs) - 1
    tokens, targets, scored = (torch.zeros(len(pairs), width, dtype=torch.long) for _ in range(3))
    for i, (_, r) in enumerate(pairs):
        n = len(r.continuation) - 1
        tokens[i, :n], targets[i, :n] = torch.tensor(r.continuation[:-1]), torch.tensor(r.continuation[1:])
        scored[i, :n] = 1
    piece = max(1, _PIECE_VALUES // (len(pairs) * job.vocabulary))
    rows: list[int] | None = [row for row, _ in pairs]
    for start in range(0, width, piece):
        part = slice(start, start + piece)
        filled, logits = extend(job.module, filled, tokens[:, part], rows=rows)
        rows = None
        _add(job, [r for _, r in pairs], logits, targets[:, part], scored[:, part])


def _add(job: _Job, requests: Sequence[Request], logits: Tensor, targets: Tensor, scored: Tensor) -> None:
    values, greedy = picked(logits, targets)
    sums = (values * scored).sum(1).tolist()
    agree = (greedy | (scored == 0)).all(1).tolist()
    for r, value, best in zip(requests, sums, agree, strict=True):
        before, was = job.values.get(r, (0.0, True))
        job.values[r] = (before + value, was and best)


def picked(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """[rows tokens] float64 log-probabilities of `targets` under `logits` [rows tokens vocabulary]; which were best."""
    flat, wanted = logits.flatten(0, 1), targets.flatten().to(logits.device)
    values, greedy = [], []
    step = max(1, _CHUNK_VALUES // flat.shape[-1])
    for start in range(0, len(flat), step):
        chunk, want = flat[start : start + step].float(), wanted[start : start + step]
        values.append((chunk.gather(1, want[:, None]).squeeze(1) - chunk.logsumexp(1)).double())
        greedy.append(chunk.argmax(1) == want)
    return torch.cat(values).view(targets.shape).cpu(), torch.cat(greedy).view(targets.shape).cpu()


def _whole(job: _Job, requests: Iterable[Request], share: bool) -> Iterator[None]:
    """Requests run as they are, padded on the right (which no causal model can see).

    With `share`, those that differ only in their last token are one row.
    """
    rows: dict[tuple[int, ...] | Request, list[Request]] = {}
    for r in requests:
        rows.setdefault(r.context + r.continuation[:-1] if share else r, []).append(r)
    ordered = sorted(rows.values(), key=lambda g: -_length(g[0]))
    while ordered:
        kept = _length(ordered[0]) if not job.keeps else max(len(r.continuation) for g in ordered for r in g)
        size = max(1, min(job.batch, _PIECE_VALUES // (kept * job.vocabulary)))
        _forward(job, ordered[:size])
        ordered = ordered[size:]
        yield


def _length(request: Request | Sequence[Request]) -> int:
    r = request if isinstance(request, Request) else request[0]
    return len(r.context) + len(r.continuation) - 1


def _forward(job: _Job, groups: Sequence[Sequence[Request]]) -> None:
    width = max(map(_length, groups))
    first = min(_length(g) - max(len(r.continuation) for r in g) for g in groups)
    tokens = torch.zeros(len(groups), width, dtype=torch.long)
    for i, group in enumerate(groups):
        r = group[0]
        tokens[i, : _length(r)] = torch.tensor(r.context + r.continuation[:-1])
    settings: dict[str, Any] = {"use_cache": False} if hasattr(getattr(job.module, "config", None), "use_cache") else {}
    if job.keeps:
        settings["logits_to_keep"] = width - first
    logits = logits_of(job.module(tokens.to(device_of(job.module)), **settings))
    offset = width - logits.shape[1]
    flat = [(i, r) for i, group in enumerate(groups) for r in group]
    for i, r in flat:
        end = _length(r) - offset
        rows = logits[i, end - len(r.continuation) : end]
        values, greedy = picked(rows[None], torch.tensor([r.continuation]))
        job.values[r] = (float(values.sum()), bool(greedy.all()))
