"""Gated units: the product of two projections of the same vector, the first through a nonlinearity."""

from torch import Tensor, nn
from transformers.activations import ACT2FN


class GatedUnit(nn.Module):
    """out(norm(act(gate(x))) * norm(value(x))), with one norm over the inner width for both factors; x [... size].

    It takes each position by itself. Without `norm` it is the gated MLP of most language models.

    Source: Abdullah and Aydin, "Activator", arXiv:2405.15953; Shazeer, arXiv:2002.05202, without the norm.
    """

    def __init__(self, size: int, inner: int, *, act: str = "gelu", norm: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.gate = nn.Linear(size, inner)
        self.value = nn.Linear(size, inner)
        self.act = ACT2FN[act]
        self.norm = nn.LayerNorm(inner, eps=eps) if norm else nn.Identity()
        self.out = nn.Linear(inner, size)

    def forward(self, x: Tensor) -> Tensor:
        """[... size]."""
        return self.out(self.norm(self.act(self.gate(x))) * self.norm(self.value(x)))
