"""A run of a tiny model, and what a pass of it gives."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tests.house.tiny import tiny_model
from tests.world import subject

from penjing.core import Budget, Seen
from penjing.core.copies import copy_of
from penjing.io import open_checkpoint
from penjing.train import Run, Settings


def run_of(name: str, *, steps: int = 20, rate: float = 1e-2, **how: Any) -> Run:
    """A run of the tiny model that stands for something."""
    found = subject(name)
    module = copy_of(found.module).train()
    return Run(
        module=module, model=open_checkpoint(found.module), layout=found.layout, budget=Budget(keep=1.0), steps=steps,
        learning_rate=rate, how=Settings(**how),
    )  # fmt: skip


def blocks_of(name: str) -> tuple[str, ...]:
    """The paths of its blocks."""
    (first, *_) = sorted(subject(name).layout.blocks, key=lambda b: -b.size)
    return tuple(f"{first.path}.{i}" for i in range(first.size))


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def states(tensors: Sequence[torch.Tensor], counts: torch.Tensor | None = None) -> Seen:
    """What was seen, of these outputs of blocks."""
    return Seen(states=dict(enumerate(tensors)), counts=counts)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("healed") / "tiny")
