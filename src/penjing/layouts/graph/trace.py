"""A module and an example, as one exported graph of plain ATen operators."""

from __future__ import annotations

import logging
import re
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.attention import SDPBackend, sdpa_kernel

from penjing.errors import LayoutError

PREFIX = "inner"
OUTPUTS = (
    "logits",
    "logits_per_image",
    "prediction_logits",
    "prediction_outputs",
    "reconstruction",
    "last_hidden_state",
)


@dataclass(frozen=True)
class Traced:
    """An exported program and where it came from. `tied` maps each further name of a tensor to its first."""

    program: ExportedProgram
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    tied: Mapping[str, str]


class Plain(nn.Module):
    """A module whose forward returns tensors only: of a model's named outputs the main one, else all of them."""

    def __init__(self, inner: nn.Module) -> None:
        """Wrap `inner`."""
        super().__init__()
        self.inner = inner

    def forward(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        """All tensors of interest, flat."""
        return tensors_of(self.inner(*args, **kwargs))


def tensors_of(out: Any) -> tuple[Tensor, ...]:
    """The main tensor of a named output, or every tensor of a nested one."""
    if isinstance(out, Tensor):
        return (out,)
    if hasattr(out, "to_tuple"):
        main = next((out[k] for k in OUTPUTS if isinstance(out.get(k), Tensor)), None)
        return (main,) if main is not None else tensors_of(out.to_tuple())[:1]
    if isinstance(out, Mapping):
        return tuple(t for v in out.values() for t in tensors_of(v))
    if isinstance(out, list | tuple):
        return tuple(t for v in out for t in tensors_of(v))
    return ()


def trace(module: nn.Module, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Traced:
    """Export a module in evaluation mode and break its operators down.

    Raises:
        LayoutError: its forward cannot be exported.
    """
    kwargs = dict(kwargs or {})
    training = module.training
    module.eval()
    try:
        # The kernels of a CPU lay attention's outputs out in another order, which later views do not fit.
        with quiet(), sdpa_kernel(SDPBackend.MATH):
            program = torch.export.export(Plain(module), args, kwargs, strict=False).run_decompositions()
    except Exception as error:
        raise LayoutError(f"not derived: {why(error)}; write the layout by hand or change that line") from error
    finally:
        module.train(training)
    return Traced(program, module, args, kwargs, tied_names(module))


def tied_names(module: nn.Module) -> dict[str, str]:
    """Each further name of a tensor -> its first name."""
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    for kind in (module.named_parameters, module.named_buffers):
        for name, tensor in kind(remove_duplicate=False):
            kept = first.setdefault(id(tensor), name)
            if kept != name:
                tied[name] = kept
    return tied


def why(error: Exception) -> str:
    """One line: what export refused, and the source line that it refused."""
    text = str(error)
    data = "data-dependent" in text or "DataDependent" in type(error).__name__ or "guard on" in text
    first = text.strip().splitlines()[0][:120] if text.strip() else "no message"
    said = "forward branches on data" if data else f"export failed ({type(error).__name__}: {first})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _of_torch(f.filename)]
    place = next((f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in reversed(frames)), "")
    if not place:
        hits = [h for h in re.findall(r'File "([^"]+)", line (\d+)', text) if not _of_torch(h[0])]
        place = f"{hits[-1][0].rsplit('/', 1)[-1]}:{hits[-1][1]}" if hits else ""
    return f"{said} at {place}" if place else said


def _of_torch(path: str) -> bool:
    return "/torch/" in path or path.endswith(("/layouts/trace.py", "contextlib.py")) or path.startswith("<")


@contextmanager
def quiet() -> Iterator[None]:
    """Export says much: neither its warnings nor its logs are for the user."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        logger.setLevel(level)
