"""The model in a folder, opened once and lent to whoever runs it next: planning, comparing, measuring."""

import gc
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from penjing.running.bits import bits_of
from penjing.running.placing import find_device

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class _Open:
    """A model in memory, the type that was asked for, and how many have it now."""

    module: Any
    asked: torch.dtype | None
    lent: int = 0

    @property
    def dtype(self) -> torch.dtype | None:
        return next((p.dtype for p in self.module.parameters() if p.is_floating_point()), None)


class Lender:
    """Opens the model of a folder when it is first asked for, and keeps it until it is released.

    `device` is where models run ("auto": the fastest there is), `dtype` what they run in (None: what whoever
    borrows says), `threads` how many whoever times them in another process is to take (None: one a physical core).
    `openings` counts how often each folder was opened. Use it in a `with` block, at the
    end of which nothing is kept.

    Raises:
        DeviceError: the device is not there.
    """

    def __init__(self, *, device: str = "cpu", dtype: str | None = None, threads: int | None = None) -> None:
        self.device = find_device(device)
        self.dtype = None if dtype is None else DTYPES[dtype]
        self.threads = threads
        self.openings: Counter[Path] = Counter()
        self._open: dict[Path, _Open] = {}

    @contextmanager
    def lend(
        self, folder: Path, usual: torch.dtype | None = None, *, stored: bool = False, edits: bool = False
    ) -> Iterator[nn.Module]:
        """The model in evaluation mode, on the lender's device, in the lender's type, or else the `usual` one.

        Without either, or if it has to be as it is `stored`, it is in the type that a stock loader opens it in. A
        borrower who `edits` has to give back what was lent, bit for bit; where something is left of the edits, the
        next one gets the model opened anew. Nothing is changed under one who has the model now: another type, or
        edits, then get a copy of their own.

        Raises:
            CheckpointError: the folder cannot be opened.
        """
        key, dtype = folder.resolve(), None if stored else self.dtype or usual
        kept = self._open.get(key)
        if kept is not None and kept.lent and (edits or not self._is(kept, key, dtype)):
            yield self._opened(key, dtype)
            return
        if kept is None or not (self._is(kept, key, dtype) or self._cast(kept, key, dtype)):
            kept = None
            self.release(folder)
            kept = self._open[key] = _Open(self._opened(key, dtype), dtype)
        before = bits_of(kept.module) if edits else None
        kept.lent += 1
        try:
            yield kept.module
        finally:
            kept.lent -= 1
            if edits and (before is None or bits_of(kept.module) != before):
                self._open.pop(key, None)

    def release(self, *folders: Path) -> None:
        """Forget the models of these folders, or all, so that their memory is free once nobody has them."""
        keys = [f.resolve() for f in folders] or list(self._open)
        if [self._open.pop(k) for k in keys if k in self._open]:
            gc.collect()

    def __enter__(self) -> "Lender":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _opened(self, key: Path, dtype: torch.dtype | None) -> nn.Module:
        from penjing.running.stock import load

        self.openings[key] += 1
        return load(key, device=self.device, dtype=dtype)

    def _is(self, kept: _Open, key: Path, dtype: torch.dtype | None) -> bool:
        return kept.asked == dtype or (kept.dtype is not None and kept.dtype == (dtype or usual_dtype(key)))

    def _cast(self, kept: _Open, key: Path, dtype: torch.dtype | None) -> bool:
        from penjing.running.casting import cast

        wanted = dtype or usual_dtype(key)
        if wanted is None or not cast(kept.module, wanted, _stored(key)):
            return False
        kept.asked = dtype
        return True


def usual_dtype(folder: Path) -> torch.dtype | None:
    """The type that a stock loader opens a folder in: what the config names, or else that of all weights, or None."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    named = config.get("dtype") or config.get("torch_dtype")
    if named:
        found = getattr(torch, str(named).removeprefix("torch."), None)
        return found if isinstance(found, torch.dtype) else None
    stored = _stored(folder)
    return next(iter(stored)) if len(stored) == 1 else None


def _stored(folder: Path) -> set[torch.dtype]:
    from penjing.io import open_checkpoint

    with open_checkpoint(folder) as checkpoint:
        return {d for d in checkpoint.dtypes.values() if d.is_floating_point}
