"""Random numbers that belong to an image: the same whatever batch it comes in, on any number of threads."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Draw:
    """One stream of random numbers for each image, seeded by a text.

    The bits are Philox's, whose stream numpy promises to keep; numbers are made from them here, since a library's
    ways of making normal or Poisson numbers change.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._streams: list[Any] = [
            np.random.Philox(key=int.from_bytes(sha256(key.encode("utf-8", "surrogateescape")).digest()[:16], "little"))
            for key in keys
        ]

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self._streams)

    def uniform(self, *shape: int) -> Tensor:
        """[images *shape] float64, above 0 and below 1: the next numbers of each image's stream."""
        count = int(np.prod(shape, dtype=np.int64))
        bits = np.stack([stream.random_raw(count) for stream in self._streams]) >> np.uint64(11)
        return ((torch.from_numpy(bits.astype(np.int64)).double() + 0.5) * 2.0**-53).view(len(self._streams), *shape)

    def normal(self, *shape: int) -> Tensor:
        """[images *shape] float32: normal numbers of mean 0 and variance 1."""
        return torch.special.ndtri(self.uniform(*shape)).float()

    def between(self, low: float, high: float, *shape: int) -> Tensor:
        """[images *shape] float64, evenly between `low` and `high`."""
        return low + (high - low) * self.uniform(*shape)

    def whole(self, low: int, high: int, *shape: int) -> Tensor:
        """[images *shape] int64, evenly from `low` to `high` - 1."""
        return (low + (self.uniform(*shape) * (high - low)).floor()).long()
