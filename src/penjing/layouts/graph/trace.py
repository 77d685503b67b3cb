"""A module and an example, as one recorded graph of plain ATen operators."""

from __future__ import annotations

import logging
import re
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import sep
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import penjing.layouts
from penjing.errors import LayoutError
from penjing.layouts.graph.record import record
from penjing.layouts.graph.recording import Recording

_OTHERS = (*(f"{Path(p).resolve().parent}{sep}" for p in (torch.__file__, penjing.layouts.__file__)), "<")
"""What the files of torch and of recording begin with, and what was made of no file."""

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
    """A recorded run and what was run.

    `tied` maps each further name of a tensor to its first. `exporting` says that its code for export was run.
    """

    recording: Recording
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    tied: Mapping[str, str]
    exporting: bool = True


def run(module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """The tensors that a module gives: of a model's named outputs the main one, else all of them, flat."""
    return tensors_of(module(*args, **kwargs))


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
    """Record one run of a module in evaluation mode, without values.

    Raises:
        LayoutError: its forward cannot be run without values.
    """
    kwargs = dict(kwargs or {})
    training = module.training
    module.eval()
    failed: Exception | None = None
    try:
        for exporting in (True, False):  # what is kept for export may need more arguments than usual
            try:
                with quiet():
                    recording = record(module, partial(run, module), args, kwargs, exporting=exporting)
                return Traced(recording, module, args, kwargs, tied_names(module), exporting)
            except Exception as error:
                failed = error
    finally:
        module.train(training)
    said = why(failed) if failed is not None else ""
    raise LayoutError(f"not derived: {said}; write the layout by hand or change that line") from failed


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
    """One line: what could not be done without values, and the source line that asked for it."""
    text = str(error)
    data = any(word in text for word in ("data-dependent", "guard on", "unallocated storage"))
    data = data or any(word in type(error).__name__ for word in ("DataDependent", "DynamicOutputShape"))
    first = text.strip().splitlines()[0][:120] if text.strip() else "no message"
    said = "forward branches on data" if data else f"its forward fails without values ({type(error).__name__}: {first})"
    place = line_of(traceback.extract_tb(error.__traceback__))
    if not place:
        hits = [h for h in re.findall(r'File "([^"]+)", line (\d+)', text) if not _of_torch(h[0])]
        place = f"{hits[-1][0].rsplit('/', 1)[-1]}:{hits[-1][1]}" if hits else ""
    return f"{said} at {place}" if place else said


def line_of(stack: Iterable[traceback.FrameSummary]) -> str:
    """The innermost line of a stack that is neither torch's nor penjing's: `net.py:12`, or empty."""
    frames = [f for f in stack if not _of_torch(f.filename)]
    return f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""


def _of_torch(path: str) -> bool:
    return path.startswith(_OTHERS) or path.endswith("contextlib.py")


@contextmanager
def quiet() -> Iterator[None]:
    """Recording says much: neither its warnings nor its logs are for the user."""
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
