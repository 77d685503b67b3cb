"""A factored model as a standard checkpoint again."""

from os import PathLike
from pathlib import Path

from penjing.io import open_checkpoint
from penjing.surgery.dense import Densified, densify


def dense(model: str | PathLike[str], out: str | PathLike[str]) -> Densified:
    """Write a folder whose matrices are products or chains of cores as a standard checkpoint, which stock loaders open.

    Each product becomes the matrix that it multiplies by, in the type that it is stored in; all else is copied.

    Raises:
        PlanError: the folder has no such modules, or has modules that no stock layer can stand for.
        CheckpointError: it cannot be read.
        OutputError: `out` is taken or cannot be written.
    """
    with open_checkpoint(Path(model)) as checkpoint:
        return densify(checkpoint, Path(out))
