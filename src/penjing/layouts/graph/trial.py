"""One run of a module with some of its axes at other sizes, compared with what the atoms foretell."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.fx import Node
from torch.utils._pytree import tree_leaves

from penjing.layouts.graph import atoms, settings
from penjing.layouts.graph.atoms import Atom, Dim
from penjing.layouts.graph.infer import Inference
from penjing.layouts.graph.record import record
from penjing.layouts.graph.recording import Change, Recording
from penjing.layouts.graph.settings import Setting, Sizes, length
from penjing.layouts.graph.trace import line_of, quiet, run


class _UnlikeError(Exception):
    """An operator gives another shape than foretold."""


@dataclass
class Trial:
    """How far a run came: the number of the first operator that differs, the line, and the numbers that moved."""

    at: int
    line: str = ""
    moved: list[tuple[int, str, float, float]] = field(default_factory=list)


class Stage:
    """What is run again and again: the module, the operators of its first run, and the sizes that axes get."""

    def __init__(self, inference: Inference) -> None:
        """Every leaf that is not frozen gets a size unlike all others."""
        self.inference, self.walk = inference, inference.walk
        self.module = inference.traced.module
        self.calls = inference.traced.recording.calls
        self.operators = 0
        leaves = [a for dims in inference.tensors.values() for d in dims for a in atoms.leaves(d)]
        self.free = list(dict.fromkeys(a for a in leaves if not a.frozen))
        above = max([64, *(a.size for a in leaves)])
        self.sizes = dict(zip(self.free, _primes(above, len(self.free)), strict=True))
        self.torch = settings.of_torch(self.module, self.walk, inference.tensors, inference.nodes)

    def run(self, cut: Iterable[Atom], chosen: Sequence[Setting]) -> Trial:
        """Run with the leaves in `cut` at their new sizes."""
        sizes = {a: self.sizes[a] for a in cut}
        done: list[Node] = []
        trial = Trial(0)
        shapes = {
            name: tuple(length(d, sizes) for d in dims)
            for name, dims in self.inference.tensors.items()
            if any(a in sizes for d in dims for a in atoms.leaves(d))
        }

        def prepare() -> None:
            for setting in (*self.torch, *chosen):
                setting.put(self.module, sizes)

        def tell(node: Node) -> None:
            self.operators += 1
            self._compare(node, len(done), sizes, trial)
            done.append(node)

        traced, change = self.inference.traced, Change(shapes, prepare, tell)
        training = self.module.training
        self.module.eval()
        try:
            with quiet():
                again = record(
                    self.module, partial(run, self.module), traced.args, traced.kwargs, change,
                    exporting=traced.exporting,
                )  # fmt: skip
            self._compare_constants(again, trial)
        except Exception as error:  # the module's own code may fail in any way at a size that it does not expect
            trial.line = line_of(traceback.extract_tb(error.__traceback__))
        finally:
            self.module.train(training)
        trial.at = len(done)
        return trial

    def _compare(self, node: Node, place: int, sizes: Sizes, trial: Trial) -> None:
        if place >= len(self.calls) or self.calls[place].target is not node.target:
            raise _UnlikeError
        known = self.calls[place]
        if not self._as_foretold(self.walk.dims.get(known), node.meta["val"], sizes):
            raise _UnlikeError
        for old, new in zip(_numbers(known), _numbers(node), strict=False):
            if old != new:
                line = line_of(traceback.extract_stack())
                trial.moved.append((place, line, float(old), float(new)))

    def _compare_constants(self, again: Recording, trial: Trial) -> None:
        """A tensor made of a number in the forward pass is a number too."""
        pairs = zip(_constants(self.inference.traced.recording), _constants(again), strict=False)
        for (node, old), (_, new) in pairs:
            if old.shape == new.shape and old.device.type != "meta" and not torch.equal(old, new):
                place = next((k for k, n in enumerate(self.calls) if node in n.all_input_nodes), 0)
                single = old.numel() == 1
                trial.moved.append((place, "", float(old) if single else 0.0, float(new) if single else 0.0))

    def _as_foretold(self, dims: Any, value: Any, sizes: Sizes) -> bool:
        if isinstance(dims, tuple):
            return all(self._as_foretold(d, v, sizes) for d, v in zip(dims, value, strict=False))
        if dims is None or not isinstance(value, torch.Tensor):
            return True
        return len(dims) == value.dim() and all(
            _generic(d) or length(d, sizes) == s for d, s in zip(dims, value.shape, strict=True)
        )

    def around(self, node: Node) -> list[Dim]:
        """The dimensions that an operator takes and gives."""
        sources = [
            d for s in node.all_input_nodes for d in (*self.walk.uses.get(node, {}).get(s, ()), *self.walk.all_dims(s))
        ]
        return [*self.walk.all_dims(node), *sources]


def _numbers(node: Node) -> list[int | float]:
    """The numbers that an operator is given and that are neither lengths nor places."""
    given = settings.arguments_of(node)
    return [v for v in tree_leaves(given) if isinstance(v, int | float) and not isinstance(v, bool)]


def _constants(recording: Recording) -> list[tuple[Node, torch.Tensor]]:
    return [(n, s.value) for n, s in recording.sources.items() if s.kind == "constant"]


def _generic(dim: Dim) -> bool:
    return any(a.generic for a in atoms.leaves(dim))


def _primes(above: int, count: int) -> list[int]:
    """Primes above a number: unlike each other, and of no common factor with anything in the code."""
    out: list[int] = []
    number = above | 1
    while len(out) < count:
        number += 2
        if all(number % d for d in range(3, int(number**0.5) + 1, 2)):
            out.append(number)
    return out
