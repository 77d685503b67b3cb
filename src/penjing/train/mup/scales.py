"""Which dimensions of a network's parameters grow with its width, and by how much they have grown.

Source: Yang et al., "Tensor Programs V", arXiv:2203.03466, table 8 and appendix B: a dimension is infinite if it
differs between a base network and one of another width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from penjing.errors import UnsupportedError

Kind = Literal["hidden", "input", "output", "scalar"]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How a parameter stands to that of the base network.

    `kind`: "hidden" (both what goes in and what comes out grows), "output" (only what goes in: a readout), "input"
    (only what comes out: also biases, gains, embeddings), "scalar" (neither). `into` and `out` are by how much those
    two have grown, 1 where they do not.
    """

    kind: Kind
    into: float = 1.0
    out: float = 1.0


def scales(module: nn.Module, base: nn.Module, delta: nn.Module) -> dict[str, Scale]:
    """Parameter -> its scale, by comparing shapes with those of `base`; `delta` is one of any other width.

    All three have the same parts; those of `delta` may differ from `base` in every width that is to grow, and a width
    in which they do not is taken to be fixed. A parameter that is used twice is what it is where it is used first.

    Raises:
        UnsupportedError: the networks have other parameters, or one grows in more than two dimensions.
    """
    of_base, of_delta = (dict(m.named_parameters()) for m in (base, delta))
    own = dict(module.named_parameters())
    if set(of_base) != set(own) or set(of_delta) != set(own):
        odd = sorted(set(of_base) ^ set(own) | set(of_delta) ^ set(own))
        raise UnsupportedError(
            f"the networks do not have the same parameters ({odd[0]}, ...); give three that differ in width alone"
        )
    turned = _turned(module)
    return {name: _scale(name, own[name], of_base[name], of_delta[name], name in turned) for name in own}


def _scale(name: str, own: Tensor, base: Tensor, delta: Tensor, turned: bool) -> Scale:
    if not own.ndim == base.ndim == delta.ndim:
        raise UnsupportedError(f"{name} has {own.ndim} dimensions and that of the base {base.ndim}; needed as many")
    grows = [i for i in range(own.ndim) if base.shape[i] != delta.shape[i]]
    fixed = [i for i in range(own.ndim) if i not in grows and own.shape[i] != base.shape[i]]
    if fixed:
        raise UnsupportedError(
            f"{name} has the shape {list(own.shape)} and that of the base {list(base.shape)}, but delta's does not "
            f"differ in dimension {fixed[0]}; give a delta that differs in every width that grows"
        )
    if len(grows) > 2:
        raise UnsupportedError(f"{name} grows in {len(grows)} dimensions; the rules are for two at most")
    if own.ndim < 2:
        return Scale(kind="input", out=own.shape[0] / base.shape[0]) if grows else Scale(kind="scalar")
    out_at, into_at = (1, 0) if turned else (0, 1)
    by = {i: own.shape[i] / base.shape[i] for i in grows}
    kinds: dict[tuple[bool, bool], Kind] = {
        (True, True): "hidden", (True, False): "output", (False, True): "input", (False, False): "scalar",
    }  # fmt: skip
    into, out = by.get(into_at), by.get(out_at)
    return Scale(kind=kinds[into is not None, out is not None], into=into or 1.0, out=out or 1.0)


def _turned(module: nn.Module) -> set[str]:
    """Names of matrices that are stored [in out]: of embeddings, and of GPT-2's own linear layers."""
    found = set()
    for path, part in module.named_modules():
        if isinstance(part, nn.Embedding) or type(part).__name__ == "Conv1D":
            found.add(f"{path}.weight" if path else "weight")
    return found


def width_of(known: Mapping[str, Scale], name: str) -> float:
    """By how much the one width has grown that a vector or a readout has."""
    scale = known[name]
    return scale.into if scale.kind == "output" else scale.out
