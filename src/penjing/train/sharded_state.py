"""States of a run of several processes: each writes its parts of the tensors, and any number of processes reads them.

Beside `tensors.safetensors`, which has what is whole, such a state has a folder `shards` of safetensors files with the
parts and where they belong, written and read by torch.distributed.checkpoint, which parts them anew for whoever reads.
All processes see the same folder: on several machines it lies on a disk that they share.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penjing.errors import OutputError, TrainingError
from penjing.train.keeper import Keeper, size_of, write_tensors
from penjing.train.ranks import Ranks, told_if_lost
from penjing.train.run import Run
from penjing.train.state import reference

SHARDS = "shards"
GENERATOR = "generator:"


class SharedKeeper:
    """Keeps the states of a run that several processes train together; each of them has one.

    The draws of dropout are each process's own, and go on only where as many processes do.
    """

    def __init__(self, keeper: Keeper, run: Run) -> None:
        self._keeper, self._run, self._ranks = keeper, run, run.ranks
        self.refused = keeper.refused

    def due(self) -> bool:
        """Whether the first process finds that it is time."""
        return self._ranks.agree(self._keeper.due())

    def newest(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]] | None:
        """(tensors, facts) of the newest state; what lies in parts comes in parts.

        Raises:
            TrainingError: a state cannot be read.
        """
        found: Any = self._ranks.agree(self._keeper.newest_place() if self._ranks.first else None)
        if found is None:
            return None
        place, facts = found
        from safetensors.torch import load_file

        tensors = load_file(place / "tensors.safetensors")
        if (place / SHARDS).is_dir():
            with told_if_lost(self._ranks):
                tensors |= _read(place / SHARDS, self._run, self._ranks)
        return for_rank(tensors, self._ranks), facts

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
        """Keep a state; where the disk refuses any of the processes, say so and go on, as `Keeper.save` does."""
        parted = {n: t for n, t in tensors.items() if hasattr(t, "full_tensor")}
        rest = {n: t for n, t in tensors.items() if n not in parted and not n.startswith(GENERATOR)}
        own = {n: t for n, t in tensors.items() if n.startswith(GENERATOR)}
        for number, one in enumerate(self._ranks.all_of(own)):
            rest |= {f"rank{number}:{n}": t for n, t in one.items()}
        if not self._ranks.first:
            place = self._ranks.agree(None)
            if place is not None:
                with told_if_lost(self._ranks):
                    _write(place, parted)
            return bool(self._ranks.agree(None))
        called = False

        def write(new: Path) -> None:
            nonlocal called
            called = True
            self._ranks.agree(new / SHARDS)
            with told_if_lost(self._ranks):
                problem = _write(new / SHARDS, parted)
            _refuse(problem)
            write_tensors(new / "tensors.safetensors", rest)

        kept = self._keeper.save_by(write, size_of(parted) + size_of(rest), facts)
        if not called:
            self._ranks.agree(None)
        return self._ranks.agree(kept)


def for_rank(tensors: Mapping[str, Tensor], ranks: Ranks) -> dict[str, Tensor]:
    """The tensors of a state with the generators of this process, if as many processes wrote it, and else with none."""
    others = {n.partition(":")[0] for n in tensors if n.startswith("rank")}
    own = f"rank{ranks.number}:"
    out = {n: t for n, t in tensors.items() if not n.startswith(("rank", GENERATOR))}
    if len(others) == ranks.count:
        out |= {n.removeprefix(own): t for n, t in tensors.items() if n.startswith(own)}
    elif not others and not ranks.several:
        out |= {n: t for n, t in tensors.items() if n.startswith(GENERATOR)}
    return out


def read_whole(place: Path) -> dict[str, Tensor]:
    """The whole tensors of which a state holds parts; none where it holds no parts.

    Raises:
        OSError: a file cannot be read.
    """
    if not (place / SHARDS).is_dir():
        return {}
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = _storage(place / SHARDS)
    found: dict[str, Any] = {
        n: torch.empty(told.size, dtype=told.properties.dtype)
        for n, told in reader.read_metadata().state_dict_metadata.items()
    }
    with _quietly():
        load(found, storage_reader=reader, no_dist=True)
    return found


def _read(place: Path, run: Run, ranks: Ranks) -> dict[str, Tensor]:
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = _storage(place)
    found: dict[str, Any] = {}
    for name, told in reader.read_metadata().state_dict_metadata.items():
        known = reference(run, name)
        if known is None or known.shape != told.size:
            differ = f"the kept state and the model that is trained differ in '{name}'"
            raise TrainingError(f"{differ}; remove it to begin anew")
        found[name] = torch.zeros_like(known.detach(), dtype=told.properties.dtype)
    with _quietly():
        load(found, storage_reader=reader)
    return found


def _write(place: Path, parted: Mapping[str, Tensor]) -> str:
    """Write this process's parts; what went wrong, for all of them, or nothing."""
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    try:
        with _quietly():
            writer = HuggingFaceStorageWriter(str(place), save_distributed=True)
            save(dict(parted), storage_writer=writer)
    except CheckpointException as error:
        first = next(iter(error.failures.values()))
        return f"{place.name} cannot be written ({first[0]}); make room, or mend the disk"
    return ""


def _refuse(problem: str) -> None:
    if problem:
        raise OutputError(problem)


def _storage(place: Path) -> Any:
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

    return HuggingFaceStorageReader(str(place))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch tells of its own parts that it means to change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield
