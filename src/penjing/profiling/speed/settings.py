"""What is timed and how, and what timing gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from penjing.core import Measurement

JOBS = {"prefill": "prefill_seconds", "decode": "decode_seconds_per_token"}
"""Job -> figure, for the two jobs that every round does."""

Energy = Literal["counters", "estimate", "no"]
Clock = Literal["wall", "processor"]


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How speed is measured: a pass over `tokens`, and steps of one token after `context` tokens, batch 1.

    `threads` None takes one per physical core; the process is pinned to as many CPUs. `rounds` ends early, after
    five at least, once `limit` seconds have gone by. `timeout` seconds without an answer end the measurement.

    Every round takes `prefills` passes and `steps` steps. With `more`, every second round also takes the time to
    the first token and, `batch` sequences or images at once, the rate. `warm` seconds (or ten runs) of each job go
    untimed before the first round.

    `energy` "counters" reads the machine's energy counters where there are any, for `energy_seconds` per model, after
    as long without work; where there are none it takes no time and gives no figure. "estimate" gives a figure from
    the processor's nominal power where there is no counter, labelled as estimated.

    The "processor" `clock` counts the seconds that the process had a processor, and so not those in which others had
    it: for a machine that is not quiet, and one thread. The seconds of several threads add up.
    """

    tokens: int = 128
    context: int = 128
    rounds: int = 15
    prefills: int = 2
    steps: int = 8
    threads: int | None = None
    device: str = "cpu"
    dtype: str = "auto"
    limit: float = 120.0
    timeout: float = 900.0
    more: bool = True
    batch: int = 8
    warm: float = 1.0
    energy: Energy = "counters"
    energy_seconds: float = 10.0
    clock: Clock = "wall"


@dataclass(frozen=True, kw_only=True)
class Timings:
    """Seconds by job and model: one list of repeats per round. `null` is the second copy of the first model.

    `batch` is how many sequences or images a run of the batched jobs has at once, `reading` what a pass is called.
    `runtimes` names what runs a model that is a file for another runtime.
    """

    seconds: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
    null: Mapping[str, Sequence[Sequence[float]]]
    protocol: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 1
    reading: str = ""
    runtimes: Mapping[str, str] = field(default_factory=dict)

    def protocol_of(self, name: str) -> str:
        """How a model was timed, with the runtime of a file."""
        return f"{self.protocol} runtime={self.runtimes[name]}" if name in self.runtimes else self.protocol


@dataclass(frozen=True, kw_only=True)
class SpeedResult:
    """Each model's figures, the ratios of every other model to the first, and the raw timings."""

    figures: Mapping[str, tuple[Measurement, ...]]
    ratios: tuple[Measurement, ...]
    timings: Timings
