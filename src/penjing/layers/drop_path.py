"""Stochastic depth: a residual branch that is sometimes left out while training."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Whole examples of a branch set to zero with probability `rate` in training, the others scaled to the same mean.

    Source: Huang et al., "Deep Networks with Stochastic Depth", arXiv:1603.09382; scaled as in timm.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """The branch, x [batch ...]; in evaluation as it is."""
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * kept / (1 - self.rate)

    def extra_repr(self) -> str:
        """The rate."""
        return f"rate={self.rate}"
