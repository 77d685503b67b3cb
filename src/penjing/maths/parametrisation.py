"""How a network's first values, multipliers and learning rate may scale with its width, and what comes of each choice.

An MLP with L hidden layers of width n has layers 1 to L + 1; layer l is W = n^-a_l w, with w drawn with variance
n^(-2 b_l), trained by SGD at a rate of eta n^-c.

Source: Yang & Hu, "Feature Learning in Infinite-Width Neural Networks", ICML 2021, arXiv:2011.14522: the exponent r,
the theorem on stability, what is trivial, and the dichotomy of feature learning and kernels. Uncertain: the formulas
were not compared with the paper's text; they give its own table of parametrisations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penjing.errors import RequestError

Regime = Literal["feature learning", "kernel", "trivial", "unstable"]
CLOSE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Abc:
    """Exponents of the width: `a` and `b` of each layer, from the input to the output, and `c` of the learning rate."""

    a: tuple[float, ...]
    b: tuple[float, ...]
    c: float

    def __post_init__(self) -> None:
        if len(self.a) != len(self.b) or len(self.a) < 2:
            raise RequestError(f"found {len(self.a)} a and {len(self.b)} b; needed as many, one a layer, two or more")

    def shifted(self, by: float) -> "Abc":
        """The same function at all times, written otherwise: a + t, b - t, c - 2t."""
        return Abc(a=tuple(x + by for x in self.a), b=tuple(x - by for x in self.b), c=self.c - 2 * by)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of a wide network.

    `r` is the exponent by which the change of its last hidden states shrinks with the width; `failed` says which
    conditions of stability do not hold, in words.
    """

    r: float
    regime: Regime
    failed: tuple[str, ...] = ()


def named(name: str, hidden: int = 2) -> Abc:
    """A parametrisation by its name, of a network with so many hidden layers.

    >>> named("mup", 1)
    Abc(a=(-0.5, 0.5), b=(0.5, 0.5), c=0.0)

    Raises:
        RequestError: there is none of that name, or no hidden layer.
    """
    tables = {
        "standard": ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), 0.0),
        "standard with a small rate": ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), 1.0),
        "ntk": ((0.0, 0.5, 0.5), (0.0, 0.0, 0.0), 0.0),
        "mup": ((-0.5, 0.0, 0.5), (0.5, 0.5, 0.5), 0.0),
    }
    if name not in tables or hidden < 1:
        raise RequestError(f"found '{name}' of {hidden} hidden layers; needed one of {', '.join(tables)}, of 1 or more")
    a, b, c = tables[name]
    return Abc(a=_spread(a, hidden), b=_spread(b, hidden), c=c)


def classify(abc: Abc) -> Verdict:
    """Whether a parametrisation is stable, moves at all, and learns features, as the width grows.

    >>> classify(named("mup")).regime, classify(named("ntk")).r
    ('feature learning', 0.5)
    """
    (a1, *a_mid, a_out), (b1, *b_mid, b_out), c = abc.a, abc.b, abc.c
    inner = min([2 * a1 + 1, *(2 * a for a in a_mid)])
    r = min(a_out + b_out, 2 * a_out + c) + c - 1 + inner
    conditions = {
        "the first layer's outputs at the start": abs(a1 + b1) < CLOSE,
        "the hidden layers' outputs at the start": all(
            abs(a + b - 0.5) < CLOSE for a, b in zip(a_mid, b_mid, strict=True)
        ),
        "the output at the start": a_out + b_out >= 0.5 - CLOSE,
        "the change of the hidden states": r >= -CLOSE,
        "the output's change by the last layer": 2 * a_out + c >= 1 - CLOSE,
        "the output's change by the hidden states": a_out + b_out + r >= 1 - CLOSE,
    }
    failed = tuple(name for name, holds in conditions.items() if not holds)
    if failed:
        return Verdict(r=r, regime="unstable", failed=failed)
    if abs(2 * a_out + c - 1) > CLOSE and abs(a_out + b_out + r - 1) > CLOSE:
        return Verdict(r=r, regime="trivial")
    return Verdict(r=r, regime="feature learning" if abs(r) < CLOSE else "kernel")


def _spread(three: Sequence[float], hidden: int) -> tuple[float, ...]:
    first, middle, last = three
    return (first, *[middle] * (hidden - 1), last)
