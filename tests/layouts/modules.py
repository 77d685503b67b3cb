"""Small modules of our own, honest ones and traps, each with an example of its input."""


from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(5, 12), nn.Linear(12, 9), nn.Linear(9, 3)

    def forward(self, x):
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.rnn, self.head = kind(5, 6, num_layers=2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.mha, self.out = (
            nn.Linear(5, 24),
            nn.MultiheadAttention(24, 4, batch_first=True),
            nn.Linear(24, 3),
        )

    def forward(self, x):
        h = self.inp(x)
        return self.out(self.mha(h, h, h, need_weights=False)[0])


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(24, 4, 40, batch_first=True, activation="gelu")
        self.out = nn.Linear(24, 3)

    def forward(self, x):
        return self.out(self.layer(x))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.an = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(4, 8)
        self.b, self.bn = nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.GroupNorm(3, 12)
        self.up = nn.ConvTranspose2d(12, 10, 2, stride=2)
        self.c, self.out = nn.Conv2d(18, 8, 3, padding=1), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = F.silu(self.an(self.a(x)))
        b = F.silu(self.bn(self.b(a)))
        return self.out(F.relu(self.c(torch.cat([self.up(b), a], 1))))


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 16)
        self.t1, self.t2 = nn.Linear(10, 14), nn.Linear(14, 10)
        self.c1, self.c2 = nn.Linear(16, 20), nn.Linear(20, 16)
        self.norm, self.out = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x):
        h = self.embed(x)
        h = h + self.t2(F.gelu(self.t1(h.transpose(1, 2)))).transpose(1, 2)
        h = h + self.c2(F.gelu(self.c1(self.norm(h))))
        return self.out(h.mean(1))


class Hourglass(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp, self.out = nn.Linear(5, 16), nn.Linear(16, 3)
        self.down, self.up = nn.Linear(16, 4), nn.Linear(4, 16)

    def forward(self, x):
        h = self.inp(x)
        return self.out(h + self.up(torch.relu(self.down(h))))


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 6), nn.Linear(11, 7), nn.Linear(18, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        a = torch.cat([x, torch.relu(self.a(x))], -1)
        b = torch.cat([a, torch.relu(self.b(a))], -1)
        return self.out(torch.relu(self.c(b)))


class KanLayer(nn.Module):
    def __init__(self, inp, out, basis):
        super().__init__()
        self.register_buffer("grid", torch.linspace(-1, 1, basis), persistent=False)
        self.coefficients = nn.Parameter(torch.randn(out, inp, basis))
        self.base = nn.Linear(inp, out, bias=False)

    def forward(self, x):
        phi = torch.exp(-((x[..., None] - self.grid) ** 2))
        return self.base(F.silu(x)) + torch.einsum("bik,oik->bo", phi, self.coefficients)


class Kan(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = KanLayer(4, 7, 5), KanLayer(7, 6, 5), nn.Linear(6, 2)

    def forward(self, x):
        return self.three(torch.tanh(self.two(self.one(x))))


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 12, 1)
        self.grouped = nn.Conv2d(12, 20, 3, padding=1, groups=4)
        self.depthwise = nn.Conv2d(20, 20, 3, padding=1, groups=20)
        self.norm, self.b = nn.BatchNorm2d(20), nn.Conv2d(20, 8, 1)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        h = F.relu(self.norm(self.depthwise(self.grouped(self.a(x)))))
        return self.out(F.relu(self.b(h)).mean((2, 3)))


class Shuffled(nn.Module):
    """Pixel shuffle, then an einsum."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 20, 1), nn.Conv2d(5, 7, 1)
        self.mix = nn.Parameter(torch.randn(7, 9))
        self.out = nn.Linear(9, 2)

    def forward(self, x):
        h = F.relu(self.c(F.pixel_shuffle(self.b(F.relu(self.a(x))), 2)))
        return self.out(torch.relu(torch.einsum("bchw,cd->bhwd", h, self.mix)))


class Gram(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.out = nn.Conv2d(3, 6, 1), nn.Linear(36, 2)

    def forward(self, x):
        f = torch.relu(self.a(x)).flatten(2)
        return self.out(torch.bmm(f, f.transpose(1, 2)).flatten(1))


class TiedAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 9))

    def forward(self, x):
        return F.linear(torch.relu(F.linear(x, self.weight)), self.weight.t())


class InstanceGlu(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8)
        self.b, self.c = nn.Conv2d(8, 12, 1), nn.Conv2d(6, 5, 1)
        self.out = nn.Linear(5, 2)

    def forward(self, x):
        h = F.glu(self.b(F.relu(self.norm(self.a(x)))), 1)
        return self.out(F.relu(self.c(h)).mean((2, 3)))


class FeatureAttention(nn.Module):
    """Linear attention: normalised or not, its features never vanish, so key dims cannot be cut as if masked."""

    def __init__(self, feature: Callable[[Tensor], Tensor]):
        super().__init__()
        self.q, self.k, self.v, self.out = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(6, 10), nn.Linear(10, 3)
        self.feature = feature

    def forward(self, x):
        q, k = self.feature(self.q(x)), self.feature(self.k(x))
        return self.out(torch.bmm(q, torch.bmm(k.transpose(1, 2), self.v(x))))


class ChannelAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = nn.Linear(6, 8), nn.Linear(6, 9), nn.Linear(6, 9), nn.Linear(8, 3)
        self.last = nn.Linear(3, 5)
        self.final = nn.Linear(5, 2)

    def forward(self, x):
        a = torch.softmax(torch.bmm(self.q(x).transpose(1, 2), self.k(x)) / math.sqrt(7), -1)
        h = torch.bmm(self.v(x), a.transpose(1, 2))
        return self.final(torch.relu(self.last(self.out(h))))


class ChannelShuffle(nn.Module):
    """A shuffle over 2 groups after a convolution in 3: the groups do not refine each other."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 12, 1), nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.c, self.d = nn.Conv2d(12, 10, 1), nn.Conv2d(10, 4, 1)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        h = self.b(F.relu(self.a(x)))
        b, c, height, width = h.shape
        h = h.view(b, 2, c // 2, height, width).transpose(1, 2).reshape(b, c, height, width)
        return self.out(F.relu(self.d(F.relu(self.c(h)))).mean((2, 3)))


class Permutation(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 2)
        self.register_buffer("order", torch.tensor([3, 1, 7, 0, 2, 6, 5, 4]), persistent=False)

    def forward(self, x):
        return self.out(torch.relu(self.b(torch.relu(self.a(x))[:, self.order])))


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.mix = nn.Linear(5, 6), nn.Linear(5, 7), nn.Bilinear(6, 7, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        return self.out(self.mix(torch.relu(self.a(x)), torch.relu(self.b(x))))


class Fourier(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.out = nn.Linear(5, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.out(torch.fft.fft(self.a(x)).real)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(5, 3)

    def forward(self, x):
        if x.sum() > 0:
            return self.a(x)
        return -self.a(x)


def tokens(width: int) -> Tensor:
    """A batch of two short sequences of vectors."""
    return torch.randn(2, 7, width, generator=torch.Generator().manual_seed(1))


def image() -> Tensor:
    """A batch of two small images."""
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))


def rows(width: int) -> Tensor:
    """A batch of vectors."""
    return torch.randn(8, width, generator=torch.Generator().manual_seed(3))


# name -> (module, example, free axes, sensitive axes): counted by hand
HONEST: dict[str, tuple[Callable[[], nn.Module], Tensor, int, int]] = {
    "mlp": (Mlp, rows(5), 2, 0),
    "lstm": (lambda: Recurrent(nn.LSTM), tokens(5), 2, 0),
    "gru": (lambda: Recurrent(nn.GRU), tokens(5), 2, 0),
    "attention": (Attention, tokens(5), 4, 0),
    "encoder": (Encoder, tokens(24), 3, 0),
    "unet": (UNet, image(), 4, 2),
    "mixer": (Mixer, torch.randn(2, 10, 6, generator=torch.Generator().manual_seed(4)), 2, 1),
    "hourglass": (Hourglass, rows(5), 2, 0),
    "dense": (Dense, rows(5), 3, 0),
    "kan": (Kan, rows(4), 2, 0),
    "grouped": (Grouped, image(), 4, 0),
    "shuffled": (Shuffled, image(), 4, 0),
    "gram": (Gram, image(), 1, 0),
    "tied": (TiedAutoencoder, rows(9), 1, 0),
    "instance_glu": (InstanceGlu, image(), 3, 0),
}
TRAPS: dict[str, tuple[Callable[[], nn.Module], Tensor, int, int]] = {
    "linear_attention": (lambda: FeatureAttention(lambda x: F.elu(x) + 1), tokens(6), 1, 1),
    "sigmoid_attention": (lambda: FeatureAttention(torch.sigmoid), tokens(6), 1, 1),
    "channel_attention": (ChannelAttention, tokens(6), 3, 1),
    "channel_shuffle": (ChannelShuffle, image(), 3, 0),
    "permutation": (Permutation, rows(5), 1, 0),
    "bilinear": (Bilinear, rows(5), 0, 0),
    "fourier": (Fourier, rows(5), 0, 0),
}
