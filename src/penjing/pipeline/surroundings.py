"""What holds for all of a run and is set back afterwards: the number of threads, and staying off the network."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def surroundings(*, threads: int | None = None, offline: bool = False) -> Iterator[None]:
    """While the block runs, torch computes on so many threads, and no hub is asked for anything if `offline`."""
    with _threads(threads), _offline(offline):
        yield


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """The hub reads its variable when it is imported; so where that was before, its constant is set too."""
    if not wanted:
        yield
        return
    from huggingface_hub import constants

    before, variable = constants.HF_HUB_OFFLINE, os.environ.get("HF_HUB_OFFLINE")
    constants.HF_HUB_OFFLINE = True
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        if variable is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = variable
