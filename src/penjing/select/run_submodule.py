"""A stock model run part by part, each with weights of its own, to see which units are constant."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Checkpoint, Layout
from penjing.errors import CheckpointError
from penjing.select.constants import alike, constants
from penjing.select.dead import Constants

ALONE = "the part of the model around it cannot be run alone, so nothing is known of its constants"
UNRUN = "only running the module tells whether they are constant, which penjing.compact(module, example=...) does"


def by_parts(model: Checkpoint, layout: Layout, silent: Mapping[str, Tensor]) -> Constants:
    """What readers get from units of a stock model; one part of it, such as one MLP, is in memory at a time.

    A part is the smallest module that holds all weights of an axis. One that takes more than one input, or whose
    tensors are stored in another form, is not run, and `unseen` says so.
    """
    from penjing.layouts import build
    from penjing.layouts.config.stored import one_to_one

    if not model.config:
        return Constants(unseen=dict.fromkeys(silent, UNRUN))
    out = Constants(unseen=dict.fromkeys(silent, ALONE))
    try:
        whole = build(model.config)
        names = {n: n for n in model.shapes} if _same(whole, model) else one_to_one(whole, model.shapes)
    except CheckpointError:
        return out
    whole.requires_grad_(requires_grad=False)
    for axis, units in silent.items():
        if not all(n in names for n in layout.tensors(axis)):
            continue
        told = _one(model, _renamed(layout, axis, names), whole, axis, units, names)
        if told is not None:
            unseen = {a: why for a, why in out.unseen.items() if a != axis} | dict(told.unseen)
            stored = {own: name for name, own in names.items()}
            values = {**out.values, **{stored[t]: v for t, v in told.values.items()}}
            hard = {**out.unfoldable, **{stored[t]: why for t, why in told.unfoldable.items()}}
            out = replace(out, values=values, unfoldable=hard, unseen=unseen)
    return out


def _same(whole: nn.Module, model: Checkpoint) -> bool:
    own = whole.state_dict()
    return all(name in own for name in model.shapes)


def _renamed(layout: Layout, axis: str, names: Mapping[str, str]) -> Layout:
    """The tensors of one axis under the module's own names."""
    held = layout.tensors(axis)
    reads = {names[t]: layout.reads[t] for t in held if t in layout.reads}
    return replace(layout, patterns={names[t]: layout.patterns[t] for t in held}, reads=reads)


def _one(
    model: Checkpoint, layout: Layout, whole: nn.Module, axis: str, units: Tensor, names: Mapping[str, str]
) -> Constants | None:
    path = _part(layout.tensors(axis))
    example = _example(layout, axis)
    if not path or example is None:
        return None
    with _filled(model, whole, path, {own: stored for stored, own in names.items()}) as there:
        if not there:
            return None
        try:
            return constants(
                whole, layout, {axis: units}, lambda m, given: m.get_submodule(path)(given), alike(example)
            )
        except (TypeError, RuntimeError, ValueError, AttributeError, KeyError, IndexError):
            # A part that wants other inputs than one tensor raises whatever its code happens to raise.
            return None


def _part(names: list[str]) -> str:
    """The path of the smallest module that holds all tensors."""
    paths = [n.split(".")[:-1] for n in names]
    shared = takewhile(lambda words: len(set(words)) == 1, zip(*paths, strict=False))
    return ".".join(words[0] for words in shared)


def _example(layout: Layout, axis: str) -> Tensor | None:
    """An input of the width that the axis's writers read: positions for matrices, an image for kernels."""
    widths = {
        (len(pattern), _width(pattern[d]))
        for name in layout.tensors(axis)
        for pattern in [layout.patterns[name]]
        for d in layout.reads.get(name, ())
        if (name, d) not in layout.readers(axis) and len(pattern) in (2, 4)
    }
    if len(widths) != 1:
        return None
    rank, width = next(iter(widths))
    generator = torch.Generator().manual_seed(0)
    return torch.randn((2, 5, width) if rank == 2 else (2, width, 8, 8), generator=generator)


def _width(dim: Any) -> int:
    from penjing.core.pattern import size

    return size(dim, {})


@contextmanager
def _filled(model: Checkpoint, whole: nn.Module, path: str, stored: Mapping[str, str]) -> Iterator[bool]:
    """Give the part at a path its weights while it is looked at; False if the checkpoint does not hold all of them."""
    part = whole.get_submodule(path)
    hidden = any(m._non_persistent_buffers_set for m in part.modules())
    state = part.state_dict()
    names = {own: stored.get(f"{path}.{own}", "") for own in state}
    if hidden or any(model.shapes.get(n) != tuple(state[own].shape) for own, n in names.items()):
        yield False
        return
    part.to_empty(device="cpu")
    part.load_state_dict({own: model[name] for own, name in names.items()})
    try:
        yield True
    finally:
        part.to("meta")
