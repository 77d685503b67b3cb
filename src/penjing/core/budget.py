"""Exactly one limit, in one unit."""

from dataclasses import dataclass, fields
from math import isfinite

from penjing.errors import BudgetError


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How small the result must be. Set one field.

    `keep` is the fraction of units kept in each chosen axis; `parameters`, `macs` (multiply-adds per token, or per
    sample for models without tokens) and `bytes` (of weights) are limits for the whole model; `seconds` is measured
    on the stated device; `loss` is the increase allowed.

    Raises:
        BudgetError: none or several are set, or the value is out of range.
    """

    keep: float | None = None
    parameters: int | None = None
    macs: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    loss: float | None = None

    def __post_init__(self) -> None:
        given = [f.name for f in fields(self) if getattr(self, f.name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise BudgetError(f"a budget has one limit; found {found}; choose one of keep, parameters, macs, bytes")
        value = float(getattr(self, given[0]))
        if given[0] == "keep" and not 0 < value <= 1:
            raise BudgetError(f"keep is the fraction that stays, above 0 and at most 1; found {value:g}")
        if not isfinite(value):
            raise BudgetError(f"{given[0]} must be a number; found {value:g}")
        if not value > 0 and given[0] != "loss":
            raise BudgetError(f"{given[0]} must be above 0; found {value:g}")

    @property
    def unit(self) -> str:
        """The name of the field that is set."""
        return next(f.name for f in fields(self) if getattr(self, f.name) is not None)

    @property
    def limit(self) -> float:
        """The value of the field that is set."""
        return float(getattr(self, self.unit))

    def __str__(self) -> str:
        return f"{self.unit} {self.limit:g}"
