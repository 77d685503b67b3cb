"""A module before and after, as a report: what is counted, how far the outputs moved, how long a pass takes."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Layout, Measurement, Plan, Report, Subject
from penjing.evaluate.costs import BYTES, PARAMETERS
from penjing.layouts import costs
from penjing.pipeline.comparison import exact_ratios
from penjing.surgery.memory import run

PASSES = 20
"""Timed forward passes of each model, in turn, after three that are not timed."""

MACS = Measurement(
    name="macs", value=None, unit="multiply-adds", label="Multiply-adds per example", better="lower", group="size"
)
MOVED = Measurement(
    name="output_difference", value=None, unit="share of the outputs' norm", label="Outputs differ by", better="lower",
    group="quality",
)  # fmt: skip
SECONDS = Measurement(
    name="forward_seconds", value=None, unit="seconds", label="Seconds per forward pass", better="lower", group="time",
    spread_kind="inter-quartile range",
)  # fmt: skip


def module_report(
    before: nn.Module, after: nn.Module, layout: Layout, plan: Plan, *, example: Any, speed: bool = True
) -> Report:
    """The figures of both modules that need no text; the original is the first subject.

    Outputs are compared, and passes timed, on the `example`; without one (a module of transformers needs none) on ids
    or noise of its kind.
    """
    inputs = _inputs(before, example)
    sizes = {**layout.sizes, **{axis: len(units) for axis, units in plan.keeps().items()}}
    dropped = any(b.axis in plan.keeps() for b in layout.blocks)
    times = _times((before, after), inputs) if speed and inputs is not None else None
    moved = _moved(before, after, inputs)
    name = type(before).__name__
    subjects = []
    for place, (title, module, of) in enumerate(((name, before, layout.sizes), (f"{name}, smaller", after, sizes))):
        figures = [
            replace(PARAMETERS, value=float(_count(module)), n=1, protocol="counted in memory"),
            replace(BYTES, value=float(_bytes(module)), n=1, protocol="of the state dict", label="Bytes of weights"),
            replace(MACS, note="blocks were dropped, and their work is not counted apart")
            if dropped and place
            else replace(MACS, value=costs.macs(layout, of), n=1, protocol="counted from the layout"),
            *((moved,) if place else ()),
            _seconds(times[place] if times else None, speed),
        ]
        widths = {a: n for a, n in of.items() if a in layout.axes}
        subjects.append(Subject(name=title, source="a module in memory", figures=tuple(figures), widths=widths))
    return Report(
        title=f"Shrunk by penjing: {name}",
        subjects=tuple(subjects),
        ratios=exact_ratios(subjects[1], subjects[0]),
        notes=tuple(plan.made.get("notes", ())),
        provenance=_provenance(plan),
    )


def _inputs(module: nn.Module, example: Any) -> Any:
    """The example on the module's device, one of transformers' own, or None where nothing is known."""
    from penjing.errors import LayoutError
    from penjing.layouts.graph.inputs import example as example_of

    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    if example is None:
        try:
            example = example_of(module, device=str(device))
        except LayoutError:
            return None
    return _on(example, device)


def _on(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {k: _on(v, device) for k, v in value.items()}
    return tuple(_on(v, device) for v in value) if isinstance(value, tuple | list) else value


def _moved(before: nn.Module, after: nn.Module, inputs: Any) -> Measurement:
    """The norm of the difference of the first outputs over the norm of the original's."""
    if inputs is None:
        return replace(MOVED, note="no example of inputs is known")
    wanted, given = run(before, inputs), run(after, inputs)
    if wanted.shape != given.shape or not wanted.is_floating_point():
        return replace(MOVED, note=f"the outputs are {list(wanted.shape)} and {list(given.shape)}, {wanted.dtype}")
    size = float(wanted.double().norm())
    gap = float((given.double() - wanted.double()).norm())
    share = gap / size if size else (0.0 if gap == 0 else float("inf"))
    return replace(MOVED, value=share, n=wanted.numel(), protocol="first output, on the example, evaluation mode")


def _times(modules: tuple[nn.Module, nn.Module], inputs: Any) -> tuple[list[float], list[float]]:
    """Seconds of each pass of both, one after the other, so that what slows the machine slows both."""
    out: tuple[list[float], list[float]] = ([], [])
    for turn in range(PASSES + 3):
        for module, found in zip(modules, out, strict=True):
            start = time.perf_counter()
            run(module, inputs)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn >= 3:
                found.append(time.perf_counter() - start)
    return out


def _seconds(found: list[float] | None, asked: bool) -> Measurement:
    if found is None:
        return replace(SECONDS, note="no example of inputs is known" if asked else "speed was not asked for")
    low, _, high = quantiles(found, n=4)
    how = f"median of {len(found)} passes of the example, both models in turn, {torch.get_num_threads()} threads"
    return replace(SECONDS, value=median(found), n=len(found), spread=high - low, protocol=how)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _bytes(module: nn.Module) -> int:
    """Of parameters and buffers that are saved, tied ones once."""
    held = {id(t): t for t in module.state_dict(keep_vars=True).values() if isinstance(t, Tensor)}
    return sum(t.numel() * t.element_size() for t in held.values())


def _provenance(plan: Plan) -> dict[str, Any]:
    versions = {}
    for package in ("penjing", "torch"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed as a package"
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {**plan.made, "command": "called from Python", "versions": versions, "date": date}
