"""What was measured of a model's activations: (tensor, statistic) -> Tensor."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from penjing.errors import DataError


@dataclass(frozen=True)
class Stats:
    """Statistics by parameter and name, with the number of samples (tokens, positions) behind them.

    Known statistics: `input_energy` [in], the mean of each squared input; `input_mean` [in];
    `input_second_moment` [in in], the mean of x xᵀ, float32.
    """

    values: Mapping[tuple[str, str], Tensor] = field(default_factory=dict)
    samples: int = 0

    def __getitem__(self, key: tuple[str, str]) -> Tensor:
        """The statistic of one tensor.

        Raises:
            DataError: it was not collected.
        """
        if key not in self.values:
            raise DataError(f"statistic '{key[1]}' of {key[0]} was not collected; declare it in the method's card")
        return self.values[key]

    def __contains__(self, key: object) -> bool:
        return key in self.values

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.values)
