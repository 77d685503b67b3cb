"""How a run of training goes, whatever it is for: the optimiser, the rate, the mean of the weights, when it ends."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from penjing.errors import RequestError, nearest

Optimisers = Literal["adamw", "sgd", "lion"]
Schedule = Literal["constant", "linear", "cosine"]
Autocast = Literal["auto", "bfloat16", "none"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "optimiser": ("adamw", "sgd", "lion"),
    "schedule": ("constant", "linear", "cosine"),
    "autocast": ("auto", "bfloat16", "none"),
}
_SHARES = ("warm", "last", "average", "ema", "lowest", "label_smoothing")
_ABOVE = {"accumulate": 1, "clip": 0.0, "patience": 0, "weight_decay": 0.0, "momentum": 0.0}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The parts of a loop. Shares are of all steps.

    The learning rate rises from 0 over `warm`. Then a `schedule` of "constant" stays at 1 and falls in a line to
    `lowest` over the `last` share of the steps; "linear" and "cosine" fall to `lowest` all the way. Gradients of
    `accumulate` batches make a step, and are scaled down to the norm `clip` (0: never). `average` is the share of the
    steps at the end over which weights are averaged, `ema` the decay of a moving average that is taken from the start
    (both 0: the last weights). `autocast` runs products in bfloat16: "auto" does on a GPU that has it, and on a
    processor with matrix units for it (AMX) from ten million parameters on. Training stops once the loss on held-out
    data has not become better `patience` times in a row, and the best weights are taken (0: it never stops early).
    `label_smoothing` is the share of the target that all classes divide among them. `betas` are those of adamw; lion
    has (0.9, 0.99) unless others are given.
    """

    optimiser: Optimisers = "adamw"
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    warm: float = 0.05
    schedule: Schedule = "constant"
    last: float = 0.25
    lowest: float = 0.0
    accumulate: int = 1
    clip: float = 1.0
    average: float = 0.0
    ema: float = 0.0
    autocast: Autocast = "auto"
    patience: int = 0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            RequestError: one is of another kind or out of range.
        """
        for one in fields(self):
            object.__setattr__(self, one.name, _read(one.name, getattr(self, one.name), one.default))
        if self.average and self.ema:
            raise RequestError(f"average is {self.average:g} and ema {self.ema:g}; give one of the two")


def settings_from(given: dict[str, Any]) -> Settings:
    """The settings with these values by name.

    Raises:
        RequestError: a name is not known, or a value does not serve.
    """
    known = [one.name for one in fields(Settings)]
    for name in given:
        if name not in known:
            raise RequestError(f"training has no setting '{name}'{nearest(name, known)}; it has {', '.join(known)}")
    return Settings(**given)


def _read(name: str, value: Any, usual: Any) -> Any:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise RequestError(f"{name} is {value!r}; it is one of {', '.join(_CHOICES[name])}")
        return value
    if name == "betas":
        if not isinstance(value, tuple | list) or len(value) != 2 or not all(_is(v) and 0 <= v < 1 for v in value):
            raise RequestError(f"betas are {value!r}; needed two numbers from 0 up to 1, as [0.9, 0.999]")
        return tuple(float(v) for v in value)
    if not _is(value) or (isinstance(usual, int) and not float(value).is_integer()):
        raise RequestError(f"{name} is {value!r}; needed a {'whole ' if isinstance(usual, int) else ''}number")
    least = _ABOVE.get(name, 0.0)
    if not value >= least or (name in _SHARES and not value < (1.0 if name == "ema" else 1.0 + 1e-12)):
        most = " and below 1" if name == "ema" else " up to 1" if name in _SHARES else " or more"
        raise RequestError(f"{name} is {value:g}; needed {least:g}{most}")
    return int(value) if isinstance(usual, int) else float(value)


def _is(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
