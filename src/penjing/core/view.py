"""What a method looks at, and what it asks to see."""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Protocol

from penjing.core.budget import Budget
from penjing.core.checkpoint import Checkpoint
from penjing.core.layout import Layout
from penjing.core.live import BlockByBlock, Live
from penjing.core.stats import Stats
from penjing.errors import DataError


class Examples(Protocol):
    """The data itself, batch by batch, as the model takes it (labels, where there are any, come in a pair)."""

    @property
    def count(self) -> int:
        """How many batches there are, 0 where nobody knows."""
        ...

    def again(self) -> Iterable[Any]:
        """All batches, from the first."""
        ...


@dataclass(frozen=True)
class Wants:
    """What a method must be given besides the weights: with nothing set, it needs no data.

    `statistics` names those of each parameter, or of each block by the path of its module (see `Stats`), collected
    before it is asked. `live` is the model itself, to try plans on; `blocks` goes through its blocks, each measured
    behind those that are cut already; `data` are the batches.
    """

    statistics: Mapping[str, frozenset[str]] = field(default_factory=dict)
    _: KW_ONLY
    live: bool = False
    blocks: bool = False
    data: bool = False

    def __bool__(self) -> bool:
        """Whether anything is wanted, so that data are needed."""
        return bool(self.statistics) or self.live or self.blocks or self.data

    @property
    def kinds(self) -> frozenset[str]:
        """The names of the statistics."""
        return frozenset().union(*self.statistics.values())

    @property
    def names(self) -> frozenset[str]:
        """The names of the statistics, and "live", "blocks" and "data" where these are wanted: what a card says."""
        flags = {"live": self.live, "blocks": self.blocks, "data": self.data}
        return self.kinds | {name for name, wanted in flags.items() if wanted}


@dataclass(frozen=True)
class View:
    """Everything that a method may look at, and nothing that it may change.

    `stats` holds what `wants` declared and no more; `live`, `blocks` and `data` are there only if it declared them.
    `seed` starts whatever is drawn.
    """

    model: Checkpoint
    layout: Layout
    stats: Stats
    budget: Budget
    _: KW_ONLY
    seed: int = 0
    live: Live | None = None
    blocks: BlockByBlock | None = None
    data: Examples | None = None

    def running(self) -> Live:
        """The model itself.

        Raises:
            DataError: it is not there.
        """
        if self.live is None:
            raise DataError(
                "this method tries things on the model itself, and no running model was given; "
                "plan through penjing.plan or penjing.shrink, which load it"
            )
        return self.live

    def by_block(self) -> BlockByBlock:
        """The model block by block.

        Raises:
            DataError: it is not there.
        """
        if self.blocks is None:
            raise DataError(
                "going block by block needs the model and its data, and neither was given; "
                "plan through penjing.plan or penjing.shrink, which load them"
            )
        return self.blocks

    def examples(self) -> Examples:
        """The data.

        Raises:
            DataError: they are not there.
        """
        if self.data is None:
            raise DataError(
                "this method reads the data itself, and none were given; plan through penjing.plan or penjing.shrink"
            )
        return self.data
