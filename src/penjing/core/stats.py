"""What was measured of a model on data: (name, statistic) -> Tensor."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from penjing.errors import DataError


@dataclass(frozen=True)
class Stats:
    """Statistics by parameter (or block) and name, with the number of samples (tokens, positions) behind them.

    All are float32. Which there are, what each is and what it costs stands in `calibrate/statistics/`, a file for each:
    of what goes into or comes out of the layer that owns a parameter, of a block by the path of its module, and of the
    derivative of an objective, whose name stands in front. `samples` is the least that stands behind any of them,
    `counts` how many stand behind each: an encoder sees more positions than the decoder behind it.
    """

    values: Mapping[tuple[str, str], Tensor] = field(default_factory=dict)
    samples: int = 0
    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def seen(self, tensor: str, statistic: str) -> int:
        """The number of samples behind one statistic."""
        return self.counts.get((tensor, statistic), self.samples)

    def __getitem__(self, key: tuple[str, str]) -> Tensor:
        """The statistic of one tensor.

        Raises:
            DataError: it was not collected.
        """
        if key not in self.values:
            raise DataError(f"statistic '{key[1]}' of {key[0]} was not collected; declare it in the method's wants")
        return self.values[key]

    def __contains__(self, key: object) -> bool:
        return key in self.values

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.values)
