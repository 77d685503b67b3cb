"""A checkpoint that is open: what it holds is known from headers, weights are read one tensor at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import torch
from torch import Tensor

from penjing.errors import CheckpointError, nearest
from penjing.io.reading import read_rows, read_tensor
from penjing.io.spans import Span, TensorSpec

Kind = Literal["folder", "gguf", "state_dict", "module"]


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenCheckpoint:
    """Named tensors and a config, read lazily; satisfies `penjing.core.Checkpoint`.

    `source` is what was asked for, `folder` where side files lie, `tensors` the specs in the order of the files,
    `shards` the names per file, `side_files` small files to carry over, `aliases` tied name -> name kept, `notes`
    remarks for people. `spans` gives the places of tensors whose bytes lie raw in a file; `read` reads any other.
    """

    source: str
    kind: Kind
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorSpec]
    shards: tuple[tuple[str, ...], ...]
    identify: Callable[[], str]
    folder: Path | None = None
    side_files: tuple[Path, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    spans: Mapping[str, Span] = field(default_factory=dict)
    read: Callable[[str], Tensor] | None = None
    load_tokenizer: Callable[[], Any] | None = None
    release: Callable[[], None] | None = None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape, in the order of the files."""
        return {name: spec.shape for name, spec in self.tensors.items()}

    @property
    def dtypes(self) -> dict[str, torch.dtype]:
        """Name -> dtype."""
        return {name: spec.dtype for name, spec in self.tensors.items()}

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 that changes when the checkpoint does: of headers, config and times, or content."""
        return self.identify()

    def __getitem__(self, name: str) -> Tensor:
        """Read one tensor in its stored dtype, into memory of its own.

        Raises:
            CheckpointError: there is no such tensor, or its file cannot be read.
        """
        spec = self.spec(name)
        span = self.spans.get(name)
        if span is not None:
            return read_tensor(span, spec.dtype, spec.shape)
        if self.read is None:
            raise CheckpointError(f"{self.source} has no way to read '{name}'; open it again")
        return self.read(name)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` of one tensor, reading no others where its bytes lie raw in a file.

        Raises:
            CheckpointError: as `__getitem__`.
        """
        spec = self.spec(name)
        span = self.spans.get(name)
        if span is not None:
            return read_rows(span, spec.dtype, spec.shape, start, stop)
        return self[name][start:stop].clone()

    def span(self, name: str) -> Span | None:
        """Where the raw bytes of one tensor lie, None when no file holds them raw.

        Raises:
            CheckpointError: there is no such tensor.
        """
        self.spec(name)
        return self.spans.get(name)

    def spec(self, name: str) -> TensorSpec:
        """Name, dtype and shape of one tensor.

        Raises:
            CheckpointError: there is no such tensor.
        """
        if name not in self.tensors:
            raise CheckpointError(f"{self.source} has no tensor '{name}'{nearest(name, self.tensors)}")
        return self.tensors[name]

    def tokenizer(self) -> Any:
        """The tokenizer that comes with the model, as transformers builds it.

        Raises:
            CheckpointError: there is none, or transformers cannot build it.
        """
        if self.load_tokenizer is None:
            raise CheckpointError(f"{self.source} brings no tokenizer; name a folder that has one")
        try:
            return self.load_tokenizer()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
            text = " ".join(str(error).split())[:300]
            raise CheckpointError(f"transformers cannot build the tokenizer of {self.source}: {text}") from error

    def close(self) -> None:
        """Let go of what is held open; tensors in memory stay with their owner."""
        if self.release is not None:
            self.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
