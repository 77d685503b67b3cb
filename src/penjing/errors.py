"""Every error that penjing raises on purpose.

```
PenjingError
├── RequestError      options, a recipe or a record of a run that make no sense
├── CheckpointError   a file, folder or index that cannot be read as a model
├── LayoutError       axes that cannot be derived, named or matched
├── BudgetError       a limit that cannot be met
├── PlanError         a plan that cannot be carried out, or whose result would not open
├── ExportError       a file for another runtime that cannot be written, or computes something else
├── OutputError       a place that cannot be written to
│   └── FinishedError a place that holds what is asked for already
├── DataError         text, images or statistics that do not fit the job
├── TrainingError     a run of training that came to no good
├── UnsupportedError  a method that cannot serve this model, and why
├── MeasureError      a figure that cannot be taken
├── DeviceError       a device that this machine does not have
└── MissingExtraError an optional package that is not installed
```

A message says what was found, what was needed, and what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class PenjingError(Exception):
    """The root of the tree: catch this to catch everything below."""


class RequestError(PenjingError):
    """Options, a recipe or a record of a run make no sense."""


class CheckpointError(PenjingError):
    """A file, folder or index cannot be read as a model."""


class LayoutError(PenjingError):
    """Axes cannot be derived, named or matched."""


class BudgetError(PenjingError):
    """A limit cannot be met."""


class PlanError(PenjingError):
    """A plan cannot be carried out, or its result would not open."""


class ExportError(PenjingError):
    """A file for another runtime cannot be written, or computes something else."""


class OutputError(PenjingError):
    """A place cannot be written to."""


class FinishedError(OutputError):
    """A place holds what is asked for already, finished."""


class DataError(PenjingError):
    """Text, images or statistics do not fit the job."""


class TrainingError(PenjingError):
    """A run of training came to no good: its loss is not a number, or grows without end."""


class UnsupportedError(PenjingError):
    """A method cannot serve this model, whatever the data and the budget are."""

    def __init__(self, reason: str) -> None:
        """Keep the `reason`: what stands against it, and what to do instead."""
        super().__init__(reason)
        self.reason = reason


class MeasureError(PenjingError):
    """A figure cannot be taken."""


class DeviceError(PenjingError):
    """A device is not there."""


class MissingExtraError(PenjingError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        """Name the `package`, the `extra` that brings it and the `purpose` it serves."""
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed; pip install 'penjing[{extra}]'"
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """A suffix such as "; did you mean 'maw'?", or an empty string."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
