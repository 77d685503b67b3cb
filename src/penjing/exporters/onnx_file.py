"""An ONNX file in onnxruntime: a decoder with its cache, or any graph from inputs to one output."""

import time
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penjing.errors import ExportError, MissingExtraError
from penjing.exporters.exporter import Inputs

KINDS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32, "tensor(bool)": np.bool_}


def runtime() -> Any:
    """The package onnxruntime.

    Raises:
        MissingExtraError: it is not installed.
    """
    if find_spec("onnxruntime") is None:
        raise MissingExtraError("onnxruntime", "onnx", "running an ONNX file")
    import onnxruntime

    return onnxruntime


def session(path: Path, threads: int) -> Any:
    """The file, opened on the processor.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ExportError: it does not open the file.
    """
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises of every kind, none of them its own
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"onnxruntime does not open {path.name}: {line[:200]}") from error


class OnnxFile:
    """Use it in a `with` block. `prompt` and `context` are for timing.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        ExportError: it does not open the file, or its inputs are of a kind that is not known.
    """

    positions: int | None = None
    parameters: int | None = None

    def __init__(self, path: Path, *, threads: int, prompt: int = 128, context: int = 128) -> None:
        self._session = session(path, threads)
        self.clock = time.perf_counter
        self._path, self._prompt, self._context = path, prompt, context
        self.version = f"onnxruntime {version('onnxruntime')}"
        self._inputs = {given.name: given for given in self._session.get_inputs()}
        self.outputs = [out.name for out in self._session.get_outputs()]
        self._past = [name for name in self._inputs if name.startswith("past.")]
        self.decodes = bool(self._past) and "logits" in self.outputs
        self.images = "pixel_values" in self._inputs
        size = self._session.get_outputs()[0].shape[-1] if self.decodes else 0
        self.vocabulary = size if isinstance(size, int) else self.logits([0]).shape[-1]
        self.what = f"tokens={prompt} context={context}" if self.decodes else self._what()
        self._full: list[np.ndarray] = []

    def logits(self, tokens: Sequence[int]) -> Tensor:
        """float32 [tokens vocabulary]: after each token."""
        (found,) = self._step(list(tokens), 0, self._empty(), ["logits"])
        return torch.from_numpy(found[0])

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        """The likeliest token, `count` times over, with the cache."""
        out: list[int] = []
        given, done, past = list(tokens), 0, self._empty()
        for _ in range(count):
            found, *past = self._step(given, done, past, self.outputs)
            done += len(given)
            out.append(int(found[0, -1].argmax()))
            given = [out[-1]]
        return out

    def tokenize(self, texts: Sequence[str], *, special: bool) -> list[list[int]] | None:
        """None: such a file has no tokenizer."""
        del texts, special

    def output(self, inputs: Inputs) -> Tensor:
        """The first output, from inputs by name; those that the graph has no use for are left out.

        Raises:
            ExportError: onnxruntime does not run the graph on them.
        """
        known = {k: v.numpy() for k, v in inputs.items() if k in self._inputs}
        try:
            return torch.from_numpy(self._session.run(self.outputs[:1], known)[0])
        except Exception as error:  # as in `session`
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(f"onnxruntime does not run {self._path.name}: {line[:200]}") from error

    def prefill(self) -> float:
        """Seconds of one pass over the prompt, or one input, with the logits of all positions."""
        if not self.decodes:
            given = {name: self._drawn(name) for name in self._inputs}
            return self._timed(lambda: self._session.run(self.outputs[:1], given))[0]
        asked = self._feed(self._tokens(self._prompt), 0, self._empty())
        return self._timed(lambda: self._session.run(self.outputs, asked))[0]

    def decode(self, steps: int) -> list[float]:
        """Seconds of each of some steps of one token after the context; one before them is not timed."""
        if not self._full:
            self._full = self._step(self._tokens(self._context), 0, self._empty(), self.outputs)[1:]
        past, out = self._full, []
        for i in range(steps + 1):
            asked = self._feed(self._tokens(1), self._context + i, past)
            taken, (_, *past) = self._timed(lambda asked=asked: self._session.run(self.outputs, asked))
            out.append(taken)
        return out[1:]

    def __enter__(self) -> "OnnxFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._session

    def _step(self, tokens: list[int], done: int, past: list[np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        return self._session.run(outputs, self._feed(tokens, done, past))

    def _feed(self, tokens: list[int], done: int, past: list[np.ndarray]) -> dict[str, np.ndarray]:
        given = {
            "input_ids": np.array([tokens], np.int64),
            "attention_mask": np.ones((1, done + len(tokens)), np.int64),
            "position_ids": np.arange(done, done + len(tokens), dtype=np.int64)[None],
        }
        return {k: v for k, v in given.items() if k in self._inputs} | dict(zip(self._past, past, strict=True))

    def _empty(self) -> list[np.ndarray]:
        """A cache of no tokens."""
        shapes = [self._inputs[name].shape for name in self._past]
        return [np.zeros((1, heads, 0, width), np.float32) for _, heads, _, width in shapes]

    def _tokens(self, count: int) -> list[int]:
        return np.random.default_rng(0).integers(0, self.vocabulary, count).tolist()

    def _drawn(self, name: str) -> np.ndarray:
        """One example of an input: of free dimensions the first is 1, others are as long as the prompt."""
        given = self._inputs[name]
        if given.type not in KINDS:
            raise ExportError(f"{self._path.name} takes {name} as {given.type}; known are {', '.join(KINDS)}")
        shape = [n if isinstance(n, int) else (self._prompt if i else 1) for i, n in enumerate(given.shape)]
        kind = KINDS[given.type]
        if kind is np.float32:
            return np.random.default_rng(0).standard_normal(shape, np.float32)
        return np.ones(shape, kind)

    def _what(self) -> str:
        shapes = [f"{name}={'x'.join(map(str, self._drawn(name).shape))}" for name in self._inputs]
        return "image" if self.images else " ".join(shapes)

    def _timed(self, run: Any) -> tuple[float, Any]:
        begun = self.clock()
        found = run()
        return self.clock() - begun, found
