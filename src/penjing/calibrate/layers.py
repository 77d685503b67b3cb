"""Which layer a parameter belongs to, and how that layer's inputs and outputs lie."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from penjing.calibrate.recurrent import level_of, outputs_of_level
from penjing.calibrate.statistic import Reads
from penjing.errors import DataError, UnsupportedError, nearest
from penjing.nn.attention import Attention

MOST = 2**25
"""Numbers in the windows that are spread out at a time: 134 MB."""
_CHANNELS_FIRST = (_ConvNd, _NormBase, nn.GroupNorm)


@dataclass(frozen=True, eq=False)
class Place:
    """A layer, its path, what it calls a parameter, and whether it is called when it is used."""

    path: str
    layer: nn.Module
    local: str
    called: bool = True

    @property
    def recurrent(self) -> bool:
        """Whether this is a weight of an LSTM, GRU or RNN."""
        return isinstance(self.layer, nn.RNNBase)


def places(module: nn.Module) -> dict[int, list[Place]]:
    """Of each parameter, by its id, all layers that hold it."""
    out: dict[int, list[Place]] = {}
    attending = [m for m in module.modules() if isinstance(m, nn.MultiheadAttention) and not isinstance(m, Attention)]
    silent = {id(m.out_proj) for m in attending}
    for path, layer in module.named_modules():
        for local, parameter in layer._parameters.items():
            if parameter is not None:
                out.setdefault(id(parameter), []).append(Place(path, layer, local, id(layer) not in silent))
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


def has_windows(holding: Sequence[Place]) -> bool:
    """Whether it is known what the windows of a weight are: those of torch's own convolutions without groups."""
    return len([p for p in holding if _reads(p, "windows", False)]) == 1


def reader(tensor: str, holding: Sequence[Place], *, what: str, reads: Reads = "inputs", grouped: bool = True) -> Place:
    """The one layer whose inputs are those of a weight; `what` is to be read there, of grouped convolutions too or not.

    Raises:
        UnsupportedError: there is none, or several, or it cannot be measured in this way.
    """
    able = [p for p in holding if _reads(p, reads, grouped)]
    if len(able) == 1:
        return able[0]
    kinds = ", ".join(type(p.layer).__name__ for p in holding) or "no layer of its own"
    more = _why_not(holding[0], what) if len(holding) == 1 else ""
    raise UnsupportedError(
        f"the inputs of {tensor} cannot be measured: it belongs to {kinds}{more}, and needed is one Linear, Conv1D, "
        "Conv2d or recurrent layer; protect it, or the axes it reads, or use a method without data"
    )


def _why_not(place: Place, what: str) -> str:
    if not place.called:
        return ", whose weight MultiheadAttention multiplies without calling it"
    if place.local == "weight" and not isinstance(place.layer, nn.Linear | _ConvNd):
        return ", whose own code computes with it"
    groups = getattr(place.layer, "groups", 1)
    return f" with {groups} groups, for which there is no {what}" if groups != 1 else ""


def _reads(place: Place, reads: Reads, grouped: bool) -> bool:
    layer = place.layer
    if reads == "windows":
        if not any(isinstance(layer, k) and type(layer).forward is k.forward for k in (nn.Conv1d, nn.Conv2d)):
            return False  # what another forward multiplies is not known
        return place.local == "weight" and bool(layer.groups == 1)
    if place.recurrent:
        return place.local.startswith(("weight_ih", "weight_hh"))
    if place.local != "weight":
        return False
    if isinstance(layer, _ConvNd):
        return layer.groups == 1 or grouped
    if not place.called:
        return False
    return isinstance(layer, nn.Linear) or is_transposed(layer)


def is_transposed(layer: nn.Module) -> bool:
    """Whether this is transformers' Conv1D, a linear layer with weight [in out]."""
    return type(layer).__name__ == "Conv1D" and hasattr(layer, "nf")


def writer(tensor: str, holding: Sequence[Place]) -> Place:
    """The one layer that holds a parameter.

    Raises:
        UnsupportedError: there is none, or several.
    """
    if len(holding) != 1:
        kinds = ", ".join(p.path for p in holding) or "no layer"
        raise UnsupportedError(f"the outputs of {tensor} cannot be measured: {kinds} hold it, needed is one layer")
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


def windows(place: Place, x: Tensor) -> Iterator[Tensor]:
    """[examples * places in] each: all that a convolution multiplies at each place of its window, channel by channel.

    One after another for some examples at a time, since a window is several times as much as what it moves over.
    """
    layer: Any = place.layer
    flat = isinstance(layer, nn.Conv1d)
    batch = x[None] if x.ndim == (2 if flat else 3) else x
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    sizes = [(1, *s) if flat else s for s in (layer.kernel_size, layer.dilation, layer.stride)]
    each = max(1, MOST // max(1, batch[0].numel() * math.prod(layer.kernel_size)))
    for some in batch.split(each):
        padded = F.pad(some, layer._reversed_padding_repeated_twice, mode=mode)
        padded = padded.unsqueeze(-2) if flat else padded
        rows = F.unfold(padded, sizes[0], dilation=sizes[1], stride=sizes[2])
        yield rows.transpose(1, 2).flatten(0, 1)


def outputs_last(place: Place, y: Any) -> Tensor:
    """[examples ... out]: a layer's output with its units in the last dimension."""
    first = y[0] if isinstance(y, tuple | list) else y
    if place.recurrent:
        return _batch_first(place, first)
    return _channels_last(place.layer, first)


def inside(place: Place) -> bool:
    """Whether a recurrent weight takes in something else than the layer's own input."""
    return place.recurrent and not (place.local.startswith("weight_ih") and level_of(place.local) == 0)


def states_before(place: Place, args: Sequence[Any], y: Any) -> Tensor:
    """[examples length hidden]: what a recurrent weight took in at each step, inside its layer.

    Of `weight_hh` these are the level's own outputs one step before, of `weight_ih` those of the level below. `args`
    are the layer's input and, if given, its first states; `y` is its (output, states).
    """
    layer: Any = place.layer
    level = level_of(place.local)
    if not place.local.startswith("weight_hh"):
        return _batch_first(place, outputs_of_level(layer, args, level - 1))
    last = level + 1 == layer.num_layers
    out = outputs_last(place, y) if last else _batch_first(place, outputs_of_level(layer, args, level))
    each = 2 if layer.bidirectional else 1
    size = out.shape[-1] // each
    backwards = place.local.endswith("_reverse")
    own = out[..., size:] if backwards else out[..., :size]
    first = own.new_zeros(len(own), 1, size)
    if len(args) > 1 and args[1] is not None:
        given = args[1][0] if isinstance(args[1], tuple | list) else args[1]
        first = given[level * each + backwards].reshape(len(own), 1, size)
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
        UnsupportedError: the rows do not divide into the examples.
    """
    rows = x.shape[0] if x.ndim > 1 else 1
    if not count or rows % count:
        raise UnsupportedError(
            f"the inputs of {tensor} come in {rows} rows for {count} examples, so whose is whose is not known; protect "
            "the axes it reads or use a method without examples"
        )
    return x.reshape(count, -1, x.shape[-1])
