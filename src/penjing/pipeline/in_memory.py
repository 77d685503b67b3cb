"""Before and after for a module in memory: sizes, work, time, how far its outputs moved, and a metric of one's own."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Layout, Measurement, Plan, Report, Subject
from penjing.core.progress import Progress, silent
from penjing.errors import LayoutError, MeasureError
from penjing.evaluate.costs import BYTES, MACS_PER_IMAGE, MACS_PER_TOKEN, PARAMETERS
from penjing.layouts.graph.inputs import example as made_example
from penjing.pipeline.comparison import exact_ratios
from penjing.profiling.module_time import FORWARD, forward_times
from penjing.select.constants import alike
from penjing.surgery import Verified
from penjing.surgery.outputs import run

ERROR = Measurement(
    name="output_difference", value=None, unit="of the original's outputs", label="Difference of outputs",
    better="lower", group="quality",
)  # fmt: skip
AGREEMENT = Measurement(
    name="agreement", value=None, unit="share of outputs", label="Same largest output as the original", better="higher",
    group="quality",
)  # fmt: skip
MACS = replace(MACS_PER_IMAGE, name="macs", label="Multiply-adds per example")

IN_MEMORY = "a module in memory"
Metric = Callable[[nn.Module], float | Mapping[str, float | Measurement]]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a module is tried on: `batches` as it takes them, or a callable that gives them; a `metric`; `speed`."""

    batches: Any = None
    metric: Metric | None = None
    speed: bool = True


def module_report(
    pair: tuple[nn.Module, nn.Module], plan: Plan, layout: Layout, verified: Verified, trial: Trial, *,
    example: Any = None, notes: Sequence[str] = (), progress: Progress = silent,
) -> Report:  # fmt: skip
    """A report of a module and the smaller one. Both run in evaluation mode, without gradients, and are left as before.

    Raises:
        MeasureError: `batches` hold nothing.
    """
    before, after = pair
    given, what = _given(before, trial.batches, example)
    own, other = _sizes(before, verified.before), _sizes(after, verified.after)
    moved = _moved(pair, given, what, progress)
    if trial.metric is not None:
        progress("the metric of both", 0, 0)
        own, other = ([*o, *_metric(trial.metric, m)] for o, m in ((own, before), (other, after)))
    names = type(before).__name__, f"{type(before).__name__}, smaller"
    times, ratio = [replace(FORWARD, note="speed was not asked for")] * 2, []
    if trial.speed:
        progress("timing", 0, 0)
        times, ratio = _times(pair, given, names)
    subjects = (
        Subject(name=names[0], source=IN_MEMORY, figures=(*own, times[0]), widths=layout.sizes),
        Subject(name=names[1], source=IN_MEMORY, figures=(*other, *moved, times[1]), widths=dict(verified.sizes)),
    )
    return Report(
        title=f"Shrunk by penjing: {names[0]}",
        subjects=subjects,
        ratios=(*exact_ratios(subjects[1], subjects[0]), *ratio),
        notes=(*notes, *verified.notes),
        provenance=_provenance(plan, what),
    )


def _given(module: nn.Module, batches: Any, example: Any) -> tuple[list[Any], str]:
    """(what the modules are run on, what that is), on the device of the module."""
    if batches is not None:
        found: Any = batches() if callable(batches) else batches
        given, what = list(found), "held-out batches"
        if not given:
            raise MeasureError("held_out holds no batches; give some, each as the module takes it")
    else:
        if example is None:
            try:
                example = made_example(module, device="cpu")
            except (LayoutError, AttributeError):
                return [], "no example"
        given, what = [example, *alike(example)[1:2]], "the example, and a random one like it"
    first = next(module.parameters(), None)
    return [_like(one, first) for one in given], what


def _like(value: Any, first: Tensor | None) -> Any:
    """The value where the module's weights are, floating point numbers in their type."""
    if isinstance(value, Mapping):
        return {k: _like(v, first) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_like(v, first) for v in value)
    if not isinstance(value, Tensor) or first is None:
        return value
    moved = value.to(first.device)
    return moved.to(first.dtype) if moved.is_floating_point() and first.is_floating_point() else moved


def _sizes(module: nn.Module, counted: Any) -> list[Measurement]:
    tensors = {id(t): t for t in module.state_dict(keep_vars=True).values() if isinstance(t, Tensor)}
    work = replace(MACS, value=float(counted.macs)) if counted.macs_per_token is None else replace(
        MACS_PER_TOKEN, value=float(counted.macs_per_token)
    )
    if not work.value:
        work = replace(work, value=None, note="the layout lists no products")
    total = float(sum(p.numel() for p in module.parameters()))
    return [
        replace(PARAMETERS, value=total, n=1, protocol="counted, once each"),
        replace(BYTES, label="Size in memory", value=float(sum(t.nbytes for t in tensors.values())), n=1),
        replace(work, n=1, protocol="macs/1 products only"),
    ]  # fmt: skip


def _moved(pair: tuple[nn.Module, nn.Module], given: list[Any], what: str, progress: Progress) -> list[Measurement]:
    """How far the outputs moved, over all values of all batches."""
    gap = size = same = shown = 0.0
    for i, one in enumerate(given):
        progress("outputs of both", i, len(given))
        try:
            wanted, found = (run(m, one).detach().double() for m in pair)
        except (RuntimeError, TypeError, ValueError, IndexError, KeyError) as error:
            return [replace(ERROR, note=f"a batch did not run: {(str(error).splitlines() or [''])[0]}")]
        if wanted.shape != found.shape:
            return [replace(ERROR, note=f"outputs are {list(wanted.shape)} before and {list(found.shape)} after")]
        gap, size = gap + float((wanted - found).square().sum()), size + float(wanted.square().sum())
        if wanted.dim() > 1 and wanted.shape[-1] > 1:
            same += float((wanted.argmax(-1) == found.argmax(-1)).sum())
            shown += wanted.numel() / wanted.shape[-1]
    if not given or not size:
        why = "the original's outputs are all zero" if given else "there was no example to run"
        return [replace(ERROR, note=why)]
    how = f"outputs/1 root of the summed squares over that of the original's, on {what}"
    out = [replace(ERROR, value=(gap / size) ** 0.5, n=len(given), protocol=how)]
    if shown:
        out.append(replace(AGREEMENT, value=same / shown, n=int(shown), protocol=f"outputs/1 argmax, on {what}"))
    return out


def _metric(metric: Metric, module: nn.Module) -> list[Measurement]:
    """What one's own metric says of a module: a number, or several by their names."""
    training = module.training
    module.eval()
    name = getattr(metric, "__name__", type(metric).__name__).strip("<>")
    try:
        with torch.no_grad():
            found = metric(module)
    finally:
        module.train(training)
    each = found if isinstance(found, Mapping) else {name: found}
    out = []
    for key, value in each.items():
        label = str(key).replace("_", " ")
        bare = Measurement(name=f"metric:{key}", value=None, unit="", label=label, group="quality", protocol="metric=")
        if isinstance(value, Measurement):  # one that knows its spread
            out.append(replace(value, name=bare.name, group="quality"))
            continue
        try:
            out.append(replace(bare, value=float(value), n=1))
        except (TypeError, ValueError):
            out.append(replace(bare, note=f"the metric gave a {type(value).__name__}, and a number was needed"))
    return out


def _times(
    pair: tuple[nn.Module, nn.Module], given: list[Any], names: tuple[str, str]
) -> tuple[list[Measurement], list[Measurement]]:
    if not given:
        return [replace(FORWARD, note="there was no example to run")] * 2, []
    first, second = (partial(_settled, m, given[0]) for m in pair)
    threads = torch.get_num_threads()
    try:
        figures, ratio = forward_times(
            first, second, subjects=names,
            protocol=f"forward/1 of the first batch, in this process, {threads} threads",
        )  # fmt: skip
    except (RuntimeError, TypeError, ValueError) as error:
        return [replace(FORWARD, note=f"it did not run: {(str(error).splitlines() or [''])[0]}")] * 2, []
    return list(figures), [ratio]


def _settled(module: nn.Module, given: Any) -> None:
    """One pass, waited for."""
    if run(module, given).is_cuda:
        torch.cuda.synchronize()


def _provenance(plan: Plan, what: str) -> dict[str, Any]:
    from importlib.metadata import version

    from penjing import __version__

    return {
        **plan.made,
        "evaluation": what,
        "command": "called from Python",
        "versions": {"penjing": __version__, "torch": version("torch")},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
