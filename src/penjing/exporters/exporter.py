"""What a format is: how a model is written in it, and how what was written is run again."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.errors import ExportError

TOLERANCE = 1e-4
"""Largest difference over largest output: another runtime adds in another order, which is no fault."""

Inputs = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """One format. The first line of its file says what it is.

    `write(module, inputs, path)` writes a module whose forward takes the inputs by name and gives one tensor; it should
    take any number of them in a batch, and any length of text. `run(path, inputs)` computes its output from the file,
    by the runtime that users have. `suffix` is that of the file, and `opens` the lines that open it, with FILE for its
    name.
    """

    suffix: str
    opens: str
    write: Callable[[nn.Module, Inputs, Path], None]
    run: Callable[[Path, Inputs], Tensor]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written, and how far the file's outputs are from the model's, relative to the largest."""

    path: Path
    bytes: int
    difference: float
    compared: tuple[str, ...]
    """The shapes of the inputs that outputs were compared at."""


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
        worst = max(worst, _gap(found.double(), wanted.double()))
        shapes.append(shape)
    if not worst <= TOLERANCE:
        raise ExportError(
            f"{path.name} computes something else than the model: outputs differ by {worst:.1e} of the largest, "
            f"allowed {TOLERANCE:g}; do not use it"
        )
    return Written(path=path, bytes=path.stat().st_size, difference=worst, compared=tuple(shapes))


def _gap(found: Tensor, wanted: Tensor) -> float:
    """The largest difference over the largest value; infinity where one of the two is no number."""
    gap = (found - wanted).abs().nan_to_num(nan=float("inf"))
    gap[found.isnan() & wanted.isnan()] = 0.0
    return float(gap.max()) / (float(wanted.abs().nan_to_num(0.0).max()) or 1.0) if gap.numel() else 0.0
