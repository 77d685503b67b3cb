"""Mixing along two axes of a map: within small blocks, and across a coarse grid whose cells grow with the map.

Both maps between positions have a fixed size, so that the cost is linear in the number of places and one set of
weights serves maps of every size that the block and the grid divide.

Source: Tu et al., "MAXIM: Multi-Axis MLP for Image Processing", arXiv:2201.02973, and the authors' code for what the
paper leaves open. Halves that they project jointly are layers of their own here, so that they may differ in width.
"""

import torch
from torch import Tensor, nn


def parts(x: Tensor, height: int, width: int) -> Tensor:
    """[batch H W C] -> [batch rectangles height*width C], rectangles row by row, and places in one too.

    Raises:
        ValueError: a side of the map is no multiple of the rectangle's.
    """
    batch, rows, columns, channels = x.shape
    if not height or not width or rows % height or columns % width:
        raise ValueError(f"a map of {rows} x {columns} cannot be cut into rectangles of {height} x {width}")
    x = x.reshape(batch, rows // height, height, columns // width, width, channels).transpose(2, 3)
    return x.reshape(batch, (rows // height) * (columns // width), height * width, channels)


def whole(x: Tensor, height: int, width: int, rows: int, columns: int) -> Tensor:
    """The inverse of `parts`: [batch rectangles height*width C] -> [batch rows columns C]."""
    batch, channels = x.shape[0], x.shape[-1]
    x = x.reshape(batch, rows // height, columns // width, height, width, channels).transpose(2, 3)
    return x.reshape(batch, rows, columns, channels)


class Positions(nn.Module):
    """One linear map between positions for all channels; x [batch H W C].

    As a grid, the map is cut into side x side cells, and places that have the same position in their cells are mixed;
    otherwise it is cut into blocks of side x side places, each mixed by itself. `ones` starts the bias at one.
    """

    def __init__(self, side: int, *, grid: bool, ones: bool = False) -> None:
        super().__init__()
        self.side, self.grid = side, grid
        self.weights = nn.Linear(side**2, side**2)
        self.weights.bias_start = float(ones)  # type: ignore[assignment]
        nn.init.constant_(self.weights.bias, float(ones))

    def forward(self, x: Tensor) -> Tensor:
        """[batch H W C].

        Raises:
            ValueError: the sides of the map are no multiples of `side`.
        """
        rows, columns = x.shape[1:3]
        if rows % self.side or columns % self.side:
            raise ValueError(
                f"a map of {rows} x {columns} has no {'grid' if self.grid else 'blocks'} of {self.side} x {self.side}; "
                "sides of the picture must be multiples of what the config's `multiple` says: pad it"
            )
        cell = (rows // self.side, columns // self.side) if self.grid else (self.side, self.side)
        axis = 1 if self.grid else 2
        mixed = self.weights(parts(x, *cell).transpose(axis, 3)).transpose(axis, 3)
        return whole(mixed, *cell, rows, columns)


class AxisMLP(nn.Module):
    """x + out(u * (mix(norm(v)) + 1)), with u, v = gelu of two projections of norm(x); x [batch H W size]."""

    def __init__(self, size: int, inner: int, side: int, *, grid: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size, eps=1e-6)
        self.gate = nn.Linear(size, inner)
        self.value = nn.Linear(size, inner)
        self.act = nn.GELU(approximate="tanh")
        self.value_norm = nn.LayerNorm(inner, eps=1e-6)
        self.mix = Positions(side, grid=grid)
        self.out = nn.Linear(inner, size)

    def forward(self, x: Tensor) -> Tensor:
        """[batch H W size]."""
        y = self.norm(x)
        u, v = self.act(self.gate(y)), self.act(self.value(y))
        return x + self.out(u * (self.mix(self.value_norm(v)) + 1))


class MultiAxis(nn.Module):
    """x + out(grid branch | block branch), each a gated MLP along its axis; x [batch size H W].

    `branches` and `inner` are the widths of both, grid first; a branch of width 0 is left out.
    """

    def __init__(self, size: int, branches: tuple[int, int], inner: tuple[int, int], sides: tuple[int, int]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size, eps=1e-6)
        self.act = nn.GELU(approximate="tanh")
        kept = [(*each, i == 0) for i, each in enumerate(zip(branches, inner, sides, strict=True)) if each[0]]
        self.inputs = nn.ModuleList(nn.Linear(size, width) for width, *_ in kept)
        self.axes = nn.ModuleList(AxisMLP(width, within, side, grid=grid) for width, within, side, grid in kept)
        self.out = nn.Linear(sum(branches), size)

    def forward(self, x: Tensor) -> Tensor:
        """[batch size H W]."""
        y = self.norm(x.permute(0, 2, 3, 1))
        seen = [axis(self.act(to(y))) for to, axis in zip(self.inputs, self.axes, strict=True)]
        return x + self.out(torch.cat(seen, -1)).permute(0, 3, 1, 2)


class SpatialGate(nn.Module):
    """Weights for the places and channels of a map, out(grid mix | block mix); x [batch H W size]."""

    def __init__(self, size: int, out: int, widths: tuple[int, int], sides: tuple[int, int]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size, eps=1e-6)
        self.act = nn.GELU(approximate="tanh")
        self.inputs = nn.ModuleList(nn.Linear(size, width) for width in widths)
        self.mixes = nn.ModuleList(Positions(side, grid=i == 0, ones=True) for i, side in enumerate(sides))
        self.out = nn.Linear(sum(widths), out)

    def forward(self, x: Tensor) -> Tensor:
        """[batch H W out]."""
        y = self.norm(x)
        return self.out(torch.cat([mix(self.act(to(y))) for to, mix in zip(self.inputs, self.mixes, strict=True)], -1))


class CrossGate(nn.Module):
    """Two maps, each weighed place by place by the other: x, y [batch ... H W] to two of [batch size H W].

    y' = out_y(y * gate(x)) + y and x' = out_x(x * gate(y)) + y' + x, of both maps projected. With `up` y has half of
    x's sides and is made as large first. `inputs` and `widths` are those of x and y: channels that come in, and inner
    ones; `gates` the widths of the grid and block half of x's gate, then of y's.
    """

    def __init__(
        self, size: int, inputs: tuple[int, int], widths: tuple[int, int], gates: tuple[int, ...],
        sides: tuple[int, int], *, up: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs[1], size, 2, 2) if up else None
        self.to_x = nn.Conv2d(inputs[0], size, 1)
        self.to_y = nn.Conv2d(size if up else inputs[1], size, 1)
        self.norm_x, self.norm_y = (nn.LayerNorm(size, eps=1e-6) for _ in range(2))
        self.in_x, self.in_y = (nn.Linear(size, width) for width in widths)
        self.act = nn.GELU(approximate="tanh")
        x, y = widths
        self.gate_x = SpatialGate(x, y, (gates[0], gates[1]), sides)
        self.gate_y = SpatialGate(y, x, (gates[2], gates[3]), sides)
        self.out_x, self.out_y = (nn.Linear(width, size) for width in widths)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What was x, weighed by y and with y' in it, and y weighed by x."""
        x = self.to_x(x).permute(0, 2, 3, 1)
        y = self.to_y(y if self.up is None else self.up(y)).permute(0, 2, 3, 1)
        inner_x, inner_y = self.act(self.in_x(self.norm_x(x))), self.act(self.in_y(self.norm_y(y)))
        new_y = self.out_y(inner_y * self.gate_x(inner_x)) + y
        new_x = self.out_x(inner_x * self.gate_y(inner_y)) + new_y + x
        return new_x.permute(0, 3, 1, 2), new_y.permute(0, 3, 1, 2)
