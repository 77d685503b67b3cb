"""Which layer a parameter belongs to, and how that layer's inputs and outputs lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from penjing.errors import DataError, nearest

_CHANNELS_FIRST = (_ConvNd, _NormBase, nn.GroupNorm)


@dataclass(frozen=True, eq=False)
class Place:
    """A layer, its path, and what it calls a parameter."""

    path: str
    layer: nn.Module
    local: str

    @property
    def recurrent(self) -> bool:
        """Whether this is a weight of an LSTM, GRU or RNN."""
        return isinstance(self.layer, nn.RNNBase)


def places(module: nn.Module) -> dict[int, list[Place]]:
    """Of each parameter, by its id, all layers that hold it."""
    out: dict[int, list[Place]] = {}
    for path, layer in module.named_modules():
        for local, parameter in layer._parameters.items():
            if parameter is not None:
                out.setdefault(id(parameter), []).append(Place(path, layer, local))
    return out


def parameter(module: nn.Module, name: str, known: Mapping[str, nn.Parameter]) -> nn.Parameter:
    """The parameter of this name.

    Raises:
        DataError: there is none.
    """
    if name not in known:
        kind = type(module).__name__
        raise DataError(
            f"the module has no parameter '{name}'{nearest(name, known)}; it cannot be measured in this {kind}"
        )
    return known[name]


def reader(tensor: str, holding: Sequence[Place], statistic: str) -> Place:
    """The one layer whose inputs are those of a weight.

    Raises:
        DataError: there is none, or several, or it cannot be measured in this way.
    """
    able = [p for p in holding if _reads(p, statistic)]
    if len(able) == 1:
        return able[0]
    kinds = ", ".join(type(p.layer).__name__ for p in holding) or "no layer of its own"
    more = _why_not(holding[0], statistic) if len(holding) == 1 else ""
    raise DataError(
        f"the inputs of {tensor} cannot be measured: it belongs to {kinds}{more}, and needed is one Linear, Conv1D, "
        "Conv2d or single recurrent layer; protect the axes it reads or use a method without data"
    )


def _why_not(place: Place, statistic: str) -> str:
    if place.recurrent:
        return f", whose inner states no one sees ({place.local})"
    groups = getattr(place.layer, "groups", 1)
    return f" with {groups} groups, for which there is no {statistic}" if groups != 1 else ""


def _reads(place: Place, statistic: str) -> bool:
    layer = place.layer
    if place.recurrent:
        return place.local.startswith("weight_") and (statistic.endswith("_taylor") or _visible(place))
    if place.local != "weight":
        return False
    if isinstance(layer, _ConvNd):
        return layer.groups == 1 or statistic != "input_second_moment"
    return isinstance(layer, nn.Linear) or is_transposed(layer)


def _visible(place: Place) -> bool:
    """Whether what a recurrent weight takes in can be seen from outside: the input, or the outputs one step before."""
    layer: Any = place.layer
    _, kind, level = place.local.removesuffix("_reverse").split("_")
    return level == "l0" if kind == "ih" else kind == "hh" and level == f"l{layer.num_layers - 1}"


def is_transposed(layer: nn.Module) -> bool:
    """Whether this is transformers' Conv1D, a linear layer with weight [in out]."""
    return type(layer).__name__ == "Conv1D" and hasattr(layer, "nf")


def writer(tensor: str, holding: Sequence[Place]) -> Place:
    """The one layer that holds a parameter.

    Raises:
        DataError: there is none, or several.
    """
    if len(holding) != 1:
        kinds = ", ".join(p.path for p in holding) or "no layer"
        raise DataError(f"the outputs of {tensor} cannot be measured: {kinds} hold it, needed is one layer")
    return holding[0]


def first_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The first thing a layer was given."""
    return args[0] if args else next(iter(kwargs.values()), None)


def inputs_last(place: Place, x: Any) -> Tensor:
    """[examples ... in]: a layer's input with what it sums over in the last dimension.

    Raises:
        DataError: it is no tensor (such as a packed sequence).
    """
    if not isinstance(x, Tensor):
        raise DataError(
            f"{place.path} was given a {type(x).__name__}, needed a tensor; give sequences of one length, not packed"
        )
    if place.recurrent:
        return _batch_first(place, x)
    return _channels_last(place.layer, x)


def outputs_last(place: Place, y: Any) -> Tensor:
    """[examples ... out]: a layer's output with its units in the last dimension."""
    first = y[0] if isinstance(y, tuple | list) else y
    if place.recurrent:
        return _batch_first(place, first)
    return _channels_last(place.layer, first)


def states_before(place: Place, args: Sequence[Any], y: Any) -> Tensor:
    """[examples length hidden]: what a recurrent layer's `weight_hh` of the last level took in at each step.

    `args` are the layer's input and, if given, its first state; `y` its (output, state).
    """
    layer: Any = place.layer
    out = outputs_last(place, y)
    size = out.shape[-1] // (2 if layer.bidirectional else 1)
    backwards = place.local.endswith("_reverse")
    own = out[..., size:] if backwards else out[..., :size]
    first = own.new_zeros(len(own), 1, size)
    if len(args) > 1 and args[1] is not None:
        given = args[1][0] if isinstance(args[1], tuple | list) else args[1]
        state = given[-1] if backwards or not layer.bidirectional else given[-2]
        first = state.reshape(len(own), 1, size)
    return torch.cat([own[:, 1:], first], 1) if backwards else torch.cat([first, own[:, :-1]], 1)


def _batch_first(place: Place, x: Tensor) -> Tensor:
    layer: Any = place.layer
    if x.ndim == 2:
        return x[None]
    return x if layer.batch_first else x.transpose(0, 1)


def _channels_last(layer: nn.Module, x: Tensor) -> Tensor:
    if isinstance(layer, _ConvNd):
        dims = len(layer.kernel_size) + 2
        return (x[None] if x.ndim == dims - 1 else x).movedim(1, -1)
    if isinstance(layer, _CHANNELS_FIRST):
        return x.movedim(1, -1)
    size = _units(layer)
    wrong = size is not None and x.ndim > 2 and x.shape[-1] != size and x.shape[1] == size
    return x.movedim(1, -1) if wrong else x


def _units(layer: nn.Module) -> int | None:
    """The length of a norm's weight, for norms that take channels first without being of torch."""
    weight = layer._parameters.get("weight")
    return len(weight) if weight is not None and weight.ndim == 1 else None


def by_example(x: Tensor, count: int, tensor: str) -> Tensor:
    """[examples positions units], from [... units] whose first dimension has the examples outside.

    Layers that see windows or positions as further examples (as in Swin) are laid out again.

    Raises:
        DataError: the rows do not divide into the examples.
    """
    rows = x.shape[0] if x.ndim > 1 else 1
    if not count or rows % count:
        raise DataError(
            f"the inputs of {tensor} come in {rows} rows for {count} examples, so whose is whose is not known; protect "
            "the axes it reads or use a method without examples"
        )
    return x.reshape(count, -1, x.shape[-1])
