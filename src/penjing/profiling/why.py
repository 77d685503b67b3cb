"""Where bytes, multiply-adds and milliseconds of a model go, which cut would pay, and why zeros alone do not."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import torch

from penjing.core import Layout
from penjing.core.pattern import shape as sizes_of
from penjing.core.progress import Progress, silent
from penjing.errors import LayoutError
from penjing.evaluate.costs import generates, main_dtype
from penjing.layouts import costs
from penjing.profiling.cuts import Costed, Cut, Model, all_cuts, bytes_read
from penjing.profiling.roofline import Job, Profile, Shape, predict
from penjing.profiling.roofline.predicting import SCORES
from penjing.profiling.roofline.shape import part_of
from penjing.profiling.speed.settings import Speed
from penjing.profiling.zeros import Zeros, count_zeros
from penjing.running.children import Child, physical_cpus
from penjing.running.source import Source, as_folder


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a model: what it holds, what a step and a pass read and multiply there, and how long they are in it.

    Seconds are predicted from the machine's profile, or `measured_*` from a run; None where there is neither.
    `decode_share` and `prefill_share` are of the seconds if there are any, else of bytes read and of multiply-adds:
    1 - share is the ratio that would be left if the part cost nothing. `bound` says what most of a step (or, for
    models without tokens, of a pass) is spent on: bytes, arithmetic or calls.
    """

    part: str
    parameters: int = 0
    decode_bytes: float | None = None
    decode_macs: float | None = None
    prefill_macs: float = 0.0
    decode_seconds: float | None = None
    prefill_seconds: float | None = None
    measured_decode_seconds: float | None = None
    measured_prefill_seconds: float | None = None
    decode_share: float | None = None
    prefill_share: float = 0.0
    bound: str = ""


@dataclass(frozen=True, kw_only=True)
class Why:
    """The parts, the cuts that would pay with the best first, and the zeros, if the weights were read.

    `machine` is the profile's line, empty without one. `cut_out` is what taking out the units that do nothing gives.
    `itemsize` is in bytes per weight, `step_bytes` what one step reads in all.
    """

    name: str
    tokens: int
    context: int
    dtype: str
    itemsize: int
    step_bytes: float | None
    parts: tuple[Part, ...]
    cuts: tuple[Cut, ...]
    zeros: Zeros | None = None
    cut_out: Cut | None = None
    machine: str = ""
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Plain data with stable keys."""
        return asdict(self)


def explain(
    source: Source,
    *,
    context: int = 512,
    tokens: int = 128,
    profile: Profile | None = None,
    zeros: bool = True,
    measured: Mapping[str, Mapping[str, float]] | None = None,
    progress: Progress = silent,
) -> Why:
    """Why a model takes what it takes, from its layout alone, or with a machine's `profile`.

    Decode is one token after `context` tokens, prefill a pass over `tokens`. With `zeros` and weights, every weight
    is read once. `measured` is job -> module path -> seconds, as `measure_parts` gives it.

    Raises:
        CheckpointError: a weight cannot be read.
    """
    layout = source.layout
    model = _model(source)
    shape = model.shape()
    writes = shape.by_token and (model.cache_bytes > 0 or generates(source.config))
    decode = Job(kind="decode", context=context) if writes else None
    costed = Costed(model=model, prefill=Job(kind="prefill", tokens=tokens), decode=decode, profile=profile)
    found = count_zeros(source.checkpoint, layout, progress) if zeros and source.checkpoint is not None else None
    cut_out = None
    if found and found.units:
        left = {a: max(layout.axes[a].least, layout.axes[a].size - n) for a, n in found.units.items()}
        cut_out = costed.cut("the units that do nothing", "units", "free", left)
    return Why(
        name=source.name,
        tokens=tokens,
        context=context,
        dtype=dtype_of(source),
        itemsize=model.itemsize,
        step_bytes=bytes_read(shape, decode) if decode else None,
        parts=_parts(costed, shape, measured or {}),
        cuts=all_cuts(costed),
        zeros=found,
        cut_out=cut_out,
        machine=profile.summary() if profile else "",
        notes=_notes(layout, profile),
    )


def dtype_of(source: Source) -> str:
    """The dtype that most weights have, or that the config names, or bfloat16."""
    if source.checkpoint is not None:
        return str(main_dtype(source.checkpoint.dtypes)).removeprefix("torch.")
    named = str(source.config.get("dtype") or source.config.get("torch_dtype") or "bfloat16").removeprefix("torch.")
    return named if isinstance(getattr(torch, named, None), torch.dtype) else "bfloat16"


def measure_parts(
    source: Source, cache: Path, speed: Speed, *, timeout: float = 900.0, progress: Progress = silent
) -> dict[str, dict[str, float]]:
    """Job -> module path -> seconds in that module and none of its children, the least of five runs of each job.

    The model runs in a process of its own, on as many tokens, the device and the threads (None: one per physical core)
    that `speed` says. What tells the time at every module costs some microseconds each, so the sum is above that of an
    undisturbed run.

    Raises:
        CheckpointError: there are no weights.
        MeasureError: the process died, did not answer, or the model has too few positions.
    """
    folder = as_folder(source, cache, progress)
    cpus = physical_cpus()[: speed.threads]
    settings = {
        "folder": str(folder), "device": speed.device, "dtype": speed.dtype, "threads": speed.threads or len(cpus),
        "cpus": cpus, "tokens": speed.tokens, "context": speed.context, "warm": 1.0,
    }  # fmt: skip
    with Child(source.name, settings, timeout=timeout) as child:
        progress("running the model", 0, 0)
        jobs = ["prefill", "decode"] if child.greeting()["decodes"] else ["prefill"]
        out = {}
        for job in jobs:
            child.warm(job)
            runs = [child.request({"job": job, "inside": True})["inside"] for _ in range(5)]
            out[job] = min(runs, key=lambda run: sum(run.values()))
    if "decode" in out:  # a run of decode is two steps, the first of which is not timed elsewhere
        out["decode"] = {path: seconds / 2 for path, seconds in out["decode"].items()}
    return out


def _model(source: Source) -> Model:
    dtypes = source.checkpoint.dtypes if source.checkpoint is not None else {}
    itemsize = getattr(torch, dtype_of(source)).itemsize
    by_token = any(w.tokens for w in source.layout.work)
    cache = 0
    if source.config and by_token:
        with suppress(LayoutError):  # the other parts are told all the same
            cache = costs.kv_cache_bytes_per_token(source.config, itemsize)
    return Model(layout=source.layout, dtypes=dtypes, itemsize=itemsize, cache_bytes=float(cache))


def _parts(costed: Costed, shape: Shape, measured: Mapping[str, Mapping[str, float]]) -> tuple[Part, ...]:
    """Every part that holds or costs anything, the dearest first."""
    layout, decode, prefill = costed.model.layout, costed.decode, costed.prefill
    rows: dict[str, dict[str, Any]] = {}

    def add(part: str, **more: float) -> None:
        row = rows.setdefault(part, {})
        for key, value in more.items():
            row[key] = row.get(key, 0) + value

    for name, pattern in layout.patterns.items():
        if name not in layout.aliases and not costs.is_buffer(name):
            add(part_of(layout, name), parameters=prod(sizes_of(pattern, layout.sizes)))
    for part, size in shape.rest.items():
        add(part, decode_bytes=size)
    for p in shape.products:
        one = p.rows * p.inputs * p.outputs
        add(p.part, prefill_macs=one * (prefill.tokens if p.per_token else 1))
        if p.per_token:
            add(p.part, decode_macs=one, decode_bytes=p.bytes)
    for s in shape.scores:
        add(SCORES, prefill_macs=s.macs * prefill.tokens**s.power)
        if decode and s.power:
            add(SCORES, decode_macs=s.macs * decode.context ** (s.power - 1))
    if decode:
        add(SCORES, decode_bytes=shape.cache_bytes * decode.context)
    bound = _seconds(costed, shape, add)
    for job, inside in measured.items():
        for path, seconds in inside.items():
            add(_part_of_module(path, inside), **{f"measured_{job}_seconds": seconds})
    return _shared(rows, bound, costed)


def _seconds(costed: Costed, shape: Shape, add: Any) -> dict[str, str]:
    """Add predicted seconds; part -> what binds it."""
    if costed.profile is None:
        return {}
    bound: dict[str, str] = {}
    for job in (costed.prefill, costed.decode):
        if job is not None:
            found = predict(costed.profile, shape, job)
            bound |= found.bound
            for part, seconds in found.parts.items():
                add(part, **{f"{job.kind}_seconds": seconds})
    return bound


def _part_of_module(path: str, all_paths: Mapping[str, float]) -> str:
    """The part of a module; what an attention does outside its own products is its scores."""
    part = costs.part_of(f"{path}.weight")
    outer = any(other.startswith(f"{path}.") for other in all_paths)
    return SCORES if part == "attention" and outer else part


def _shared(rows: Mapping[str, dict[str, Any]], bound: Mapping[str, str], costed: Costed) -> tuple[Part, ...]:
    keys = {
        kind: next((k for k in choice if any(k in row for row in rows.values())), choice[-1])
        for kind, choice in {
            "decode": ("measured_decode_seconds", "decode_seconds", "decode_bytes"),
            "prefill": ("measured_prefill_seconds", "prefill_seconds", "prefill_macs"),
        }.items()
    }
    total = {kind: sum(row.get(key, 0.0) for row in rows.values()) or 1.0 for kind, key in keys.items()}
    parts = []
    for name, row in rows.items():
        if costed.decode is None:
            row = {k: v for k, v in row.items() if "decode" not in k}
        share = {f"{kind}_share": row.get(key, 0.0) / total[kind] for kind, key in keys.items()}
        if costed.decode is None:
            share["decode_share"] = None
        parts.append(Part(part=name, bound=bound.get(name, ""), **row, **share))
    return tuple(sorted(parts, key=lambda p: -(p.prefill_share if p.decode_share is None else p.decode_share)))


def _notes(layout: Layout, profile: Profile | None) -> tuple[str, ...]:
    found = []
    if profile and any(costs.part_of(t) == "convolution" for t in layout.patterns):
        found.append("convolutions are predicted as products of the same size, which was not calibrated for them")
    if not layout.work:
        found.append("the layout lists no products, so nothing can be said of work")
    return tuple(found)
