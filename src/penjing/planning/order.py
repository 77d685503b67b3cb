"""What is asked of a plan: a method, a budget, and data."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from penjing.core import Budget

ROWS, LENGTH = 32, 512


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked of a plan: a method with settings, a budget, and data for methods that need it.

    `texts` are files, or data sets (`datasets:NAME`); none means the calibration text that penjing ships. `images` are
    folders, .npz or idx files for vision models, the last with their `labels` file; `audio` folders of recordings.
    `batches` are the user's own, or a callable that gives them anew each time. `rows` counts rows of `length` tokens,
    images or recordings (0: all images); `batch` how many go together. A model that takes more than `memory` bytes in
    float32 is run block by block. `stored` is the type that the result will be stored in (None: as now): bytes are
    counted in it.
    """

    method: str
    budget: Budget
    settings: Mapping[str, Any]
    texts: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    audio: tuple[Path, ...] = ()
    labels: Path | None = None
    batches: Sequence[Any] | Callable[[], Iterable[Any]] | None = None
    batch: int | None = None
    rows: int = ROWS
    length: int = LENGTH
    seed: int = 0
    memory: int | None = None
    stored: torch.dtype | None = None
