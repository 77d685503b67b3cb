"""First values and multipliers of a network, so that at the base's width it is the plain one and grows well from there.

Source: as `scales`; the readout takes in its states over the growth of their width, attention scores go by the inverse
of a head's width instead of its root.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import UnsupportedError
from penjing.train.mup.scales import Scale

DONE = "_penjing_mup"
SCALED = "_penjing_mup_scaled"
"""Where a module notes that scores of attention are scaled otherwise."""


@torch.no_grad()
def set_up(
    module: nn.Module, base: nn.Module, known: Mapping[str, Scale], *, fixed: bool = False, zero_readout: bool = False
) -> nn.Module:
    """The module itself, its first values rescaled, with hooks that divide what readouts take in.

    Values must be fresh, drawn by what the layers do themselves: with a variance of 1 / (what goes in), as torch's, or,
    with `fixed`, with one standard deviation for all widths, as those of transformers. `zero_readout` sets the readout
    to zero, which takes the first step's noise away. `known` is what `scales` gave.

    Raises:
        UnsupportedError: it was done before: twice would be wrong.
    """
    if getattr(module, DONE, False):
        raise UnsupportedError("this network was set up before, and its values would be scaled twice; make a fresh one")
    own = dict(module.named_parameters())
    for name, scale in known.items():
        own[name].mul_(_factor(name, scale, known, fixed))
    for path, part in module.named_modules():
        if not isinstance(part, nn.Linear | nn.Conv2d):
            continue
        name = f"{path}.weight" if path else "weight"
        grown = _reads_out(name, part.weight, known, own)
        if grown is not None:
            part.register_forward_pre_hook(partial(_divide, by=grown))
            if zero_readout and name in known:  # a matrix that is the embedding's too stays
                part.weight.zero_()
    _attend(module, base)
    setattr(module, DONE, True)
    return module


@torch.no_grad()
def fold(module: nn.Module) -> nn.Module:
    """The module itself, whose readouts are divided, and not what they take in: it saves as any other.

    Raises:
        UnsupportedError: a readout shares its matrix, or scores of attention are scaled otherwise than its config says.
    """
    if getattr(module, SCALED, False):
        raise UnsupportedError("heads have grown, and no config tells how their scores are scaled; keep a head's width")
    shared = [id(p) for part in module.modules() for p in part.parameters(recurse=False)]
    for path, part in module.named_modules():
        for key, hook in list(part._forward_pre_hooks.items()):
            if isinstance(hook, partial) and hook.func is _divide:
                if shared.count(id(part.weight)) > 1:
                    raise UnsupportedError(f"the readout {path} shares its matrix; give tie_word_embeddings = false")
                part.weight.div_(hook.keywords["by"])  # type: ignore[union-attr]
                del part._forward_pre_hooks[key]
    return module


def _factor(name: str, scale: Scale, known: Mapping[str, Scale], fixed: bool) -> float:
    """What first values are multiplied by, where they are drawn as the layers draw them."""
    if fixed:  # one deviation for all widths: only matrices between two widths are too large
        return scale.into**-0.5 if scale.kind == "hidden" else 1.0
    if scale.kind == "output":  # drawn with a variance that falls with the width, which is to stay
        return scale.into**0.5
    weight = known.get(f"{name.removesuffix('bias')}weight") if name.endswith("bias") else None
    return weight.into**0.5 if weight is not None and weight.kind in ("hidden", "output") else 1.0


def _reads_out(
    name: str, weight: Tensor, known: Mapping[str, Scale], own: Mapping[str, nn.Parameter]
) -> float | None:
    """By how much what a readout takes in has grown; None for what is none. A head may share the embedding's matrix."""
    if name in known:
        return known[name].into if known[name].kind == "output" else None
    shared = next((n for n, p in own.items() if p is weight), "")
    return known[shared].out if shared and known[shared].kind == "input" else None


def _divide(_module: nn.Module, given: tuple[Any, ...], *, by: float) -> tuple[Any, ...]:
    return (given[0] / by, *given[1:])


def _attend(module: nn.Module, base: nn.Module) -> None:
    """Scores of attention over the width of a head, where it has grown: equal to the plain ones at the base's."""
    others = dict(base.named_modules())
    for path, part in module.named_modules():
        wide, narrow = (getattr(m, "head_dim", None) for m in (part, others.get(path)))
        scaling = getattr(others.get(path), "scaling", None)
        if isinstance(wide, int) and isinstance(narrow, int) and isinstance(scaling, float) and wide != narrow:
            part.scaling = scaling * narrow / wide  # type: ignore[assignment]
            setattr(module, SCALED, True)
