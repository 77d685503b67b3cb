"""Twelve tensors in three shards, written whole or stopped on the way."""

from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from penjing.io import TensorSpec, write_folder

SPECS = [TensorSpec(f"t.{i}", torch.float32 if i % 3 else torch.bfloat16, (5, 40 + i)) for i in range(12)]
SHARDS = [[s.name for s in SPECS[:5]], [s.name for s in SPECS[5:9]], [s.name for s in SPECS[9:]]]


def value(name: str) -> Tensor:
    spec = next(s for s in SPECS if s.name == name)
    return torch.randn(spec.shape, generator=torch.Generator().manual_seed(int(name[2:]))).to(spec.dtype)


def write(out: Path, produce=value, *, fingerprint: str = "f", shards=SHARDS, **more) -> None:
    given = {"config": {"a": 1}, "side_files": {"tokenizer.json": b"{}"}, **more}
    write_folder(out, SPECS, produce, shards=shards, fingerprint=fingerprint, **given)


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


class StopError(Exception):
    pass


def stopping(at: int, error: BaseException, seen: list[str]):
    def produce(name: str) -> Tensor:
        seen.append(name)
        if len(seen) == at:
            raise error
        return value(name)

    return produce
