"""Time a machine for half a minute, and keep what it can do.

Bandwidth by working set; products on a grid of shapes; odd widths beside round ones; attention; and, from random
models of stock code, what is spent around the products. Then shapes and a model that were not used are predicted,
and how well that went becomes part of the profile.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from penjing.evaluate.statistics import median
from penjing.profiling.roofline import points
from penjing.profiling.roofline.predicting import Job, predict, product_seconds
from penjing.profiling.roofline.profile import MULTIPLES, Profile, processor, save
from penjing.profiling.roofline.shape import Product, describe
from penjing.running.children import Child, available_bytes, physical_cpus

Measure = Callable[[Mapping[str, Any]], float]
_WITHIN = 0.25


def calibrate(
    *,
    threads: int | None = None,
    dtype: str = "float32",
    progress: Callable[[int, int], None] | None = None,
    measure: Measure | None = None,
    keep: bool = True,
) -> Profile:
    """The profile of this machine, measured now in a process of its own, and kept in the cache folder.

    `threads` None takes one per physical core. `progress` gets (done, all) measurements. `measure` stands in for the
    process: it gets a request of `points` and gives seconds.

    Raises:
        MeasureError: the process died or did not answer.
    """
    import torch

    cpus = physical_cpus()
    cpus = cpus[:threads] if threads else cpus
    count = threads or len(cpus)
    begun, load = time.monotonic(), _load()
    with ExitStack() as stack:
        if measure is None:
            settings = {"threads": count, "cpus": cpus, "dtype": dtype}
            module = "penjing.profiling.roofline.worker"
            child = stack.enter_context(Child("the calibration", settings, timeout=300, module=module))
            child.greeting()
            measure = _by(child)
        itemsize = getattr(torch, dtype).itemsize
        found = _measured(_counting(measure, progress, count), count, dtype, itemsize)
    profile = replace(
        found,
        torch=torch.__version__,
        details={
            "load_average_before": load,
            "load_average_after": _load(),
            "seconds": time.monotonic() - begun,
            "cpus": cpus,
        },
    )
    if keep:
        save(profile)
    return profile


def _by(child: Child) -> Measure:
    return lambda asked: child.request(asked)["seconds"][0]


def _counting(measure: Measure, progress: Callable[[int, int], None] | None, threads: int) -> Measure:
    grid = len(points.ROWS) * len(points.WIDTHS) ** 2
    total = 2 * len(points.thread_counts(threads)) * len(_sets()) + grid
    total += 2 * len(points.UNALIGNED) * len(points.UNALIGNED_ROWS)
    total += len(_SCORES) + len(_KEYS) + len(points.HELD_OUT) + 1 + 5
    done = 0

    def inner(asked: Mapping[str, Any]) -> float:
        nonlocal done
        seconds = measure(asked)
        done += 1
        if progress:
            progress(done, total)
        return seconds

    return inner


_SCORES, _KEYS = (16, 64, 256, 1024), (64, 512, 4096)


def _sets() -> list[int]:
    """The working sets that fit in a quarter of the free memory."""
    room = available_bytes() or 2**40
    return [s for s in points.WORKING_SETS if s <= room / 4]


def _measured(measure: Measure, threads: int, dtype: str, itemsize: int) -> Profile:
    launch = measure(points.linear(1, 16, 16))
    bandwidth = {t: _bandwidth(measure, itemsize, t, launch) for t in points.thread_counts(threads)}
    grid = [
        (m, i, o, max(measure(points.linear(m, i, o)) - launch, 1e-9))
        for m in points.ROWS
        for i in points.WIDTHS
        for o in points.WIDTHS
    ]
    bare = Profile(
        machine=processor(),
        threads=threads,
        dtype=dtype,
        torch="",
        alignment_rows=points.UNALIGNED_ROWS,
        bandwidth=bandwidth,
        linear=grid,
        alignment={side: _alignment(measure, side) for side in ("inputs", "outputs")},
        scores=[(t, _rate(measure, t, t, launch)) for t in _SCORES],
        one_query=[(k, _rate(measure, 1, k, launch)) for k in _KEYS],
        launch=launch,
        peak=max(2 * m * i * o / s for m, i, o, s in grid),
    )
    fitted = _with_calls(measure, bare, itemsize)
    return replace(fitted, error=_error(measure, fitted, itemsize))


def _bandwidth(measure: Measure, itemsize: int, threads: int, launch: float) -> list[tuple[float, float]]:
    """(bytes, bytes per second) by working set: the time of wide and of tall weights, taken together."""
    out = []
    for size in _sets():
        kinds = points.working_set(size, itemsize, threads)
        read = sum(a["count"] * a["inputs"] * a["outputs"] * itemsize for a in kinds)
        seconds = sum(measure(a) for a in kinds)
        # The launch of each product comes off, but never more than two thirds: small sets are mostly launch.
        net = max(seconds - sum(a["count"] for a in kinds) * launch, seconds / 3)
        out.append((read / len(kinds), read / net))
    return out


def _alignment(measure: Measure, side: str) -> list[tuple[int, list[float]]]:
    """(largest power of two in the width, time per width over that of a multiple of 64 at each number of rows)."""
    per_width: dict[int, list[float]] = {}
    for width in points.UNALIGNED:
        shape = (width, 1024) if side == "inputs" else (1024, width)
        times = [measure(points.linear(m, *shape)) / width for m in points.UNALIGNED_ROWS]
        per_width[min(width & -width, MULTIPLES[-1])] = times
    whole, out, worst = per_width[MULTIPLES[-1]], [], [1.0] * len(points.UNALIGNED_ROWS)
    for multiple in reversed(MULTIPLES):  # a rounder width is never taken to be slower: that would be noise
        worst = [max(w, t / b) for w, t, b in zip(worst, per_width[multiple], whole, strict=True)]
        out.append((multiple, worst))
    return out[::-1]


def _rate(measure: Measure, queries: int, keys: int, launch: float) -> float:
    """Multiply-adds per second of attention, the masked half counted too."""
    asked = points.attention(queries, keys)
    macs = 2 * asked["heads"] * asked["width"] * queries * keys
    return macs / max(measure(asked) - launch, 1e-9)


def _with_calls(measure: Measure, bare: Profile, itemsize: int) -> Profile:
    """The profile with what stock code spends around products: by their number, by pass, by numbers given.

    Two tiny models, whose products take no time to speak of, tell what a product and a pass cost; what a model of
    some size takes in addition is laid to the numbers that its products give, which norms and activations go over.
    """
    few, many = (_stock(points.TINY, n, itemsize) for n in (2, 12))
    short, long = (measure(points.stock(points.TINY, n, "decode", 16)) for n in (2, 12))
    calls = [len(s.products) + len(s.scores) for s in (few, many)]
    per_product = max((long - short) / (calls[1] - calls[0]), 0.0)
    fitted = replace(bare, per_product=per_product, per_pass=max(short - calls[0] * per_product, 0.0))
    shape, tokens = _stock(points.MIDDLE, 4, itemsize), 256
    left = measure(points.stock(points.MIDDLE, 4, "prefill", tokens))
    left -= predict(fitted, shape, Job(kind="prefill", tokens=tokens)).seconds
    given = sum(p.rows * tokens * p.outputs for p in shape.products)
    return replace(fitted, per_output=max(left / given, 0.0))


def _stock(size: dict[str, int], layers: int, itemsize: int) -> Any:
    from penjing.layouts import from_config

    cache = 2 * layers * size["hidden_size"] * itemsize
    return describe(from_config(points.config(size, layers)), itemsize=itemsize, cache_bytes=cache)


def _error(measure: Measure, profile: Profile, itemsize: int) -> dict[str, Any]:
    """How well products and a model that were not used are predicted: predicted over measured seconds."""
    rows = []
    for m, i, o in points.HELD_OUT:
        product = Product(tensor="", part="", inputs=i, outputs=o, rows=1, per_token=True, bytes=i * o * itemsize)
        predicted = product_seconds(profile, product, m, product.bytes)[1] + profile.launch
        rows.append((m, i, o, predicted / measure(points.linear(m, i, o))))
    off = [max(r, 1 / r) - 1 for *_, r in rows]
    tokens = 128
    shape = _stock(points.OTHER, 6, itemsize)
    jobs = {kind: Job(kind=kind, tokens=tokens, context=tokens) for kind in ("prefill", "decode")}
    return {
        "shapes": len(rows),
        "within_quarter": sum(o <= _WITHIN for o in off) / len(off),
        "median": median(off),
        "ratios": rows,
        "models": {
            kind: predict(profile, shape, job).seconds / measure(points.stock(points.OTHER, 6, kind, tokens))
            for kind, job in jobs.items()
        },
    }


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
