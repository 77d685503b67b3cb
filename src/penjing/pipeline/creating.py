"""A folder with a new model of one of penjing's own architectures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from penjing.io.workspace import check_output
from penjing.models import create as built
from penjing.running.loading import without_bars


def create(name: str, size: str, out: Path, settings: Mapping[str, Any], *, seed: int = 0) -> int:
    """Write it, with weights drawn by the seed, and give the count of its parameters.

    The folder grows under another name, and has its own when it is whole.

    Raises:
        OutputError: there is something at `out`.
        PenjingError: there is no such architecture or size, or a setting is refused.
    """
    place = check_output(out)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = built(name, size, **settings)
    partial = place.with_name(f".{place.name}.partial")
    with without_bars():
        model.save_pretrained(partial)
    if place.is_dir():
        place.rmdir()  # empty, as was checked
    partial.rename(place)
    return sum(p.numel() for p in model.parameters())
