"""Derivatives of objectives by parameters and by what goes into layers, for the statistics that are made of them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate import layers
from penjing.calibrate.batches import Batch, examples, one, run
from penjing.calibrate.finite import require_finite
from penjing.calibrate.layers import Place
from penjing.calibrate.means import Means
from penjing.calibrate.objectives import Objective, per_example
from penjing.calibrate.recurrent import Apart
from penjing.calibrate.statistics import find
from penjing.calibrate.statistics import objective_of as objective_name
from penjing.errors import DataError

ObjectiveOf = Objective | Mapping[str, Objective]
"""(output, batch) -> the mean over examples [] or each example's [examples]: one for all objectives, or by name."""

Asked = dict[str, list[str]]
"""Tensor -> the statistics of it."""


class Derivatives:
    """What is differentiated by what, and one batch's way through it.

    Gradients are taken by parameters, saliencies by the inputs of layers, each layer's own: what other layers make of
    the same input does not count. Of recurrent weights, whose inputs are inside the layer, saliencies are taken from
    each example's derivative by the weight, for the sum of w * d objective / d w over an input's weights is the sum
    over positions of x * d objective / d x. An objective that joins examples is differentiated by a copy of the weight
    for each of them.
    """

    def __init__(
        self,
        module: nn.Module,
        wanted: Mapping[str, frozenset[str]],
        names: Mapping[str, str],
        objective_of: ObjectiveOf | None,
    ) -> None:
        self._module = module
        self._gradient: dict[str, Asked] = defaultdict(dict)
        self._each: dict[str, Asked] = defaultdict(dict)
        self._salient: dict[str, Asked] = defaultdict(dict)
        self._recurrent: dict[str, Asked] = defaultdict(dict)
        self._parameters: dict[str, nn.Parameter] = {}
        self._places: dict[str, Place] = {}
        self._objectives: dict[str, Objective] = {}
        self._coupled: set[str] = set()
        self._sort(wanted, names)
        for name in {*self._gradient, *self._each, *self._salient, *self._recurrent}:
            self._objectives[name] = _objective(name, objective_of)
            if getattr(self._objectives[name], "joins", False):
                self._coupled.add(name)
        self._tapped: list[tuple[Mapping[str, Place], Tensor]] = []
        self._apart: dict[nn.Module, Apart] = {}

    def _sort(self, wanted: Mapping[str, frozenset[str]], names: Mapping[str, str]) -> None:
        known = dict(self._module.named_parameters(remove_duplicate=False))
        holding = layers.places(self._module)
        for tensor, statistics in wanted.items():
            for statistic in sorted(s for s in statistics if find(s).cost == "backward"):
                objective, reads = objective_name(statistic), find(statistic).reads
                parameter = layers.parameter(self._module, names.get(tensor, tensor), known)
                kept = {"gradient": self._gradient, "gradients of examples": self._each}.get(reads, self._recurrent)
                if reads == "saliencies of examples":
                    self._places[tensor] = layers.reader(tensor, holding.get(id(parameter), []), what=statistic)
                    kept = kept if self._places[tensor].recurrent else self._salient
                kept[objective].setdefault(tensor, []).append(statistic)
                if kept is self._salient:
                    continue
                if not parameter.is_floating_point():
                    raise DataError(f"{tensor} is {parameter.dtype}, needed a floating point one to differentiate by")
                self._parameters[tensor] = parameter

    @property
    def whole(self) -> bool:
        """Whether the forward of a whole batch has to keep what a backward needs."""
        joined = any(n in self._coupled for n in (*self._each, *self._recurrent))
        return bool(self._gradient or self._salient or joined)

    @contextmanager
    def requiring(self) -> Iterator[None]:
        """While the block runs, exactly the parameters that are asked for require gradients."""
        before = [(p, p.requires_grad) for p in self._module.parameters()]
        if not self._objectives:
            yield
            return
        try:
            for p, _ in before:
                p.requires_grad_(any(p is own for own in self._parameters.values()))
            yield
        finally:
            for p, needed in before:
                p.requires_grad_(needed)

    @contextmanager
    def taps(self, count: int) -> Iterator[None]:
        """While the block runs, on `count` examples, one can differentiate by what goes into layers."""
        self._tapped, self._apart = [], {}
        by_layer: dict[nn.Module, dict[str, Place]] = defaultdict(dict)
        for tensor in (t for asked in self._salient.values() for t in asked):
            by_layer[self._places[tensor].layer][tensor] = self._places[tensor]
        with ExitStack() as stack:
            for layer, asked in by_layer.items():
                hook = layer.register_forward_pre_hook(self._tap(asked), with_kwargs=True)
                stack.callback(hook.remove)
            for tensor in (t for name in self._coupled for t in self._recurrent.get(name, ())):
                place = self._places[tensor]
                if place.layer not in self._apart:
                    self._apart[place.layer] = Apart(place.layer, place.path)
                    stack.enter_context(self._apart[place.layer].running(count))
            yield

    def _tap(self, asked: Mapping[str, Place]) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(layer: nn.Module, args: Any, kwargs: Any) -> Any:
            x = layers.first_of(args, kwargs)
            if not x.requires_grad:
                x = x.detach().requires_grad_()
            # A clone of the layer's own: neither other readers of x nor changes of x in place reach it.
            own = x.clone()
            self._tapped.append((asked, own))
            if args:
                return (own, *args[1:]), kwargs
            return args, {next(iter(kwargs)): own, **dict(list(kwargs.items())[1:])}

        return hook

    def backward(self, output: Any, batch: Batch, means: Means) -> None:
        """Take the derivatives of a whole batch, from the output of its forward."""
        if not self.whole:
            return
        names = [n for n in self._objectives if n in self._gradient or n in self._salient or n in self._coupled]
        for place, name in enumerate(names):
            values = self._values(name, output, batch)
            each = list(self._each[name]) if name in self._coupled else []
            for i in range(len(values) if each else 0):
                self._move_each(name, self._by_parameters(each, values[i], retain=True), means)
            if name in self._coupled:
                self._copies(name, values, means)
            self._batch(name, values, means, last=place + 1 == len(names))
        self._tapped, self._apart = [], {}

    def _copies(self, name: str, values: Tensor, means: Means) -> None:
        """Saliencies of recurrent weights, from the copies that the examples used."""
        for tensor, statistics in self._recurrent.get(name, {}).items():
            place, count = self._places[tensor], len(values)
            copies = [own[place.local] for own in self._apart[place.layer].copies]
            found = torch.autograd.grad(values.sum(), copies, retain_graph=True, allow_unused=True)
            each = [
                torch.zeros(w.shape[1], device=w.device) if g is None else (w.detach() * g).float().sum(0)
                for w, g in zip(copies, found, strict=True)
            ]
            if each:  # a layer that runs several times runs all examples each time
                taken = torch.stack(each).view(-1, count, each[0].shape[0]).sum(0)
                require_finite(taken, f"the derivatives by the inputs of {tensor}")
                _move(means, tensor, statistics, taken, count)

    def _batch(self, name: str, values: Tensor, means: Means, *, last: bool) -> None:
        tensors, salient = self._gradient.get(name, {}), self._salient.get(name, {})
        tapped = [(asked.keys() & salient.keys(), own) for asked, own in self._tapped]
        tapped = [(asked, own) for asked, own in tapped if asked]
        roots = [self._parameters[t] for t in tensors] + [own for _, own in tapped]
        count = len(values)
        found = torch.autograd.grad(values.sum(), roots, retain_graph=not last, allow_unused=True) if roots else ()
        for tensor, gradient in zip(tensors, found, strict=False):
            if gradient is not None:
                require_finite(gradient, f"the derivatives by {tensor}")
            _move(means, tensor, tensors[tensor], None if gradient is None else gradient.float() / count, count)
        sums: dict[str, Tensor] = {}
        for (asked, own), gradient in zip(tapped, found[len(tensors) :], strict=True):
            for tensor in asked if gradient is not None else ():
                product = layers.inputs_last(self._places[tensor], own.detach().float() * gradient.float())
                each = layers.by_example(product, count, tensor).sum(1)
                sums[tensor] = sums[tensor] + each if tensor in sums else each
        for tensor, statistics in salient.items():
            each = sums.get(tensor)
            if each is not None:
                require_finite(each, f"the derivatives by the inputs of {tensor}")
            _move(means, tensor, statistics, each, count)

    def each(self, batch: Batch, means: Means) -> None:
        """Take the derivatives of each example alone, for what is squared, or made absolute, before it is averaged."""
        alone = {n for n in (*self._each, *self._recurrent) if n not in self._coupled}
        if not alone:
            return
        for i in range(examples(batch)):
            single = one(batch, i)
            with torch.enable_grad():
                output = run(self._module, single)
                for name in sorted(alone):
                    tensors = [*self._each.get(name, {}), *self._recurrent.get(name, {})]
                    value = self._values(name, output, single).sum()
                    found = self._by_parameters(tensors, value, retain=True)
                    self._move_each(name, found, means)

    def _move_each(self, name: str, found: Mapping[str, Tensor | None], means: Means) -> None:
        """Take in one example's derivatives by parameters."""
        for tensor, gradient in found.items():
            if gradient is not None:
                require_finite(gradient, f"the derivatives by {tensor}")
            if statistics := self._each.get(name, {}).get(tensor):
                _move(means, tensor, statistics, None if gradient is None else gradient.float(), 1)
            if statistics := self._recurrent.get(name, {}).get(tensor):
                weight = self._parameters[tensor].detach().float()
                sums = None if gradient is None else (weight * gradient.float()).sum(0)[None]
                _move(means, tensor, statistics, sums, 1)

    def _by_parameters(self, tensors: Sequence[str], value: Tensor, *, retain: bool) -> dict[str, Tensor | None]:
        unique = list(dict.fromkeys(tensors))
        roots = [self._parameters[t] for t in unique]
        found = torch.autograd.grad(value, roots, retain_graph=retain, allow_unused=True)
        return dict(zip(unique, found, strict=True))

    def _values(self, name: str, output: Any, batch: Batch) -> Tensor:
        count = examples(batch)
        with torch.enable_grad():
            values = self._objectives[name](output, batch)
            values = values.reshape(1).expand(count) if values.numel() == 1 else values.reshape(-1)
        if len(values) != count or not values.requires_grad:
            what = f"{len(values)} values for {count} examples" if len(values) != count else "a value without gradient"
            raise DataError(f"objective '{name}' gave {what}; give one for each example, made of the model's output")
        require_finite(values.detach(), f"the values of objective '{name}'")
        return values


def _move(means: Means, tensor: str, statistics: Sequence[str], seen: Tensor | None, count: int) -> None:
    for name in statistics:
        kind = find(name)
        means.move((tensor, name), None if seen is None else kind.measure(seen), count, kind.merge)


def _objective(name: str, given: ObjectiveOf | None) -> Objective:
    if given is None or (isinstance(given, Mapping) and name not in given):
        return per_example(name)
    return given[name] if isinstance(given, Mapping) else given
