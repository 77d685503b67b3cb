"""A matrix as a chain of small cores (a matrix product operator): W x + b with W made of them, or never made at all.

It stands in for torch's linear layer and for the one of GPT-2 that keeps its matrix the other way round. `way` is how
it multiplies: through the cores from the first (`left`) or from the last (`right`), or by the matrix that it makes of
them in each pass (`matrix`). All ways give the same but for rounding; the one chosen is written with the model.

The sizes of the old matrix are in the cores as products of digits, so no axis of it can be cut afterwards.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from penjing.core.modules import Place
from penjing.errors import CheckpointError, PlanError, nearest
from penjing.maths.tensor_train import WAYS, bonds, from_left, from_right, matrix, multiply_adds

AXES: dict[str, tuple[str, int]] = {}
HOLDS = ("weight",)
"""Old tensors whose axes lie in the new ones as products, so that nobody cuts them from then on."""
_DIGITS = re.compile(r"[1-9][0-9]*(x[1-9][0-9]*)*")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The digits of outputs and inputs, "8x8x9", the bond, and the way to multiply."""

    outs: str
    ins: str
    bond: int
    way: str = "matrix"

    def __post_init__(self) -> None:
        for text in (self.outs, self.ins):
            if not isinstance(text, str) or not _DIGITS.fullmatch(text):
                raise PlanError(f"a chain of cores has the digits {str(text)[:40]!r}; '8x8x9' is one")
        if len(self.out_digits) != len(self.in_digits):
            raise PlanError(f"{self.outs} and {self.ins} have different numbers of digits; give as many of each")
        if type(self.bond) is not int or self.bond < 1:
            raise PlanError(f"a chain of cores has the bond {self.bond!r}; a whole number from 1 was needed")
        if self.way not in WAYS:
            raise PlanError(f"no way to multiply is '{self.way}'{nearest(self.way, WAYS)}; choose {', '.join(WAYS)}")

    @property
    def out_digits(self) -> tuple[int, ...]:
        """One for each core."""
        return tuple(int(n) for n in self.outs.split("x"))

    @property
    def in_digits(self) -> tuple[int, ...]:
        """One for each core."""
        return tuple(int(n) for n in self.ins.split("x"))

    def shapes(self) -> Iterator[tuple[int, int, int, int]]:
        """[left o i right] of each core."""
        wide = bonds(self.out_digits, self.in_digits, self.bond)
        for j, (o, i) in enumerate(zip(self.out_digits, self.in_digits, strict=True)):
            yield wide[j], o, i, wide[j + 1]


class Mpo(nn.Module):
    """The product with a matrix [out in] that lies in `core0`, `core1`, ..., and the bias of the old module."""

    def __init__(self, settings: Settings, out: int, into: int, *, bias: bool, transposed: bool = False) -> None:
        """Take the sizes of the matrix, which the digits may pad, and whether the old one was [in out]."""
        super().__init__()
        self.out_features, self.in_features, self.transposed = out, into, transposed
        self.settings = settings
        for j, shape in enumerate(settings.shapes()):
            self.register_parameter(f"core{j}", nn.Parameter(torch.zeros(shape)))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    @property
    def cores(self) -> list[Tensor]:
        """In the order of the digits."""
        return [self.get_parameter(f"core{j}") for j in range(len(self.settings.out_digits))]

    def forward(self, x: Tensor) -> Tensor:
        """What the old module gave, nearly."""
        if self.settings.way == "matrix":
            return F.linear(x, self._rows(), self.bias)
        padding = math.prod(self.settings.in_digits) - self.in_features
        flat = F.pad(x, (0, padding)) if padding else x
        through = from_left if self.settings.way == "left" else from_right
        found = through(flat.reshape(-1, flat.shape[-1]), self.cores)[:, : self.out_features]
        found = found.reshape(*x.shape[:-1], self.out_features)
        return found if self.bias is None else found + self.bias

    def _rows(self) -> Tensor:
        return matrix(self.cores)[: self.out_features, : self.in_features]

    @property
    def weight(self) -> Tensor:
        """The matrix, for stock code that looks at a layer's weight; it is made anew each time."""
        return self._rows().T if self.transposed else self._rows()


def tensors(old: Place, settings: Settings) -> dict[str, str]:
    """Name -> dimensions: cores of fixed sizes, and the old bias.

    Raises:
        PlanError: the old weight is no matrix, or the digits do not hold its sizes.
    """
    made, read = old.matrix()
    shape = old.shapes["weight"]
    if len(shape) != 2:
        raise PlanError(f"{old.path}.weight has {len(shape)} dimensions; a matrix was needed")
    _check(settings, shape[made[0]], shape[read[0]], old.path)
    out = {f"core{j}": " ".join(map(str, s)) for j, s in enumerate(settings.shapes())}
    return out | ({"bias": "bias:0"} if "bias" in old.shapes else {})


def work(settings: Settings) -> Iterator[tuple[str, int, bool]]:
    """(tensor, multiply-adds, whether for each input or once for all of a pass)."""
    each, once = multiply_adds(settings.out_digits, settings.in_digits, settings.bond, settings.way)
    yield from ((f"core{j}", n, True) for j, n in enumerate(each) if n)
    if once:
        yield "core0", once, False


def build(old: nn.Module, settings: Settings) -> Mpo:
    """The module for the place of a linear layer, on its device and in its dtype.

    Raises:
        PlanError: the old module is of another kind.
        CheckpointError: the digits do not hold its sizes.
    """
    weight, turned = _matrix_of(old)
    out, into = tuple(weight.shape)[::-1] if turned else weight.shape
    try:
        _check(settings, out, into, f"a {type(old).__name__}")
    except PlanError as error:
        raise CheckpointError(str(error)) from None
    with torch.device(weight.device):
        new = Mpo(settings, out, into, bias=getattr(old, "bias", None) is not None, transposed=turned)
    return new.to(weight.dtype)


def dense(old: nn.Module, settings: Settings, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the stock layer `old` that multiply as these do; what is made is float32."""
    weight, turned = _matrix_of(old)
    out, into = tuple(weight.shape)[::-1] if turned else weight.shape
    cores = [tensors[f"core{j}"].double() for j in range(len(settings.out_digits))]
    made = matrix(cores)[:out, :into].float()
    found = {"weight": (made.T if turned else made).contiguous()}
    return {**found, "bias": tensors["bias"]} if "bias" in tensors else found


def _matrix_of(old: Any) -> tuple[Tensor, bool]:
    """(the weight of a layer that does no more than multiply by it, whether it is [in out])."""
    weight = getattr(old, "weight", None)
    plain = isinstance(old, nn.Linear) and type(old).forward is nn.Linear.forward
    turned = not isinstance(old, nn.Linear) and isinstance(weight, Tensor) and weight.dim() == 2
    turned = turned and getattr(old, "nf", None) == old.weight.shape[1]
    if not isinstance(weight, Tensor) or not (plain or turned):
        raise PlanError(
            f"a {type(old).__name__} does more than multiply by a matrix, so cores cannot stand in for it; protect it, "
            "and name linear layers"
        )
    return weight, turned


def _check(settings: Settings, out: int, into: int, where: str) -> None:
    for size, digits, what in ((out, settings.out_digits, "outputs"), (into, settings.in_digits, "inputs")):
        if not size <= math.prod(digits) < 2 * size:
            told = "x".join(map(str, digits))
            raise PlanError(
                f"{where} has {size} {what}, and the digits {told} number {math.prod(digits)}; give digits for as "
                "many, or a few more"
            )
