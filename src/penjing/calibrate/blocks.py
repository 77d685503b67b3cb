"""Statistics of a model that does not fit into memory: one block's weights at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.calibrate.batches import Batch, examples, run
from penjing.calibrate.calling import Call, Pool, calls_of, form_of, noted, pretending, states_in
from penjing.calibrate.collect import as_stats, check_known, finished
from penjing.calibrate.finite import NotFiniteError
from penjing.calibrate.hidden import Hidden, put_away
from penjing.calibrate.means import Means
from penjing.calibrate.shell import Shell
from penjing.calibrate.statistics import find
from penjing.calibrate.watching import Job, Watch, jobs
from penjing.core import Blocks, Stats
from penjing.errors import DataError, UnsupportedError
from penjing.io import OpenCheckpoint

Wanted = Mapping[str, frozenset[str]]


def collect_by_blocks(
    checkpoint: OpenCheckpoint,
    blocks: Sequence[Blocks],
    batches: Iterable[Batch],
    wanted: Wanted,
    *,
    memory: int,
    scratch: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Stats:
    """What `collect` gives, for a checkpoint of a stock model with one list of blocks (a decoder or an encoder).

    Weights are read in float32, one block (or one layer outside the blocks) at a time. Each block's statistics, and
    the hidden states of all rows, lie in files of the folder `scratch` when they would take more than a quarter of
    `memory` (bytes); the folder has to stay as long as the result. `wanted` is under the checkpoint's names. `progress`
    gets (steps done, all steps), a step being one batch through one block.

    Raises:
        DataError: as `collect`; or a derivative is wanted, or a part is too large.
        UnsupportedError: there is not one list of blocks, or a layer cannot be measured.
        CheckpointError: the checkpoint cannot be read, or no stock model is built from its config.
    """
    found = measure_by_blocks(checkpoint, blocks, batches, wanted, memory=memory, scratch=scratch, progress=progress)
    return as_stats(found, wanted)


def measure_by_blocks(
    checkpoint: OpenCheckpoint,
    blocks: Sequence[Blocks],
    batches: Iterable[Batch],
    wanted: Wanted,
    *,
    memory: int,
    scratch: Path,
    progress: Callable[[int, int], None] | None = None,
) -> Means:
    """As `collect_by_blocks`, with the count of samples of each statistic.

    Raises:
        DataError: as `collect_by_blocks`.
        UnsupportedError: as `collect_by_blocks`.
        CheckpointError: as `collect_by_blocks`.
    """
    check_known(wanted)
    _refuse_derivatives(wanted)
    _refuse_spans(wanted)
    if len(blocks) != 1:
        lists = ", ".join(b.path for b in blocks) or "no list of blocks"
        raise UnsupportedError(f"going block by block needs one list of blocks, found {lists}; give more memory")
    rows = list(batches)
    if not rows:
        raise DataError("found no calibration data, needed at least one batch; give a text or other examples")
    shell = Shell(checkpoint)
    _refuse_too_large(shell, blocks[0].path, memory)
    stages = _Stages(shell, blocks[0].path, rows, jobs(shell.module, wanted, shell.names), memory, scratch)
    with torch.no_grad():
        try:
            found = stages.go(progress or (lambda done, total: None))
        except NotFiniteError as bad:
            raise DataError(
                f"{bad.what} hold {bad.count} values that are not finite, needed are finite ones; check the weights "
                "for NaN"
            ) from bad
    return finished(found, wanted)


def _refuse_derivatives(wanted: Wanted) -> None:
    for tensor, statistics in wanted.items():
        for statistic in sorted(s for s in statistics if find(s).cost != "forward"):
            raise DataError(
                f"{statistic} of {tensor} cannot be had block by block: a derivative needs the whole model's forward "
                "and backward at once; allow more memory, or use a method without derivatives"
            )


def _refuse_spans(wanted: Wanted) -> None:
    for tensor, statistics in wanted.items():
        for statistic in sorted(s for s in statistics if find(s).reads == "span"):
            raise DataError(
                f"{statistic} of {tensor} cannot be had block by block: it compares the streams of many blocks; allow "
                "more memory"
            )


def _refuse_too_large(shell: Shell, path: str, memory: int) -> None:
    size = len(shell.module.get_submodule(path)._modules)
    parts = {f"{path}.{i}": shell.bytes_of(f"{path}.{i}") for i in range(size)}
    for name, layer in shell.module.named_modules():
        if not (name + ".").startswith(path + "."):
            parts[name] = shell.own_bytes(layer)
    largest = max(parts, key=lambda name: parts[name])
    if parts[largest] > memory:
        raise DataError(
            f"{largest} alone takes {parts[largest]:,} bytes in float32, and the memory allowed is {memory:,}; allow "
            "more than that"
        )


class _Stages:
    def __init__(
        self, shell: Shell, path: str, rows: Sequence[Batch], looked_at: Sequence[Job], memory: int, scratch: Path
    ) -> None:
        self._shell, self._path, self._rows = shell, path, rows
        self._blocks: list[Any] = list(shell.module.get_submodule(path).children())
        self._inside: dict[int, list[Job]] = {i: [] for i in range(len(self._blocks))}
        self._outside: list[Job] = []
        for job in looked_at:
            rest = job.place.path.removeprefix(path + ".")
            if rest == job.place.path:
                self._outside.append(job)
            else:
                self._inside[int(rest.split(".")[0])].append(job)
        self._limit = memory // 4
        self._scratch = scratch
        self._hidden = Hidden(scratch, self._limit)
        self._pool = Pool()
        self._calls: list[list[Call]] = []

    def go(self, progress: Callable[[int, int], None]) -> Means:
        """All statistics: first what the blocks are called with, then block after block, then what lies around them."""
        total = len(self._blocks) * len(self._rows)
        self._calls = [self._called(batch) for batch in self._rows]
        self._hidden.settle()
        found = Means()
        for i in range(len(self._blocks)):
            means = Means()
            with self._shell.filled(f"{self._path}.{i}") as block:
                for place, batch in enumerate(self._rows):
                    with Watch(self._inside[i]).hooks(means, examples(batch)):
                        output = self._calls[place][i](block, self._hidden[place])
                    self._hidden[place] = states_in(output)
                    progress(i * len(self._rows) + place + 1, total)
            self._put_away(means, f"block-{i}")
            found.values.update(means.values)
            found.counts.update(means.counts)
        if self._outside:
            for place, batch in enumerate(self._rows):
                with Watch(self._outside).hooks(found, examples(batch)):
                    self._around(batch, place)
        return found

    def _put_away(self, means: Means, name: str) -> None:
        """Lay a block's statistics into a file, and hold its pages instead, if those of all blocks were too large."""
        size = sum(4 * v.numel() for v in means.values.values()) * len(self._blocks)
        if size > self._limit:
            self._scratch.mkdir(parents=True, exist_ok=True)
            means.values.update(put_away(means.values, self._scratch / f"{name}.bin"))

    def _called(self, batch: Batch) -> list[Call]:
        """Run what lies before the blocks, and note what each of them is called with."""
        try:
            with self._shell.on_demand(self._path):
                calls, hidden = calls_of(self._blocks, lambda: run(self._shell.module, batch), self._form, self._pool)
        except DataError as error:
            raise DataError(f"{error} in {self._path}, so it cannot be run block by block; give more memory") from error
        self._hidden.append(hidden.detach().float())
        return calls

    def _form(self, call: Call, hidden: Tensor) -> Callable[[Tensor], Any]:
        """What a block gives besides its hidden states, found by running the first one."""
        with self._shell.filled(f"{self._path}.0") as block:
            forward = block.__dict__.pop("forward")
            try:
                return form_of(call(block, hidden))
            finally:
                block.forward = forward

    def _around(self, batch: Batch, place: int) -> None:
        """Run what lies before and behind the blocks, with the hidden states that they gave in between."""

        def pretend(i: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            call, hidden = noted(args, kwargs, self._pool)
            if not form:
                form.append(self._form(call, hidden))
            return form[0](self._hidden[place] if i + 1 == len(self._blocks) else hidden)

        form: list[Any] = []
        with self._shell.on_demand(self._path):
            pretending(self._blocks, pretend)(lambda: run(self._shell.module, batch))
