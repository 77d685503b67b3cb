"""One pass over the data with a pre-hook on every layer whose inputs are wanted."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate.moments import KNOWN, Moments
from penjing.core import Stats
from penjing.errors import DataError, nearest

Batch = Tensor | Sequence[Any] | Mapping[str, Any]


@torch.no_grad()
def collect(
    module: nn.Module,
    batches: Iterable[Batch],
    wanted: Mapping[str, frozenset[str]],
    *,
    progress: Callable[[int], None] | None = None,
    names: Mapping[str, str] | None = None,
) -> Stats:
    """The wanted statistics of the inputs of parameters, from one pass over `batches`.

    `wanted` maps parameters to statistics (see `Stats`). A batch is one tensor (tokens [batch length], images, ...),
    a sequence of positional arguments or a mapping of keyword arguments. A sample is one position of one example.
    `progress` is called with the number of batches done; `names` maps a parameter's name in `wanted` to its name in
    `module` where the two differ. Linear layers, transformers' Conv1D and convolutions without groups can be measured.
    The module ends in the mode it was in.

    Raises:
        DataError: there is no data, a layer cannot be measured, a parameter or statistic is unknown, or an input is
            not finite.
    """
    owners = _owners(module, wanted, names or {})
    moments: dict[int, Moments] = {}
    training = module.training
    module.eval()
    with ExitStack() as stack:
        stack.callback(module.train, training)
        for owner, tensors in owners.items():
            moments[id(owner)] = Moments(frozenset().union(*(wanted[t] for t in tensors)))
            hook = owner.register_forward_pre_hook(_watch(tensors[0], moments[id(owner)]))
            stack.callback(hook.remove)
        done = 0
        for batch in batches:
            _run(module, batch)
            done += 1
            if progress is not None:
                progress(done)
    if not done:
        raise DataError("found no calibration data, needed at least one batch; give a text or other examples")
    return _gather(owners, moments, wanted)


def _owners(
    module: nn.Module, wanted: Mapping[str, frozenset[str]], names: Mapping[str, str]
) -> dict[nn.Module, list[str]]:
    """Layer -> the wanted names of its weight. A weight that several layers share is measured in the one that reads."""
    parameters = dict(module.named_parameters(remove_duplicate=False))
    layers: dict[int, list[tuple[str, nn.Module]]] = {}
    for path, layer in module.named_modules():
        weight = layer._parameters.get("weight")
        if weight is not None:
            layers.setdefault(id(weight), []).append((path, layer))
    owners: dict[nn.Module, list[str]] = {}
    for tensor, statistics in wanted.items():
        name = names.get(tensor, tensor)
        unknown = sorted(statistics.difference(KNOWN))
        if unknown:
            known = ", ".join(KNOWN)
            raise DataError(f"statistic '{unknown[0]}' is not known{nearest(unknown[0], KNOWN)}; known: {known}")
        if name not in parameters:
            raise DataError(f"the module has no parameter '{name}'{nearest(name, parameters)}; it cannot be measured")
        holding = layers.get(id(parameters[name]), [])
        able = [layer for _, layer in holding if _measurable(layer)]
        if len(able) != 1:
            kinds = ", ".join(type(layer).__name__ for _, layer in holding) or "no layer of its own"
            raise DataError(
                f"the inputs of {tensor} cannot be measured: it belongs to {kinds}, and needed is one Linear, Conv1D "
                "or Conv2d without groups; protect the axes it reads or use a method without data"
            )
        owners.setdefault(able[0], []).append(tensor)
    return owners


def _measurable(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return layer.groups == 1
    return isinstance(layer, nn.Linear) or _is_transposed(layer)


def _is_transposed(layer: nn.Module) -> bool:
    """Whether this is transformers' Conv1D, a linear layer with weight [in out]."""
    return type(layer).__name__ == "Conv1D" and hasattr(layer, "nf")


def _watch(tensor: str, moments: Moments) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        x = args[0].detach()
        channels = isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        flat = x.movedim(1, -1).flatten(0, -2) if channels else x.reshape(-1, x.shape[-1])
        if not flat.isfinite().all():
            bad = int((~flat.isfinite()).sum())
            raise DataError(
                f"the inputs of {tensor} hold {bad} values that are not finite, needed are finite ones; check the "
                "weights for NaN, or run in float32"
            )
        if flat.shape[0]:
            moments.add(flat)

    return hook


def _run(module: nn.Module, batch: Batch) -> None:
    if isinstance(batch, Tensor):
        module(batch)
    elif isinstance(batch, Mapping):
        module(**batch)
    else:
        module(*batch)


def _gather(
    owners: Mapping[nn.Module, list[str]], moments: Mapping[int, Moments], wanted: Mapping[str, frozenset[str]]
) -> Stats:
    values: dict[tuple[str, str], Tensor] = {}
    samples = []
    for owner, tensors in owners.items():
        found = moments[id(owner)]
        if not found.samples:
            raise DataError(f"the data never reached {tensors[0]}; give data that uses this layer, or protect its axes")
        samples.append(found.samples)
        for tensor in tensors:
            values.update({(tensor, name): found.values[name] for name in wanted[tensor]})
    return Stats(values, samples=min(samples, default=0))
