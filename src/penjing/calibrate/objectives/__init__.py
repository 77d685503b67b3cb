"""What is differentiated: a figure for each example of a batch, from the model's output and the batch.

One file per objective. Nothing here imports one: the folder is the registry. A file defines `Objective`, a dataclass
that is called with (output, batch) and gives [examples]; it says whether it `joins` the examples of a batch, so that
one's figure depends on the others, and whether it needs `answers` (labels, or tokens to predict).
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import Tensor

from penjing.calibrate.batches import Batch
from penjing.core.registry import Registry
from penjing.errors import DataError, nearest

Objective = Callable[[Any, Batch], Tensor]


def _wrong(module: ModuleType) -> str:
    said = [name for name in ("joins", "answers") if not isinstance(getattr(module.Objective, name, None), bool)]
    return f"does not say whether it {said[0]}; give class Objective {said[0]}: ClassVar[bool]" if said else ""


OBJECTIVES: Registry[Objective] = Registry(
    "penjing.calibrate.objectives", kind="objective", attribute="Objective", calls=("__call__",), check=_wrong
)
"""Every objective, by its file's name; others add theirs by the entry-point group of this folder's name."""


def per_example(name: str, **settings: Any) -> Objective:
    """(output, batch) -> an objective of each example, [examples] float32, such as `loss`, `output` or `entropy`.

    Raises:
        DataError: there is no objective of this name.
        PenjingError: it has no such setting.
    """
    known = OBJECTIVES.names()
    if name not in known:
        raise DataError(f"objective '{name}' is not known{nearest(name, known)}; known: {', '.join(known)}")
    return OBJECTIVES.build(name, settings)


def objective(name: str, **settings: Any) -> Objective:
    """(output, batch) -> the mean of an objective over the batch's examples, a scalar.

    Raises:
        DataError: there is no objective of this name.
        PenjingError: it has no such setting.
    """
    each = per_example(name, **settings)
    return lambda output, batch: each(output, batch).mean()
