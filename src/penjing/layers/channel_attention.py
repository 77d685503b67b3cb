"""Channels of a map weighed by what the map holds as a whole, and the residual blocks that end in it."""

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """x * sigmoid(up(relu(down(mean of x over places)))); x [batch size H W].

    Source: Hu et al., "Squeeze-and-Excitation Networks", arXiv:1709.01507.
    """

    def __init__(self, size: int, squeezed: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(size, squeezed, 1)
        self.up = nn.Conv2d(squeezed, size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[batch size H W]."""
        return x * torch.sigmoid(self.up(torch.relu(self.down(x.mean((2, 3), keepdim=True)))))


class ConvBlock(nn.Module):
    """x + attention(conv(leaky_relu(conv(norm(x))))), two 3 x 3 convolutions; x [batch size H W].

    Source: Zhang et al., arXiv:1807.02758, with a norm and a leaky ReLU as in Tu et al., arXiv:2201.02973.
    """

    def __init__(self, size: int, inner: int, squeezed: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size, eps=1e-6)
        self.conv1 = nn.Conv2d(size, inner, 3, padding=1)
        self.act = nn.LeakyReLU(0.2)
        self.conv2 = nn.Conv2d(inner, size, 3, padding=1)
        self.attention = ChannelAttention(size, squeezed)

    def forward(self, x: Tensor) -> Tensor:
        """[batch size H W]."""
        y = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x + self.attention(self.conv2(self.act(self.conv1(y))))


class DenseBlock(nn.Module):
    """x + attention(down(gelu(up(norm(x))))), each place by itself but for the attention; x [batch size H W].

    Source: Tu et al., arXiv:2201.02973.
    """

    def __init__(self, size: int, inner: int, squeezed: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size, eps=1e-6)
        self.up = nn.Linear(size, inner)
        self.act = nn.GELU(approximate="tanh")
        self.down = nn.Linear(inner, size)
        self.attention = ChannelAttention(size, squeezed)

    def forward(self, x: Tensor) -> Tensor:
        """[batch size H W]."""
        y = self.down(self.act(self.up(self.norm(x.permute(0, 2, 3, 1)))))
        return x + self.attention(y.permute(0, 3, 1, 2))
