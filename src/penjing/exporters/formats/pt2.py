"""A graph of torch.export, which torch alone opens: neither transformers nor penjing is needed.

Batch and length of text stay free. What a model keeps from token to token is not in it: it reads whole texts.
"""

import io
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor, nn

from penjing.exporters.exporter import Exporter, Inputs, free_dimensions


def write(module: nn.Module, inputs: Inputs, path: Path) -> None:
    """Write the module's graph with its weights.

    Raises:
        OSError: the system does not take the file.
    """
    free: Any = {k: dict.fromkeys(range(free_dimensions(v)), torch.export.Dim.AUTO) for k, v in inputs.items()}
    program = torch.export.export(module, (), dict(inputs), dynamic_shapes=free, strict=False)
    with path.open("wb", buffering=0) as file:
        kept = _Kept(file)
        torch.export.save(program, cast("IO[bytes]", kept))
    if kept.error is not None:
        raise kept.error


class _Kept(io.RawIOBase):
    """A file that keeps what the system refuses instead of raising it: torch's writer ends the process over it."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def write(self, data: Any) -> int:
        view = memoryview(data)
        done = 0
        while self.error is None and done < len(view):
            try:
                done += self._file.write(view[done:]) or 0
            except OSError as error:
                self.error = error
        return len(view)


def run(path: Path, inputs: Inputs) -> Tensor:
    """The output that the file computes."""
    return torch.export.load(path).module()(**inputs)


EXPORTER = Exporter(
    suffix=".pt2",
    opens="import torch\nmodel = torch.export.load(FILE).module()",
    write=write,
    run=run,
)
