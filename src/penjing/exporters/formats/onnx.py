"""A graph for onnxruntime, in one file: whole texts or images go in, and decoders take and give their cache.

Of a decoder one graph reads a prompt and writes token by token: `input_ids` [batch seq], `attention_mask`
[batch total], `position_ids` [batch seq] and, for each layer, `past.N.key` and `past.N.value` go in (of no tokens at
first), `logits` and `present.N.key`, `present.N.value` come out. Batch and lengths are free. Behind a colon stands the
type, as `onnx:int8`, whose loss is told.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core.progress import Progress
from penjing.errors import ExportError, MissingExtraError, PenjingError
from penjing.exporters.exporter import (
    Exporter,
    Given,
    Inputs,
    Written,
    another,
    check,
    free_dimensions,
    graph_of,
    written_or_refused,
)
from penjing.exporters.onnx_cache import Cached, agreement, kept
from penjing.exporters.onnx_file import OnnxFile, runtime, session
from penjing.layouts.config.stock import build
from penjing.layouts.graph.inputs import example

OPSET = 20
MOST = 1_900_000_000
"""Bytes of weights that fit into one file of this format."""
WRITTEN = 32
"""Tokens that are written by both to compare."""


class Onnx:
    """The format; see the head of this file."""

    runtime = "onnxruntime"
    modules = None
    suffix = ".onnx"
    opens = "import onnxruntime\nmodel = onnxruntime.InferenceSession(FILE)"
    variants = {  # noqa: RUF012
        "f32": "as the model computes, in float32",
        "int8": "weights of matrices in 8 bits, activations quantised as they come",
    }

    def multiple(self, variant: str) -> int:
        """Any width."""
        del variant
        return 1

    def refuse(
        self, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], variant: str, folder: Path | None = None
    ) -> None:
        """See that the packages are there, the weights fit into one file, and a cache is one of keys and values.

        Raises:
            MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
            ExportError: they do not fit, or what is kept from token to token is none.
        """
        _installed()
        _refuse_size(sum(prod(shape) for shape in shapes.values()))
        try:
            module = build(config)
        except PenjingError:
            return  # what cannot be built from its config alone is refused once it is opened
        if _caches(module):
            kept(module)

    def open(self, path: Path, *, context: int, threads: int) -> OnnxFile:
        """The file in onnxruntime.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            ExportError: it does not open the file.
        """
        del context
        return OnnxFile(path, threads=threads)

    def load(self) -> None:
        """Load onnxruntime.

        Raises:
            MissingExtraError: it is not installed.
        """
        runtime()

    def timed(self, path: Path, *, prompt: int, context: int, threads: int) -> OnnxFile:
        """The file in onnxruntime, in this process.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            ExportError: it does not open the file.
        """
        return OnnxFile(path, threads=threads, prompt=prompt, context=context)

    def make(self, given: Given, path: Path, variant: str, progress: Progress) -> Written:
        """Write the file, run it, and hold it against the model.

        Raises:
            MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
            ExportError: the model cannot be written so, or the file computes something else.
        """
        _installed()
        module = given.load(torch.float32)
        _refuse_size(sum(p.numel() for p in module.parameters()))
        progress("writing the graph", 0, 0)
        whole = path.with_name(f"{path.stem}.whole.onnx") if variant == "int8" else path
        try:
            done = (_decoder if _caches(module) else _plain)(module, whole, progress)
            if variant == "f32":
                return done
            progress("quantising", 0, 0)
            return _quantised(module, whole, path, done)
        finally:
            if whole != path:
                whole.unlink(missing_ok=True)


def _refuse_size(count: int) -> None:
    if 4 * count > MOST:
        raise ExportError(
            f"the weights take {4 * count:,} bytes in float32, and one ONNX file holds {MOST:,}; export as gguf or pt2"
        )


def _installed() -> None:
    from importlib.util import find_spec

    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "onnx", "writing an ONNX file")


def _caches(module: Any) -> bool:
    """Whether the model writes token by token from a cache of keys and values alone."""
    config = getattr(module, "config", None)
    able = getattr(module, "can_generate", lambda: False)()
    return bool(able) and not getattr(config, "is_encoder_decoder", False) and hasattr(config, "num_hidden_layers")


def _plain(module: nn.Module, path: Path, progress: Progress) -> Written:
    graph, inputs = graph_of(module, example(module, device="cpu"))
    written_or_refused(lambda: write(graph, inputs, path))
    progress("running the file in onnxruntime", 0, 0)
    return check(GRAPH, path, graph, [inputs, another(inputs)])


def _decoder(module: nn.Module, path: Path, progress: Progress) -> Written:
    cached = Cached(module)
    names = cached.names, cached.outputs
    with torch.no_grad(), quiet():
        written_or_refused(lambda: _export(cached, cached.example(), path, *names, cached.shapes()))
    progress("running the file in onnxruntime", 0, 0)
    return agreement(_session(path), cached, path, WRITTEN)


def write(module: nn.Module, inputs: Inputs, path: Path) -> None:
    """Write the graph of any module that takes inputs by name and gives one tensor."""
    free: Any = {k: dict.fromkeys(range(free_dimensions(v)), torch.export.Dim.DYNAMIC) for k, v in inputs.items()}
    with torch.no_grad(), quiet():
        _export(module, tuple(inputs.values()), path, list(inputs), ["output"], tuple(free.values()))


def _export(module: nn.Module, given: Any, path: Path, names: list[str], outputs: list[str], shapes: Any) -> None:
    torch.onnx.export(
        module, given, str(path), input_names=names, output_names=outputs, dynamic_shapes=shapes, dynamo=True,
        opset_version=OPSET, external_data=False, verbose=False,
    )  # fmt: skip


def run(path: Path, inputs: Inputs) -> Tensor:
    """The output that the file computes."""
    found = _session(path)(["output"], {k: v.numpy() for k, v in inputs.items()})
    return torch.from_numpy(found[0])


GRAPH = Exporter(suffix=".onnx", opens=Onnx.opens, write=write, run=run)
"""The format for modules without a cache."""


def _session(path: Path) -> Callable[..., Any]:
    return session(path, torch.get_num_threads()).run


def _quantised(module: nn.Module, whole: Path, path: Path, done: Written) -> Written:
    """The int8 file of a float32 file that agrees with the model, and what it loses."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        written_or_refused(lambda: quantize_dynamic(str(whole), str(path), weight_type=QuantType.QInt8))
    if _caches(module):
        return agreement(_session(path), Cached(module), path, WRITTEN, exact=False)
    graph, inputs = graph_of(module, example(module, device="cpu"))
    with torch.no_grad():
        wanted, found = graph(**inputs), run(path, inputs)
    apart = float((found - wanted).abs().max() / wanted.abs().max())
    if not apart < 1:
        raise ExportError(f"as int8 the outputs differ by {apart:.1e} of the largest; export as f32")
    note = "of int8 the outputs are told, not held to a tolerance; measure before you use it"
    return Written(path=path, bytes=path.stat().st_size, difference=apart, compared=done.compared[:1], notes=(note,))


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings and the log of exporters, which are for their authors."""
    import logging

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


EXPORTER = Onnx()
