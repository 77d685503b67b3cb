"""Whether this process was started with others that do the same, as torchrun does it; without importing torch."""

import os

NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells its processes by the environment."""


def launched_with_others() -> bool:
    """Whether the environment says so."""
    return all(name in os.environ for name in NEEDED) and int(os.environ["WORLD_SIZE"]) > 1


def follows() -> bool:
    """Whether another process is the first one, which prints and writes."""
    return launched_with_others() and int(os.environ["RANK"]) > 0
