"""What a format is: how a model is written in it, and how what was written is run again."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from penjing.core.progress import Progress
from penjing.errors import ExportError
from penjing.layouts.graph.inputs import example

TOLERANCE = 1e-4
"""Largest difference over largest output: another runtime adds in another order, which is no fault."""

Inputs = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is exported: a folder that penjing opens, and how its module is opened, in a type or as stored."""

    folder: Path
    load: Callable[[torch.dtype | None], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written, and how far the file's outputs are from the model's, relative to the largest."""

    path: Path
    bytes: int
    difference: float
    compared: tuple[str, ...]
    """The shapes of the inputs that outputs were compared at."""
    notes: tuple[str, ...] = ()
    """What else was found, in sentences for people."""


@runtime_checkable
class Format(Protocol):
    """One format. The first line of its file says what it is.

    `runtime` is what opens the file, and `modules` the kinds of inserted modules that it holds (None: any).
    `suffix` is that of the file, "" where a folder is written, `opens` the lines that open it, with FILE for its name,
    and `variants` what can stand behind a colon, as `q8_0` in `gguf:q8_0`, with what it is; the first is taken where
    none is named. `make` writes the file, runs it by the runtime that users have, and holds it against the model. What
    it cannot write it refuses before any of it, by an `ExportError`; `refuse` says so of a model of which no weight is
    read, as far as sizes tell, and `multiple` which widths suit it.
    """

    @property
    def runtime(self) -> str:
        """As `onnxruntime`."""
        ...

    @property
    def modules(self) -> frozenset[str] | None:
        """As `nothing`."""
        ...

    @property
    def suffix(self) -> str:
        """As `.pt2`; "" is a folder."""
        ...

    @property
    def opens(self) -> str:
        """Lines of Python."""
        ...

    @property
    def variants(self) -> Mapping[str, str]:
        """Name -> what it is."""
        ...

    def multiple(self, variant: str) -> int:
        """What widths should be a multiple of; 1 is any."""
        ...

    def refuse(
        self, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], variant: str, folder: Path | None = None
    ) -> None:
        """Raise an `ExportError`, or a `MissingExtraError`, where such a model cannot be written here.

        `folder` is where its tokenizer lies, if that is to be looked at too.
        """
        ...

    def make(self, given: Given, path: Path, variant: str, progress: Progress) -> Written:
        """Write and check."""
        ...


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """A format that holds the graph of any module.

    `write(module, inputs, path)` writes a module whose forward takes the inputs by name and gives one tensor; it should
    take any number of them in a batch, and any length of text. `run(path, inputs)` computes its output from the file.
    """

    suffix: str
    opens: str
    runtime: str = "torch"
    modules: frozenset[str] | None = None
    write: Callable[[nn.Module, Inputs, Path], None]
    run: Callable[[Path, Inputs], Tensor]

    @property
    def variants(self) -> Mapping[str, str]:
        """None."""
        return {}

    def multiple(self, variant: str) -> int:
        """Any width."""
        del variant
        return 1

    def refuse(
        self, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], variant: str, folder: Path | None = None
    ) -> None:
        """Nothing: what a graph cannot hold shows when it is recorded."""

    def make(self, given: Given, path: Path, variant: str, progress: Progress) -> Written:
        """Write the graph of the module, and run it at two sizes.

        Raises:
            ExportError: it cannot be written, or the file computes something else.
        """
        del variant
        module = given.load(None)
        graph, inputs = graph_of(module, example(module, device="cpu"))
        progress("writing the graph", 0, 0)
        with torch.no_grad():
            written_or_refused(lambda: self.write(graph, inputs, path))
        progress("running the file", 0, 0)
        return check(self, path, graph, [inputs, another(inputs)])


def written_or_refused(write: Callable[[], None]) -> None:
    """Let another library write a file.

    Raises:
        ExportError: it refuses, in whatever way.
        OSError: the system does not take the file.
    """
    try:
        write()
    except (ExportError, OSError):
        raise
    except Exception as error:  # exporters of other libraries raise of every kind
        lines = [x.strip() for x in str(error).splitlines() if x.strip()] or [type(error).__name__]
        raise ExportError(f"the model cannot be written in this format: {lines[0]}; nothing was left") from error


def discard(path: Path) -> None:
    """Remove what was written there, a file or a folder, if anything was."""
    if path.is_dir() and not path.is_symlink():
        rmtree(path)
    else:
        path.unlink(missing_ok=True)


def free_dimensions(value: Tensor) -> int:
    """How many of the leading dimensions are free: batch and length of token ids and masks, the batch of all else."""
    return 2 if value.dim() == 2 and not value.is_floating_point() else 1


def another(inputs: Inputs) -> Inputs:
    """Inputs of another size: one more in the batch, and of texts a longer one."""
    more = {k: torch.cat([v, v[:1]]) for k, v in inputs.items()}
    texts = [k for k, v in more.items() if free_dimensions(v) == 2]
    return more | {k: torch.cat([more[k], more[k][:, :3]], 1) for k in texts}


class _Graph(nn.Module):
    """A module whose forward gives its first output alone, from inputs by name.

    The forward's signature has these names, as exporters look there for them.
    """

    def __init__(self, inner: nn.Module, names: Iterable[str], fixed: Mapping[str, Any]) -> None:
        super().__init__()
        self.inner, self._fixed, names = inner, dict(fixed), tuple(names)

        def forward(*given: Tensor, **named: Tensor) -> Tensor:
            out = self.inner(**dict(zip(names, given, strict=False)), **named, **self._fixed)
            return out if isinstance(out, Tensor) else out[0]

        asked = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
        forward.__signature__ = inspect.Signature(asked)  # type: ignore[attr-defined]
        self.forward = forward


def graph_of(module: nn.Module, inputs: Mapping[str, Any]) -> tuple[nn.Module, Inputs]:
    """(module with one output, its tensors by name), from the keyword arguments of a forward pass.

    What is no tensor among the arguments is part of the module.
    """
    tensors = {k: v for k, v in inputs.items() if isinstance(v, Tensor)}
    fixed = {k: v for k, v in inputs.items() if not isinstance(v, Tensor)}
    return _Graph(module, tensors, fixed).eval(), tensors


@torch.no_grad()
def check(exporter: Exporter, path: Path, module: nn.Module, several: list[Inputs]) -> Written:
    """Run the file on each of several inputs, and hold it against the module.

    Raises:
        ExportError: the file does not open, or computes something else.
    """
    worst, shapes = 0.0, []
    for inputs in several:
        shape = ", ".join(f"{k} {list(v.shape)}" for k, v in inputs.items())
        wanted = module(**inputs)
        try:
            found = exporter.run(path, inputs)
        except Exception as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ExportError(f"{path.name} does not run at {shape}: {line}; do not use it") from error
        if found.shape != wanted.shape:
            raise ExportError(
                f"{path.name} gives {list(found.shape)} at {shape}, needed {list(wanted.shape)}; do not use it"
            )
        worst = max(worst, gap(found.double(), wanted.double()))
        shapes.append(shape)
    if not worst <= TOLERANCE:
        raise ExportError(
            f"{path.name} computes something else than the model: outputs differ by {worst:.1e} of the largest, "
            f"allowed {TOLERANCE:g}; do not use it"
        )
    return Written(path=path, bytes=path.stat().st_size, difference=worst, compared=tuple(shapes))


def gap(found: Tensor, wanted: Tensor) -> float:
    """The largest difference over the largest value; infinity where one of the two is no number."""
    gap = (found - wanted).abs().nan_to_num(nan=float("inf"))
    gap[found.isnan() & wanted.isnan()] = 0.0
    return float(gap.max()) / (float(wanted.abs().nan_to_num(0.0).max()) or 1.0) if gap.numel() else 0.0
