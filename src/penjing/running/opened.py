"""The module of a source: the one in memory, or that of its folder, had when it is first asked for."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import torch
from torch import nn

from penjing.calibrate import stored_names
from penjing.core.progress import Progress, silent
from penjing.running.lending import Lender
from penjing.running.source import Source, as_folder


class Opened:
    """The module to plan on, from a `module` that is there already or from a `lender`; use it in a `with` block.

    Of a checkpoint it is in float32, unless the lender says otherwise. It may be edited, and is put back.
    """

    def __init__(
        self, source: Source, *, cache: Path, module: nn.Module | None = None, lender: Lender | None = None,
        progress: Progress = silent,
    ) -> None:  # fmt: skip
        self.source, self.cache, self.progress = source, cache, progress
        self._module, self._lender, self._given = module, lender, module is not None
        self._stack = ExitStack()

    def __enter__(self) -> "Opened":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._given:
            self._module = None
        self._stack.close()

    @property
    def dtype(self) -> str:
        """The floating point type that the module runs in."""
        if self._given and self._module is not None:
            first = next(self._module.parameters(), None)
            return str(torch.float32 if first is None else first.dtype)
        return str(self._wanted)

    def module(self) -> nn.Module:
        """The module.

        Raises:
            CheckpointError: it cannot be opened.
            DeviceError: there is no such device.
        """
        if self._module is None:
            self.progress("opening the model", 0, 0)
            folder = as_folder(self.source, self.cache, self.progress)
            lender = self._lender or self._stack.enter_context(Lender())
            self._module = self._stack.enter_context(
                lender.lend(folder, torch.float32, edits=self._lender is not None)
            )
        return self._module

    def names(self) -> dict[str, str]:
        """Stored name -> the module's own."""
        return stored_names(self.module(), self.source.weights().shapes)

    @property
    def _wanted(self) -> torch.dtype:
        return (self._lender.dtype if self._lender is not None else None) or torch.float32
