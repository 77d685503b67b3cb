"""How alike the inner states of two models are, block by block, on the same tokens or images.

Linear centred kernel alignment. Each model runs once; its states are kept as they are, of so many samples as fit into
the memory allowed. The models may have other widths and other numbers of blocks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from math import isnan
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Measurement
from penjing.errors import MeasureError
from penjing.evaluate.scoring import Progress, evaluating
from penjing.maths.cka import alignments

VERSION = 1
MEMORY = 512 << 20
"""Bytes that the states may take; with many or wide blocks only every second sample is looked at, or every third."""

State = tuple[int, str]
"""Whose (0 the base, 1 the other) and of which module."""

States = dict[State, Tensor]


def similarity(
    base: nn.Module,
    other: nn.Module,
    batches: Sequence[Any],
    *,
    points: str | None = None,
    unbiased: bool = True,
    memory: int = MEMORY,
    progress: Progress | None = None,
) -> Measurement:
    """Linear CKA of the last blocks, 0 (unrelated) to 1 (same up to rotation and scale); all pairs in the details.

    `batches` are tokens [batch tokens], images [batch channels height width], or dicts of a model's inputs. `points`
    is a glob of names of modules whose outputs are compared (None: see `blocks`). Every position of every sample is
    one sample here, and padded positions are too, so give whole windows. `progress` gets (done, all) batches. Where the
    states took more than `memory` bytes, only one in `details["step"]` samples is looked at.

    `details`: "matrix" [base's blocks][other's blocks], "base" and "other" (their names), "nearest" (for each block
    of the other the place of the most similar one of the base), "step".

    Raises:
        MeasureError: no blocks are found, or their states are not numbers, differ in number, or are too few.
    """
    models = (base, other)
    names = tuple(_points(m, points, who) for m, who in zip(models, ("first", "second"), strict=True))
    keys = [[(who, n) for n in each] for who, each in enumerate(names)]
    if not batches:
        raise MeasureError("found no batches to compare the models on; give at least one")
    look = _looker(models, [k for each in keys for k in each])
    held: dict[State, list[Tensor]] = {k: [] for each in keys for k in each}
    step, seen = 1, 0
    for done, batch in enumerate(batches):
        here = look(batch)
        if not done:
            step = _step(here, len(batches), memory)
        for key, states in here.items():
            held[key].append(states[-seen % step :: step].clone())
        seen += len(next(iter(here.values())))
        if progress:
            progress(done + 1, len(batches))
    whole = {key: torch.cat(parts) for key, parts in held.items()}
    held.clear()
    count = len(next(iter(whole.values())))
    _check_count(count, unbiased)
    found = alignments(*([whole[k] for k in each] for each in keys), unbiased=unbiased)
    matrix = [[None if isnan(v) else v for v in row] for row in found]
    return _figure(matrix, names, count, step, unbiased)


def _step(states: States, batches: int, memory: int) -> int:
    """Which share of the samples is kept so that all of them take no more than `memory` bytes: one in so many."""
    return max(1, -(-batches * sum(s.nbytes for s in states.values()) // memory))


def blocks(module: nn.Module) -> list[str]:
    """The names of a model's blocks: the children of its longest list of modules that lies in no other such list.

    Where there is no `ModuleList`, the children of the longest `Sequential` are taken.

    Raises:
        MeasureError: there is neither.
    """
    for kind in (nn.ModuleList, nn.Sequential):
        lists = {n: m for n, m in module.named_modules() if isinstance(m, kind) and len(m) > 1}
        outer = [n for n in lists if not any(n != o and (not o or n.startswith(o + ".")) for o in lists)]
        if outer:
            best = max(outer, key=lambda n: len(lists[n]))
            return [f"{best}.{i}" if best else str(i) for i, _ in lists[best].named_children()]
    raise MeasureError(
        f"found no list of blocks in {type(module).__name__}; name the modules to compare by a pattern, points='...'"
    )


def _points(module: nn.Module, pattern: str | None, who: str) -> list[str]:
    if pattern is None:
        return blocks(module)
    found = [n for n, _ in module.named_modules() if n and fnmatch(n, pattern)]
    if not found:
        raise MeasureError(f"no module of the {who} model matches '{pattern}'; give a pattern of its modules' names")
    return found


def _looker(models: Sequence[nn.Module], keys: Sequence[State]) -> Callable[[Any], States]:
    """A function from a batch to the states [samples width] of every key."""

    def look(batch: Any) -> States:
        out: States = {}
        for who, model in enumerate(models):
            with _caught(model, [n for w, n in keys if w == who]) as caught, evaluating(model):
                _call(model, batch)
            out |= {(who, name): _rows(name, value) for name, value in caught.items()}
        sizes = {len(s) for s in out.values()}
        missing = [n for k in keys if k not in out for n in k[1:]]
        if missing:
            raise MeasureError(f"module '{missing[0]}' was not used by the model, so it has no states; name another")
        if len(sizes) > 1:
            raise MeasureError(
                f"the blocks give {', '.join(map(str, sorted(sizes)))} states for the same batch; comparing them needs "
                "as many from each, so name modules that see as many positions"
            )
        return out

    return look


@contextmanager
def _caught(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A dictionary that holds the modules' outputs after a call of the model."""
    found: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _given: Any, out: Any) -> None:
            found[name] = out

        return hook

    handles = [model.get_submodule(n).register_forward_hook(keep(n)) for n in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _call(model: nn.Module, batch: Any) -> None:
    parameter = next(model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    cached = {"use_cache": False} if hasattr(getattr(model, "config", None), "use_cache") else {}
    if isinstance(batch, Mapping):
        model(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()}, **cached)
    else:
        model(batch.to(device), **cached)


def _rows(name: str, out: Any) -> Tensor:
    """[samples width]: every position of a block's output; channels of pictures are their width."""
    while isinstance(out, tuple | list) and out:
        out = out[0]
    out = getattr(out, "last_hidden_state", out)
    if not isinstance(out, Tensor) or out.ndim < 2:
        raise MeasureError(f"module '{name}' gives {type(out).__name__}; needed a tensor of states [... width]")
    if out.ndim == 4:
        out = out.movedim(1, -1)
    out = out.reshape(-1, out.shape[-1]).cpu()
    if not out.isfinite().all():
        raise MeasureError(f"module '{name}' gives states that are not finite; check its weights, or use float32")
    return out


def _check_count(count: int, unbiased: bool) -> None:
    if count < (4 if unbiased else 2):
        raise MeasureError(f"found {count} states in all; similarity needs at least 4, so give more tokens or images")


def _figure(
    matrix: list[list[float | None]], names: Sequence[Sequence[str]], count: int, step: int, unbiased: bool
) -> Measurement:
    nearest = []
    for column in zip(*matrix, strict=True):
        known = [(v, -i) for i, v in enumerate(column) if v is not None]
        nearest.append(-max(known)[1] if known else None)
    value = matrix[-1][-1]
    estimate = "unbiased" if unbiased else "plain"
    return Measurement(
        name="similarity",
        value=value,
        unit="linear CKA of the last blocks",
        better="higher",
        group="quality",
        n=count,
        protocol=f"similarity/{VERSION} linear cka {estimate} states={count}",
        note="" if value is not None else "the states of a last block do not vary",
        details={
            "matrix": matrix,
            "base": list(names[0]),
            "other": list(names[1]),
            "nearest": nearest,
            "step": step,
        },
    )
