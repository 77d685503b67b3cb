"""Derivatives of objectives by parameters and by what goes into layers."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate import layers
from penjing.calibrate.batches import Batch, examples, one, run
from penjing.calibrate.finite import require_finite
from penjing.calibrate.known import DERIVATIVES
from penjing.calibrate.layers import Place
from penjing.calibrate.means import Means
from penjing.calibrate.objectives import Objective, entropy, per_example
from penjing.calibrate.recurrent import Apart
from penjing.errors import DataError

ObjectiveOf = Objective | Mapping[str, Objective]
"""(output, batch) -> the mean over examples [] or each example's [examples]: one for all objectives, or by name."""


class Derivatives:
    """What is differentiated by what, and one batch's way through it.

    `gradient` and `fisher` are taken by parameters, `taylor` by the inputs of layers, each layer's own: what other
    layers make of the same input does not count. Of recurrent weights, whose inputs are inside the layer, `taylor` is
    taken from each example's derivative by the weight, for the sum of w * d objective / d w over an input's weights
    is the sum over positions of x * d objective / d x. An objective that joins examples is differentiated by a copy of
    the weight for each of them.
    """

    def __init__(
        self,
        module: nn.Module,
        wanted: Mapping[str, frozenset[str]],
        names: Mapping[str, str],
        objective_of: ObjectiveOf | None,
    ) -> None:
        self._module = module
        self._gradient: dict[str, list[str]] = defaultdict(list)
        self._fisher: dict[str, list[str]] = defaultdict(list)
        self._taylor: dict[str, dict[str, Place]] = defaultdict(dict)
        self._recurrent: dict[str, list[str]] = defaultdict(list)
        self._parameters: dict[str, nn.Parameter] = {}
        self._places: dict[str, Place] = {}
        self._objectives: dict[str, Objective] = {}
        self._coupled: set[str] = set()
        self._sort(wanted, names)
        for name in {*self._gradient, *self._fisher, *self._taylor, *self._recurrent}:
            self._objectives[name] = _objective(name, objective_of)
            if getattr(self._objectives[name], "func", None) is entropy:  # at any temperature
                self._coupled.add(name)
        self._tapped: list[tuple[Mapping[str, Place], Tensor]] = []
        self._apart: dict[nn.Module, Apart] = {}

    def _sort(self, wanted: Mapping[str, frozenset[str]], names: Mapping[str, str]) -> None:
        known = dict(self._module.named_parameters(remove_duplicate=False))
        holding = layers.places(self._module)
        for tensor, statistics in wanted.items():
            for statistic in sorted(statistics & DERIVATIVES.keys()):
                objective, kind = DERIVATIVES[statistic]
                parameter = layers.parameter(self._module, names.get(tensor, tensor), known)
                if kind == "taylor":
                    place = layers.reader(tensor, holding.get(id(parameter), []), statistic)
                    if not place.recurrent:
                        self._taylor[objective][tensor] = place
                        continue
                    self._places[tensor] = place
                if not parameter.is_floating_point():
                    raise DataError(f"{tensor} is {parameter.dtype}, needed a floating point one to differentiate by")
                self._parameters[tensor] = parameter
                kept = {"gradient": self._gradient, "fisher": self._fisher, "taylor": self._recurrent}[kind]
                kept[objective].append(tensor)

    @property
    def whole(self) -> bool:
        """Whether the forward of a whole batch has to keep what a backward needs."""
        joined = any(n in self._coupled for n in (*self._fisher, *self._recurrent))
        return bool(self._gradient or self._taylor or joined)

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
        for asked in self._taylor.values():
            for tensor, place in asked.items():
                by_layer[place.layer][tensor] = place
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
        names = [n for n in self._objectives if n in self._gradient or n in self._taylor or n in self._coupled]
        for place, name in enumerate(names):
            values = self._values(name, output, batch)
            each = self._fisher[name] if name in self._coupled else []
            for i in range(len(values) if each else 0):
                self._move_squares(name, self._by_parameters(each, values[i], retain=True), means)
            if name in self._coupled:
                self._copies(name, values, means)
            self._batch(name, values, means, last=place + 1 == len(names))
        self._tapped, self._apart = [], {}

    def _copies(self, name: str, values: Tensor, means: Means) -> None:
        """`taylor` of recurrent weights, from the copies that the examples used."""
        for tensor in self._recurrent.get(name, []):
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
                means.move((tensor, f"{name}_taylor"), taken.abs().mean(0), count)

    def _batch(self, name: str, values: Tensor, means: Means, *, last: bool) -> None:
        tensors, taylor = self._gradient.get(name, []), self._taylor.get(name, {})
        tapped = [(asked.keys() & taylor.keys(), own) for asked, own in self._tapped]
        tapped = [(asked, own) for asked, own in tapped if asked]
        roots = [self._parameters[t] for t in tensors] + [own for _, own in tapped]
        count = len(values)
        found = torch.autograd.grad(values.sum(), roots, retain_graph=not last, allow_unused=True) if roots else ()
        for tensor, gradient in zip(tensors, found, strict=False):
            if gradient is not None:
                require_finite(gradient, f"the derivatives by {tensor}")
            means.move((tensor, f"{name}_gradient"), None if gradient is None else gradient.float() / count, count)
        sums: dict[str, Tensor] = {}
        for (asked, own), gradient in zip(tapped, found[len(tensors) :], strict=True):
            for tensor in asked if gradient is not None else ():
                product = layers.inputs_last(taylor[tensor], own.detach().float() * gradient.float())
                each = layers.by_example(product, count, tensor).sum(1)
                sums[tensor] = sums[tensor] + each if tensor in sums else each
        for tensor in taylor:
            each = sums.get(tensor)
            if each is not None:
                require_finite(each, f"the derivatives by the inputs of {tensor}")
            means.move((tensor, f"{name}_taylor"), None if each is None else each.abs().mean(0), count)

    def each(self, batch: Batch, means: Means) -> None:
        """Take the derivatives of each example alone, for what is squared, or made absolute, before it is averaged."""
        alone = {n for n in (*self._fisher, *self._recurrent) if n not in self._coupled}
        if not alone:
            return
        for i in range(examples(batch)):
            single = one(batch, i)
            with torch.enable_grad():
                output = run(self._module, single)
                for name in sorted(alone):
                    tensors = [*self._fisher.get(name, []), *self._recurrent.get(name, [])]
                    value = self._values(name, output, single).sum()
                    found = self._by_parameters(tensors, value, retain=True)
                    self._move_squares(name, found, means)

    def _move_squares(self, name: str, found: Mapping[str, Tensor | None], means: Means) -> None:
        for tensor, gradient in found.items():
            if gradient is not None:
                require_finite(gradient, f"the derivatives by {tensor}")
            if tensor in self._fisher.get(name, []):
                means.move((tensor, f"{name}_fisher"), None if gradient is None else gradient.float().square(), 1)
            if tensor in self._recurrent.get(name, []):
                weight = self._parameters[tensor].detach().float()
                value = None if gradient is None else (weight * gradient.float()).sum(0).abs()
                means.move((tensor, f"{name}_taylor"), value, 1)

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


def _objective(name: str, given: ObjectiveOf | None) -> Objective:
    if given is None or (isinstance(given, Mapping) and name not in given):
        return per_example(name)
    return given[name] if isinstance(given, Mapping) else given
