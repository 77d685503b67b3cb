"""Write a checkpoint as a folder that appears only when it is whole; a run that was stopped goes on where it was."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from shutil import disk_usage
from typing import Any

from torch import Tensor

from penjing.errors import CheckpointError, OutputError
from penjing.io.headers import build_header
from penjing.io.json_config import text_of_config
from penjing.io.results import check_replaceable
from penjing.io.shard_file import ShardFile, writing
from penjing.io.spans import Span, TensorSpec, pack
from penjing.io.workspace import Workspace, check_output, outside, write_whole

GROUP = 1 << 30
"""Bytes that are written between two visits to the journal: what a killed run may have to do again."""

INDEX = "model.safetensors.index.json"

Produced = Tensor | Span | Iterator[Tensor]


@dataclass(frozen=True)
class _File:
    name: str
    tensors: tuple[TensorSpec, ...]
    first: bytes
    offsets: Mapping[str, int]

    @property
    def size(self) -> int:
        return len(self.first) + sum(t.length for t in self.tensors)


def write_folder(  # noqa: PLR0913 - one call carries a whole output
    out: Path,
    tensors: Sequence[TensorSpec],
    produce: Callable[[str], Produced],
    *,
    config: Mapping[str, Any],
    side_files: Mapping[str, Path | bytes],
    shards: Sequence[Sequence[str]] | None,
    fingerprint: str,
    progress: Callable[[int], None] | None = None,
    metadata: Mapping[str, str] | None = None,
    replacing: bool = False,
) -> None:
    """Write `tensors`, `config` and `side_files` to the folder `out`, which appears when everything is on the disk.

    `produce` gives each tensor when its turn comes: whole, as consecutive row-major pieces, or as the place of its
    bytes in another file. `shards` names the tensors of each file; None packs them by size. `fingerprint` tells
    source and plan: a stopped run goes on only if it is the same. `progress` is told the bytes of each finished tensor.
    With `replacing`, a result of penjing that lies at `out` stays until the new one is whole, and then makes room.

    Raises:
        OutputError: the place is taken, locked by another run, full or not writable.
        ValueError: names that do not fit together, or `produce` gave something else than promised.
    """
    files = _files(tensors, shards, {"format": "pt", **(metadata or {})})
    small = _small_files(files, config, side_files)
    identity = _identity(files, small, fingerprint)
    inputs = {p.parent for p in side_files.values() if isinstance(p, Path)}
    target = _target(Path(out), inputs, replacing)
    with Workspace(target, identity) as workspace:
        if workspace.published:
            workspace.tidy()
            return
        _check_free(target, replacing)
        _refuse_full(workspace, files)
        workspace.begin()
        _write_tensors(workspace, files, produce, progress or (lambda _: None))
        for name, data in small.items():
            path = workspace.folder / name
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, _content(data))
        workspace.publish(replacing=replacing)


def _target(out: Path, inputs: set[Path], replacing: bool) -> Path:
    """Where `out` leads. That it is free is checked once it is locked: a run may have ended just after its rename."""
    target = outside(out, inputs)
    if not target.with_name(f".{target.name}.partial").exists():
        _check_free(target, replacing)
    return target


def _check_free(target: Path, replacing: bool) -> None:
    """Make sure that the folder can appear there."""
    if replacing and target.is_dir() and any(target.iterdir()):
        check_replaceable(target)
    else:
        check_output(target)


def _files(
    tensors: Sequence[TensorSpec], shards: Sequence[Sequence[str]] | None, metadata: Mapping[str, str]
) -> list[_File]:
    specs = {t.name: t for t in tensors}
    groups = [list(g) for g in (pack(list(tensors)) if shards is None else shards) if g]
    named = [n for g in groups for n in g]
    if len(specs) != len(tensors) or len(set(named)) != len(named) or set(named) != set(specs):
        wrong = sorted(set(named) ^ set(specs)) or sorted({n for n in named if named.count(n) > 1})
        raise ValueError(f"shards and tensors must name the same tensors once each; '{wrong[:1]}' is not so")
    if not specs:
        raise OutputError("there are no tensors to write; a checkpoint has at least one")
    files = []
    for i, group in enumerate(groups):
        name = "model.safetensors" if len(groups) == 1 else f"model-{i + 1:05d}-of-{len(groups):05d}.safetensors"
        members = tuple(specs[n] for n in group)
        files.append(_File(name, members, *build_header(members, metadata)))
    return files


def _small_files(
    files: list[_File], config: Mapping[str, Any], side_files: Mapping[str, Path | bytes]
) -> dict[str, Path | bytes]:
    small: dict[str, Path | bytes] = {}
    if config:
        small["config.json"] = text_of_config(config).encode()
    if len(files) > 1:
        specs = [t for f in files for t in f.tensors]
        total = {"total_parameters": sum(t.length // t.dtype.itemsize for t in specs)}
        places = sorted((t.name, f.name) for f in files for t in f.tensors)
        size = sum(t.length for t in specs)
        small[INDEX] = _json({"metadata": {**total, "total_size": size}, "weight_map": dict(places)})
    taken = {f.name for f in files} | small.keys()
    for name, data in side_files.items():
        pure = PurePosixPath(name)
        if not name or pure.is_absolute() or ".." in pure.parts or name in taken:
            beside = min(taken)
            raise OutputError(f"a side file cannot be named '{name}'; it must lie in the output beside {beside}")
        small[name] = data
    return small


def _json(table: Mapping[str, Any]) -> bytes:
    return (json.dumps(table, indent=2, ensure_ascii=False) + "\n").encode()


def _identity(files: list[_File], small: Mapping[str, Path | bytes], fingerprint: str) -> str:
    digest = sha256(f"1 {fingerprint}".encode())
    for file in files:
        digest.update(file.name.encode() + file.first)
    for name, data in small.items():
        digest.update(name.encode() + sha256(_content(data)).digest())
    return digest.hexdigest()


def _content(data: Path | bytes) -> bytes:
    try:
        return data if isinstance(data, bytes) else data.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{data} cannot be read: {error.strerror or error}") from error


def _refuse_full(workspace: Workspace, files: list[_File]) -> None:
    needed = sum(f.size for f in files)
    for file in files:
        path = workspace.folder / file.name
        needed -= min(path.stat().st_blocks * 512, file.size) if path.exists() else 0
    free = disk_usage(workspace.place).free
    if needed > free:
        gone = "make room, or choose another disk"
        raise OutputError(f"{workspace.out} needs {needed:,} more bytes, and its disk has {free:,} free; {gone}")


def _write_tensors(
    workspace: Workspace, files: list[_File], produce: Callable[[str], Produced], progress: Callable[[int], None]
) -> None:
    """Write what is not finished. Syncing and the journal run behind the writing, one group of tensors at a time."""
    with ThreadPoolExecutor(1, "penjing-sync") as pool:
        earlier: Future[None] | None = None
        for file in files:
            path = workspace.folder / file.name
            if not path.exists() or path.stat().st_size != file.size:
                workspace.forget(t.name for t in file.tensors)
            progress(sum(t.length for t in file.tensors if t.name in workspace.done))
            left = [t for t in file.tensors if t.name not in workspace.done]
            if not left:
                continue
            shard = ShardFile(path, file.first, file.size)
            group: list[TensorSpec] = []
            try:
                for spec in left:
                    shard.put(file.offsets[spec.name], spec, produce(spec.name))
                    group.append(spec)
                    progress(spec.length)
                    if sum(t.length for t in group) >= GROUP:
                        _wait(earlier)
                        earlier = pool.submit(_settle, shard, group, workspace)
                        group = []
            finally:
                # Also after Ctrl-C or a fault: what is finished goes to the journal.
                try:
                    _wait(earlier)
                    _settle(shard, group, workspace)
                finally:
                    earlier = None
                    shard.close()


def _wait(job: Future[None] | None) -> None:
    if job is not None:
        job.result()


def _settle(shard: ShardFile, group: list[TensorSpec], workspace: Workspace) -> None:
    shard.sync()
    workspace.record(t.name for t in group)
