"""Labelled pictures for small networks, in three parts: to train on, to decide by, and to tell the result of."""

from functools import lru_cache
from typing import NamedTuple

import torch

from penjing.data.images import Images, read_images
from penjing.errors import DataError
from penjing.train.stacked.examples import Examples

SPLIT_SEED = 0
"""The parts are the same for all seeds of a study: a seed draws first values and orders."""


class Parts(NamedTuple):
    """Pictures [n colours height width], grey levels less the training part's mean, over its deviation."""

    train: Examples
    held_out: Examples
    test: Examples
    classes: int


@lru_cache(maxsize=2)
def read_parts(
    images: str, labels: str, test_images: str, test_labels: str, *, held_out: float, tested: float, limit: int
) -> Parts:
    """The parts of the pictures in a file, folder or pair of idx files; `limit` of them, 0 for all.

    `held_out` is the share that is kept apart to decide by, `tested` that of the test part; where there are pictures to
    test on (`test_images`) none of the others are.

    Raises:
        DataError: a file cannot be read, or a part would be empty.
    """
    tested = 0.0 if test_images else tested
    if not (0 < held_out < 1 and tested >= 0 and held_out + tested < 1) or (not test_images and not tested):
        raise DataError(f"held_out is {held_out:g} and tested {tested:g}; needed shares above 0, below 1 together")
    found = read_images(images, labels=labels or None, limit=limit or None, seed=SPLIT_SEED)
    shares = (1 - held_out - tested, held_out, tested) if tested else (1 - held_out, held_out)
    train, decide, *rest = found.split(shares, seed=SPLIT_SEED)
    test = rest[0] if rest else read_images(test_images, labels=test_labels or None)
    scale = _grey(train)
    mean, deviation = float(scale.mean()), float(scale.std())
    parts = [Examples((_grey(part) - mean) / deviation, part.labels) for part in (train, decide, test)]
    return Parts(parts[0], parts[1], parts[2], max(found.classes, test.classes))


def _grey(images: Images) -> torch.Tensor:
    """[n colours height width] from 0 to 1."""
    return images.pixels[torch.arange(len(images))].permute(0, 3, 1, 2).float() / 255
