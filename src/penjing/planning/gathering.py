"""Statistics for plans: those on disk from there, all others from one pass of the data through the model."""

import json
import math
import time
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from penjing.calibrate import Means, Pass, measure_by_blocks
from penjing.errors import DataError
from penjing.planning.batches import Examples
from penjing.planning.order import Order
from penjing.planning.statistics_cache import Shelf, Wanted, shelf
from penjing.running.opened import Opened
from penjing.running.source import Source

JOURNAL_SECONDS = 60.0
"""How often a pass notes what it has found: what a stopped one may have to do again."""


def refuse_small_memory(source: Source, order: Order) -> None:
    """Refuse to run the whole model where it does not fit in the memory allowed.

    Raises:
        DataError: it does not.
    """
    if order.memory is not None and _size(source) > order.memory:
        raise DataError(
            f"method '{order.method}' runs the whole model, which takes {_size(source):,} bytes in float32, and the "
            f"memory allowed is {order.memory:,}; allow more, or choose a method that does not run it"
        )


def found_statistics(source: Source, order: Order, wanted: Wanted, data: Examples, opened: Opened) -> Means:
    """The statistics that are wanted: those on disk from there, the others from one pass, which then are on disk.

    Raises:
        DataError: the data do not serve, or the model cannot be run in the memory allowed.
        OutputError: the cache cannot be written to.
    """
    place = _shelf(source, order, data, opened)
    found, missing = place.find(wanted) if place is not None else (Means(), dict(wanted))
    if not missing:
        opened.progress("statistics found on disk", 0, 0)
        return found
    if order.memory is not None and _size(source) > order.memory:
        with TemporaryDirectory(prefix="penjing-", dir=_made(opened.cache)) as scratch:
            new = _by_blocks(source, order, missing, data, opened, Path(scratch))
            if place is None:
                return Means({k: v.clone() for k, v in new.values.items()}, new.counts)
            place.put(new)
            del new
        again, left = place.find(missing)
        if left:
            raise DataError(f"statistics of {next(iter(left))} were written and could not be read back; check the disk")
        return Means({**found.values, **again.values}, {**found.counts, **again.counts})
    new = _in_memory(missing, data, opened, place)
    if place is not None:
        place.put(new)
        place.end_journal(missing)
    return Means({**found.values, **new.values}, {**found.counts, **new.counts})


def _in_memory(missing: Wanted, data: Examples, opened: Opened, place: Shelf | None) -> Means:
    with Pass(opened.module(), missing, names=opened.names()) as one_pass:
        if place is not None:
            one_pass.means, one_pass.done = place.journal(missing)
        earlier, noted = one_pass.done, time.monotonic()
        for i, batch in enumerate(data.again(), start=1):
            if i > earlier:
                one_pass.take(batch)
            opened.progress("collecting statistics", i, data.count)
            if place is not None and i > earlier and time.monotonic() - noted >= JOURNAL_SECONDS:
                place.put_journal(missing, one_pass.means, i)
                noted = time.monotonic()
        return one_pass.result()


def _by_blocks(source: Source, order: Order, missing: Wanted, data: Examples, opened: Opened, scratch: Path) -> Means:
    def advance(done: int, total: int) -> None:
        opened.progress("collecting statistics, block by block", done, total)

    if not source.config:
        raise DataError(
            "only stock transformers models are run block by block, and this module has no config; allow it more memory"
        )
    memory = order.memory or 0
    return measure_by_blocks(
        source.weights(), source.layout.blocks, data.again(), missing, memory=memory, scratch=scratch, progress=advance
    )


def _shelf(source: Source, order: Order, data: Examples, opened: Opened) -> Shelf | None:
    """Where these statistics lie; None for what cannot be told again: other people's code, batches from a callable."""
    if not source.config or not data.digest:
        return None
    config = json.dumps(dict(source.config), sort_keys=True, default=str)
    facts = {
        "model": source.weights().fingerprint,
        "config": sha256(config.encode()).hexdigest(),
        "data": data.digest,
        "batch": order.batch,
        "dtype": opened.dtype,
    }
    return shelf(opened.cache, facts)


def _size(source: Source) -> int:
    """The bytes of a model's weights in float32."""
    return sum(4 * math.prod(shape) for shape in source.weights().shapes.values())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
