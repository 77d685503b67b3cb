"""The infinitely wide linear network with one hidden layer, exactly, and networks of finite width that tend to it.

Source: Yang & Hu, arXiv:2011.14522, on linear networks: in the limit of the maximal update parametrisation the hidden
space is spanned by as many independent directions as there are inputs and outputs, so a small network is the limit.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Linear:
    """f(x) = scale V U x, of `inputs` and `outputs`; first values have deviations `into` (of U) and `out` (of V)."""

    inputs: int
    outputs: int
    into: float = 1.0
    out: float = 1.0
    scale: float = 1.0

    def limit(self) -> "TwoLayers":
        """The network of infinite width: plain SGD on its small matrices is SGD on the infinite ones."""
        wide = self.inputs + self.outputs
        u, v = torch.zeros(wide, self.inputs), torch.zeros(self.outputs, wide)
        u[: self.inputs] = self.into * torch.eye(self.inputs)
        v[:, self.inputs :] = self.out * torch.eye(self.outputs)
        return TwoLayers(u, v, self.scale)

    def sample(self, width: int, generator: torch.Generator) -> "TwoLayers":
        """A network of this width: the limit's matrices seen by as many random directions."""
        whole = self.limit()
        omega = torch.randn(width, self.inputs + self.outputs, generator=generator) / width**0.5
        return TwoLayers(omega @ whole.u.detach(), whole.v.detach() @ omega.T, self.scale)


class TwoLayers(nn.Module):
    """Two matrices, `u` [hidden inputs] and `v` [outputs hidden], one behind the other."""

    def __init__(self, u: Tensor, v: Tensor, scale: float) -> None:
        super().__init__()
        self.u, self.v, self.scale = nn.Parameter(u.clone()), nn.Parameter(v.clone()), scale

    def forward(self, x: Tensor) -> Tensor:
        """[examples outputs] of [examples inputs]."""
        return self.scale * x @ self.u.T @ self.v.T
