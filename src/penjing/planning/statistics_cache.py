"""Statistics on disk: found again for the same model, data and settings, and by no others.

Under `cache/statistics/` each set of model, data and settings has a folder, in which each file holds one statistic of
some tensors, with the whole key and a checksum in its header. A file that is damaged or belongs elsewhere is as good as
absent. Nothing is ever deleted but the journal of a finished pass; to make room, delete the folder `statistics`.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor

from penjing.calibrate import Means
from penjing.errors import OutputError
from penjing.io import TensorSpec
from penjing.io.headers import build_header

FORMAT = "penjing statistics 1"
JOURNAL = "journal-"

Wanted = Mapping[str, frozenset[str]]
Key = tuple[str, str]


def union(*wanted: Wanted) -> dict[str, frozenset[str]]:
    """What any of them wants."""
    out: dict[str, frozenset[str]] = {}
    for each in wanted:
        for tensor, statistics in each.items():
            out[tensor] = out.get(tensor, frozenset()) | statistics
    return out


def shelf(cache: Path, facts: Mapping[str, Any]) -> "Shelf":
    """The folder for statistics that all these facts hold of (plain data), with the version of torch."""
    whole = {"format": FORMAT, "torch": torch.__version__, **facts}
    key = sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
    return Shelf(cache / "statistics" / key[:24], key)


@dataclass(frozen=True)
class Shelf:
    """A folder of statistics that share one key."""

    folder: Path
    key: str

    def find(self, wanted: Wanted) -> tuple[Means, dict[str, frozenset[str]]]:
        """(what is there, mapped from its files; what of `wanted` is missing)."""
        found, keys = Means(), {(t, s) for t, statistics in wanted.items() for s in statistics}
        for path in sorted(self.folder.glob("*.safetensors")):
            left = keys - found.values.keys()
            if not left or path.name.startswith(JOURNAL):
                continue
            held = self._read(path, left)
            if held is not None:
                found.values.update({k: v for k, v in held.values.items() if k in left})
                found.counts.update({k: n for k, n in held.counts.items() if k in left})
        missing: dict[str, set[str]] = defaultdict(set)
        for tensor, statistic in sorted(keys - found.values.keys()):
            missing[tensor].add(statistic)
        return found, {t: frozenset(s) for t, s in missing.items()}

    def put(self, means: Means) -> None:
        """Keep statistics, one file for each kind of them.

        Raises:
            OutputError: the place cannot be written to.
        """
        groups: dict[str, Means] = defaultdict(Means)
        for (tensor, statistic), value in means.values.items():
            groups[statistic].values[tensor, statistic] = value
            groups[statistic].counts[tensor, statistic] = means.counts[tensor, statistic]
        for statistic, group in groups.items():
            self._write(f"{statistic}-{_short(group.values)}.safetensors", group, 0)

    def put_journal(self, wanted: Wanted, means: Means, done: int) -> None:
        """Note how far a pass for `wanted` has come.

        Raises:
            OutputError: the place cannot be written to.
        """
        self._write(_journal(wanted), means, done)

    def journal(self, wanted: Wanted) -> tuple[Means, int]:
        """(means, batches done) of a pass for `wanted` that was stopped; nothing and 0 if there was none.

        The tensors are copies, so that the journal can be written again.
        """
        held = self._read(self.folder / _journal(wanted), None)
        if held is None:
            return Means(), 0
        return Means({k: v.clone() for k, v in held.values.items()}, held.counts), held.done

    def end_journal(self, wanted: Wanted) -> None:
        """Forget a pass that was finished."""
        (self.folder / _journal(wanted)).unlink(missing_ok=True)

    def _write(self, name: str, means: Means, done: int) -> None:
        order = sorted(means.values)
        tensors = {str(i): means.values[k].contiguous() for i, k in enumerate(order)}
        if not tensors:
            return
        table = [[*k, n] for k, n in sorted(means.counts.items())]
        held = {"order": order, "counts": table, "done": done}
        head = json.dumps(held)
        metadata = {"format": FORMAT, "key": self.key, "held": head, "sha256": _digest(head, tensors)}
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            part = self.folder / f".{name}.{uuid4().hex}"
            try:
                _save(part, tensors, metadata)
                os.replace(part, self.folder / name)
            finally:
                part.unlink(missing_ok=True)

    def _read(self, path: Path, wanted: set[Key] | None) -> "_Held | None":
        """What a file holds, or None if it is absent, damaged, from elsewhere or without anything wanted."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT or metadata.get("key") != self.key:
                    return None
                held = json.loads(metadata["held"])
                order = [(str(t), str(s)) for t, s in held["order"]]
                if wanted is not None and not wanted & set(order):
                    return None
                tensors = {str(i): file.get_tensor(str(i)) for i in range(len(order))}
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None  # what cannot be read whole is collected again
        if metadata.get("sha256") != _digest(metadata["held"], tensors):
            return None
        values = {k: tensors[str(i)] for i, k in enumerate(order)}
        return _Held(values, {(str(t), str(s)): int(n) for t, s, n in held["counts"]}, int(held["done"]))


@dataclass(frozen=True)
class _Held:
    values: dict[Key, Tensor]
    counts: dict[Key, int]
    done: int


def _save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write float32 tensors one after the other; safetensors' own writer would hold a copy of all of them."""
    first, _ = build_header([TensorSpec(n, t.dtype, tuple(t.shape)) for n, t in tensors.items()], metadata)
    with path.open("wb") as file:
        file.write(first)
        for tensor in tensors.values():
            file.write(tensor.numpy().reshape(-1).data)


def _digest(head: str, tensors: Mapping[str, Tensor]) -> str:
    digest = sha256(head.encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {list(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().numpy().reshape(-1).view("uint8").data)
    return digest.hexdigest()


def _short(keys: Mapping[Key, Tensor]) -> str:
    return sha256(json.dumps(sorted(keys)).encode()).hexdigest()[:12]


def _journal(wanted: Wanted) -> str:
    said = json.dumps(sorted((t, sorted(s)) for t, s in wanted.items()))
    return f"{JOURNAL}{sha256(said.encode()).hexdigest()[:12]}.safetensors"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = error.strerror or error
        raise OutputError(
            f"statistics cannot be kept in {folder}: {said}; make room, or set PENJING_CACHE to another folder"
        ) from error
