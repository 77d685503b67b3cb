"""What speed the sizes promise, to be printed beside what was measured.

One decoded token at batch 1 reads every weight once and the cache once, so its time follows bytes; a pass over many
tokens is bound by arithmetic, so its time follows multiply-adds. Where this machine has been calibrated, its profile
says more: see `roofline`.

Source: the roofline model (Williams et al. 2009), at its two ends or with a machine's own figures.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import torch

from penjing.core import Measurement
from penjing.core.pattern import shape
from penjing.evaluate.costs import Costs, main_dtype
from penjing.profiling.roofline.predicting import Job, predict
from penjing.profiling.roofline.profile import Profile, find
from penjing.profiling.roofline.shape import describe
from penjing.profiling.speed.settings import Speed


def decode_bytes(model: Costs, context: int) -> float | None:
    """Bytes read to decode one token after `context` tokens; None without a layout.

    An embedding table that is only looked up (not tied to the output head) gives one row, which is left out.
    """
    if model.layout is None:
        return None
    layout = model.layout
    multiplied = {layout.aliases.get(w.tensor, w.tensor) for w in layout.work}
    usual = main_dtype(model.dtypes)
    total = 0.0
    for name, pattern in layout.patterns.items():
        dims = shape(pattern, layout.sizes)
        if name in layout.aliases or (len(dims) > 1 and name not in multiplied):
            continue
        total += prod(dims) * model.dtypes.get(name, usual).itemsize
    return total + model.cache_bytes * context


def decode_ratio(other: Costs, base: Costs, context: int) -> float | None:
    """The predicted ratio of decode times; below 1 is faster."""
    return _ratio(decode_bytes(other, context), decode_bytes(base, context))


def prefill_ratio(other: Costs, base: Costs, tokens: int) -> float | None:
    """The predicted ratio of prefill times; below 1 is faster."""
    return _ratio(_macs(other, tokens), _macs(base, tokens))


def with_prediction(ratio: Measurement, other: Costs, base: Costs, speed: Speed) -> Measurement:
    """A measured ratio with what was predicted in its details and, for people, in its note.

    `predicted` is from bytes or multiply-adds; `roofline` from this machine's profile, if it has one, with
    `roofline_seconds` of both models. A rate's predictions are of rates.
    """
    job = str(ratio.details.get("job") or ratio.name.removesuffix("_ratio"))
    found, why = _from_sizes(job, other, base, speed)
    details, notes = dict(ratio.details), [ratio.note] if ratio.note else []
    if found is not None:
        details |= {"predicted": found, "predicted_from": why}
        notes.append(f"predicted {found:.3f} from {why}")
    seconds = _from_profile(job, other, base, speed)
    if seconds is not None:
        times = seconds[1] / seconds[0] if job.startswith("batch_") else seconds[0] / seconds[1]
        details |= {"roofline": times, "roofline_seconds": list(seconds)}
        notes.append(f"{times:.3f} from this machine's profile")
    return replace(ratio, note="; ".join(notes), details=details)


def _from_sizes(job: str, other: Costs, base: Costs, speed: Speed) -> tuple[float | None, str]:
    if job == "decode":
        return decode_ratio(other, base, speed.context + speed.steps // 2), "bytes read per token"
    if job in ("prefill", "first_token"):
        return prefill_ratio(other, base, speed.tokens), "multiply-adds"
    if job == "batch_images":
        found = prefill_ratio(other, base, speed.tokens)
        return (1 / found if found else None), "multiply-adds"
    return None, ""  # a batch of steps is bound by neither alone


def _from_profile(job: str, other: Costs, base: Costs, speed: Speed) -> tuple[float, float] | None:
    """Seconds of the other model and of the base, or None without a profile or a layout."""
    names = {str(main_dtype(c.dtypes)).removeprefix("torch.") for c in (other, base)}
    if speed.dtype != "auto":
        names = {speed.dtype.removeprefix("torch.")}
    if speed.device != "cpu" or len(names) != 1 or other.layout is None or base.layout is None:
        return None
    profile = find(threads=speed.threads, dtype=names.pop())
    if profile is None:
        return None
    batch = speed.batch if job.startswith("batch_") else 1
    kind = "decode" if "decode" in job else "prefill"
    context = speed.context + speed.steps // 2
    asked = Job(kind=kind, tokens=speed.tokens, context=context, batch=batch, last_only=job == "first_token")
    return _seconds(profile, other, asked, speed), _seconds(profile, base, asked, speed)


def _seconds(profile: Profile, model: Costs, job: Job, speed: Speed) -> float:
    assert model.layout is not None  # noqa: S101 - seen by the caller
    stored = main_dtype(model.dtypes)
    run: torch.dtype = getattr(torch, profile.dtype)
    size: Mapping[str, torch.dtype] = dict.fromkeys(model.dtypes, run) if speed.dtype != "auto" else model.dtypes
    cache = model.cache_bytes * run.itemsize / stored.itemsize
    return predict(profile, describe(model.layout, dtypes=size, itemsize=run.itemsize, cache_bytes=cache), job).seconds


def _macs(model: Costs, tokens: int) -> float | None:
    from penjing.layouts import costs as counting

    return float(counting.macs(model.layout, tokens=tokens)) if model.layout and model.layout.work else None


def _ratio(top: float | None, bottom: float | None) -> float | None:
    return top / bottom if top is not None and bottom else None
