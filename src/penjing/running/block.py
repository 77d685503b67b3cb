"""One block of a model that is cut block by block: the dense one, its cut copy, and the hidden states to each."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate.finite import require_finite
from penjing.calibrate.layers import Place, first_of, inputs_last, is_transposed, outputs_last, places, reader
from penjing.calibrate.means import Means
from penjing.calibrate.statistics import find
from penjing.core import Edit, Layout, Plan, Stats
from penjing.core.copies import copy_of
from penjing.errors import DataError, PlanError, UnsupportedError
from penjing.surgery import work_out
from penjing.surgery.memory import old_shape

ROUNDING = 1e-3
"""How far, as a share of what its layers add, a block may be from the sum of these and of what went in."""

Call = Callable[[nn.Module, Tensor], Tensor]
Seen = dict[str, tuple[Tensor, Tensor]]
"""Tensor -> what its layer took in, [rows in], and gave, [rows out], in the order of the layers."""


class CutBlock:
    """One block, its copy that is cut, and the streams that come to both, [dense, cut], a tensor for each batch."""

    def __init__(
        self,
        module: nn.Module,
        inside: Mapping[str, str],
        layout: Layout,
        calls: Sequence[Call],
        streams: tuple[list[Tensor], list[Tensor]],
    ) -> None:
        self.edits: list[Edit] = []
        self._pair = (module, copy_of(module))
        self._inside, self._layout, self._calls, self._streams = inside, layout, calls, streams
        self._adding: list[str] = []
        self._known = dict(module.named_parameters(remove_duplicate=False))
        self._holding = places(module)

    def in_order(self, stages: Sequence[set[str]]) -> list[list[str]]:
        """The sets of axes as their readers come in the block; notes which layers add to the stream, and if any.

        Raises:
            DataError: the data never reached a reader.
        """
        if not stages:
            return []
        readers = {frozenset(group): self.readers(group) for group in stages}
        writers = self._writers()
        watched = [t for group in readers.values() for t in group]
        seen, output = self._run(0, 0, [*watched, *writers])
        order = list(seen)
        _require_reached(next((t for t in watched if t not in seen), None))
        adding = [t for t in order if t in writers]
        self._adding = adding if _is_sum(self._streams[0][0], [seen[t][1] for t in adding], output) else []
        place = {group: min((order.index(t) for t in found), default=0) for group, found in readers.items()}
        return [[a for a in self._layout.axes if a in group] for group in sorted(place, key=lambda g: place[g])]

    def readers(self, axes: Sequence[str] | set[str]) -> list[str]:
        """The tensors that read axes."""
        return list(dict.fromkeys(t for a in axes for t, _ in self._layout.readers(a)))

    def measured(self, tensors: Sequence[str], statistics: frozenset[str]) -> Stats:
        """The statistics of tensors, on the stream of the cut model.

        Raises:
            DataError: the data never reached one.
            UnsupportedError: one cannot be measured.
        """
        means, targets = Means(), frozenset(s for s in statistics if find(s).reads == "targets")
        watched = list(dict.fromkeys([*tensors, *self._adding]))
        for batch in range(len(self._calls)):
            was = self._run(0, batch, watched)[0] if targets else {}
            now = self._run(1, batch, watched)[0]
            shared: dict[tuple[int, torch.Size, str], Tensor] = {}
            for tensor in (t for t in tensors if t in now):
                x = now[tensor][0]
                require_finite(x, f"the inputs of {tensor}")
                for name in sorted(statistics - targets):
                    key = (x.data_ptr(), x.shape, name)  # queries, keys and values read the same tensor
                    shared[key] = shared[key] if key in shared else find(name).measure(x)
                    means.move((tensor, name), shared[key], len(x), find(name).merge)
                if tensor in was and len(was[tensor][1]) == len(x):
                    wanted = self._target(tensor, batch, was, now)
                    for name in sorted(targets):
                        means.move((tensor, name), find(name).measure(wanted, x), len(x), find(name).merge)
        reached = {t for t, _ in means.values}
        _require_reached(next((t for t in tensors if t not in reached), None))
        values = {key: find(key[1]).finish(value) for key, value in means.values.items()}
        return Stats(values, samples=min(means.counts.values(), default=0), counts=dict(means.counts))

    def edit(self, edits: Sequence[Edit]) -> None:
        """Carry edits out on the copy, after those before, in the old shapes.

        Raises:
            PlanError: an edit does not fit, or goes through more than this block.
        """
        self.edits += edits
        state = self._pair[0].state_dict()
        new: dict[str, Any] = self._pair[1].state_dict(keep_vars=True)
        stored = {t: state[own] for t, own in self._inside.items() if own in state}
        shapes = {t: tuple(tensor.shape) for t, tensor in stored.items()}
        for recipe in work_out(self._layout, shapes, Plan(tuple(self.edits))).recipes.values():
            if recipe.maps or recipe.fill:
                raise PlanError(
                    f"{recipe.source} goes through a rotation, which runs through all blocks; rotate before walking"
                )
            if recipe.brought:
                raise PlanError(
                    f"{recipe.brought} is of a module that stands in for another, which is not seen block by block; "
                    "plan at once"
                )
            if not recipe.untouched:
                new[self._inside[recipe.source]].copy_(old_shape(recipe, stored))

    def push(self) -> None:
        """Send both streams through to the next block."""
        dense, cut = self._streams
        for batch, call in enumerate(self._calls):
            same = cut[batch] is dense[batch] and not self.edits
            dense[batch], before = call(self._pair[0], dense[batch]), cut[batch]
            cut[batch] = dense[batch] if same else call(self._pair[1], before)

    def _target(self, tensor: str, batch: int, was: Seen, now: Seen) -> Tensor:
        """[rows out]: what the layer should give, without its bias."""
        wanted = was[tensor][1]
        if tensor in self._adding:
            before = self._adding[: self._adding.index(tensor)]
            dense, cut = (_rows(stream[batch]) for stream in self._streams)
            wanted = wanted + sum((was[t][1] - now[t][1] for t in before), start=dense - cut)
        bias = self._place(tensor).layer._parameters.get("bias")
        return wanted if bias is None else wanted - bias.detach().float()

    def _run(self, which: int, batch: int, watched: Sequence[str]) -> tuple[Seen, Tensor]:
        """What the layers of tensors took in and gave, and the block's output; `which` is 0 dense, 1 cut."""
        seen: Seen = {}
        module = self._pair[which]
        with ExitStack() as stack:
            for tensor in dict.fromkeys(watched):
                place = self._place(tensor)
                layer = module.get_submodule(place.path)
                hook = layer.register_forward_hook(_note(tensor, place, seen), with_kwargs=True)
                stack.callback(hook.remove)
            output = self._calls[batch](module, self._streams[which][batch])
        return seen, output

    def _place(self, tensor: str) -> Place:
        own = self._inside.get(tensor, "")
        if own not in self._known:
            raise UnsupportedError(f"the running model has no tensor '{tensor}' of its own, so it cannot be measured")
        return reader(tensor, self._holding.get(id(self._known[own]), []), what="second moment", grouped=False)

    def _writers(self) -> list[str]:
        """The weights whose layers' outputs go plainly into the residual stream."""
        plain = [w.tensor for w in self._layout.writers if w.through == "plain" and w.tensor in self._inside]
        found = [(t, self._holding.get(id(self._known.get(self._inside[t])), [])) for t in plain]
        return [
            t
            for t, held in found
            if len(held) == 1
            and held[0].local == "weight"
            and (isinstance(held[0].layer, nn.Linear) or is_transposed(held[0].layer))
        ]


def _require_reached(missing: str | None) -> None:
    if missing is not None:
        raise DataError(f"the data never reached {missing}; give data that uses this layer, or protect its axes")


def _note(tensor: str, place: Place, seen: Seen) -> Callable[[nn.Module, Any, Any, Any], None]:
    def hook(layer: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if tensor in seen:
            raise UnsupportedError(
                f"{tensor} is used more than once when its block runs; protect its axes, or plan at once"
            )
        given, gave = inputs_last(place, first_of(args, kwargs)), outputs_last(place, output)
        seen[tensor] = (_rows(given), _rows(gave))

    return hook


def _rows(x: Tensor) -> Tensor:
    return x.detach().reshape(-1, x.shape[-1]).float()


def _is_sum(given: Tensor, added: Sequence[Tensor], output: Tensor) -> bool:
    """Whether a block gives what went in plus what its layers gave, but for rounding."""
    start, end = _rows(given), _rows(output)
    if not added or any(a.shape != start.shape for a in added) or end.shape != start.shape:
        return False
    wrong = (end - sum(added, start=start)).norm(dim=1)
    rounding = 4 * torch.finfo(output.dtype).eps * (start.norm(dim=1) + end.norm(dim=1))
    return bool((wrong <= ROUNDING * sum(a.norm(dim=1) for a in added) + rounding).all())
