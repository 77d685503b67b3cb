"""A GGUF file that runs in a process of its own, asked over a pipe."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penjing.errors import ExportError, MissingExtraError
from penjing.exporters.exporter import Inputs

REASONS = ("error", "failed", "missing", "wrong shape", "assert")


class LlamaModel:
    """Use it in a `with` block. `context` 0 reads tokens only.

    Raises:
        MissingExtraError: the wheel with llama.cpp is not installed.
        ExportError: llama.cpp does not open the file, or cannot do what is asked for, and why as far as it says.
    """

    def __init__(self, path: Path, *, context: int = 512, threads: int | None = None, exact: bool = True) -> None:
        if find_spec("xllamacpp") is None:
            raise MissingExtraError("xllamacpp", "llama", "running a GGUF file in llama.cpp")
        self.path = path
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`, lives as long as the child
        told = {
            "path": str(path), "context": context, "threads": threads or torch.get_num_threads(), "exact": exact
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "penjing.exporters.llama.worker", json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        try:
            greeting = self._read()
        except BaseException:
            self.close()
            raise
        self.vocabulary: int = greeting["vocabulary"]
        self.positions: int = greeting["positions"]
        self.version: str = greeting["version"]
        self.parameters: int = greeting["parameters"]
        self._reads_text: bool = greeting["reads_text"]

    def logits(self, tokens: Sequence[int]) -> Tensor:
        """float32 [tokens, vocabulary]: after each token."""
        shape = self._ask(do="logits", tokens=list(tokens))["shape"]
        raw = self._bytes(shape[0] * shape[1] * 4)
        return torch.from_numpy(np.frombuffer(raw, "<f4").reshape(shape).copy())

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        """The likeliest token, `count` times over."""
        return self._ask(do="greedy", tokens=list(tokens), count=count)["tokens"]

    def tokenize(self, texts: Sequence[str], *, special: bool) -> list[list[int]] | None:
        """The tokens of texts; `special`: marks such as <s> are read as such. None where the file has no tokenizer."""
        if not self._reads_text:
            return None
        return self._ask(do="tokenize", texts=list(texts), special=special)["tokens"]

    def output(self, inputs: Inputs) -> Tensor:
        """Nothing: such a file reads tokens.

        Raises:
            ExportError: always.
        """
        raise ExportError(f"{self.path.name} takes tokens, and was given {', '.join(inputs)}")

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> "LlamaModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - it was opened as a pipe
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it was opened as a pipe
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        answer = json.loads(line)
        if "error" in answer:
            said = self._said()
            raise ExportError(answer["error"] + (f": {said}" if said else ""))
        return answer

    def _bytes(self, count: int) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - it was opened as a pipe
        found = self._process.stdout.read(count)
        if len(found) != count:
            raise self._ended()
        return found

    def _ended(self) -> ExportError:
        self._process.wait()
        return ExportError(f"llama.cpp ended while it ran {self.path.name}: {self._said() or 'it does not say why'}")

    def _said(self) -> str:
        """The last line of the library's log that sounds like a reason."""
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
        reasons = [line for line in lines if any(word in line.lower() for word in REASONS)]
        return (reasons[0] if reasons else lines[-1] if lines else "")[:200]
