"""Seconds of a pass or a step of a shape on a calibrated machine, by part, with what binds each part.

Source: the roofline model (Williams et al. 2009) with a bandwidth that depends on the working set and a rate that
depends on the shape of the product; what stock code adds per product is fitted (see `calibrating`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from penjing.profiling.roofline.interpolate import curve
from penjing.profiling.roofline.profile import Profile
from penjing.profiling.roofline.shape import Product, Shape

Bound = Literal["bytes", "arithmetic", "calls"]
SCORES = "attention scores"
CACHE_TRAFFIC = 3
"""How often a step moves the cache: stock code reads it, writes it one token longer, and attention reads that."""
_Add = Callable[[str, Bound, float], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A pass over `tokens` ("prefill"), or a step of one token after `context` ("decode"), `batch` at once.

    With `last_only`, a pass gives logits of its last position alone, as stock generation asks for.
    """

    kind: Literal["prefill", "decode"]
    tokens: int = 128
    context: int = 128
    batch: int = 1
    last_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Seconds, and for each part its seconds and what most of them are spent on.

    "bytes" is waiting for memory, "arithmetic" is multiplying, "calls" is what stock code does around a product.
    """

    seconds: float
    parts: Mapping[str, float]
    bound: Mapping[str, Bound]
    tensors: Mapping[str, float]


def predict(profile: Profile, shape: Shape, job: Job) -> Prediction:
    """What a job will take.

    Every weight comes from where a working set of the whole model is kept: by the time a layer is reached again, all
    others have been read.
    """
    working_set = shape.weight_bytes + shape.cache_bytes * job.context * job.batch * (job.kind == "decode")
    spent: dict[str, dict[Bound, float]] = {}
    tensors: dict[str, float] = {}

    def add(part: str, bound: Bound, seconds: float) -> None:
        of = spent.setdefault(part, {})
        of[bound] = of.get(bound, 0.0) + seconds

    for product in shape.products:
        rows = _rows(product, job, shape.by_token)
        if not rows:
            continue
        bound, seconds = product_seconds(profile, product, rows, working_set)
        around = profile.per_product + profile.per_output * rows * product.outputs
        add(product.part, bound, seconds)
        add(product.part, "calls", around)
        tensors[product.tensor] = tensors.get(product.tensor, 0.0) + seconds + around
    _scores(profile, shape, job, working_set, add)
    add("rest", "calls", profile.per_pass)
    parts = {part: sum(of.values()) for part, of in spent.items()}
    return Prediction(
        seconds=sum(parts.values()),
        parts=parts,
        bound={part: max(of, key=lambda b: of[b]) for part, of in spent.items()},
        tensors=tensors,
    )


def _rows(product: Product, job: Job, by_token: bool) -> float:
    """Rows of a product in a job; 0 for what is done once per prompt, when decoding."""
    if job.kind == "decode":
        return product.rows * job.batch if product.per_token else 0.0
    if job.last_only and product.part == "head":
        return float(job.batch)
    return product.rows * job.batch * (job.tokens if product.per_token and by_token else 1)


def product_seconds(profile: Profile, product: Product, rows: float, working_set: float) -> tuple[Bound, float]:
    """What binds a product of so many rows, and its seconds.

    One row is bound by reading the weights. More rows take what the grid says, but not less than reading them does.
    """
    read = product.bytes * min(1.0, rows) / profile.bytes_per_second(working_set)
    if rows <= 1:
        return "bytes", read
    work = profile.linear_seconds(rows, product.inputs, product.outputs)
    return ("bytes", read) if read >= work else ("arithmetic", work)


def _scores(profile: Profile, shape: Shape, job: Job, working_set: float, add: _Add) -> None:
    decoding = job.kind == "decode"
    macs, calls = 0.0, 0
    for s in shape.scores:
        if decoding and s.power == 0:
            continue
        tokens = job.context ** (s.power - 1) if decoding else job.tokens**s.power
        macs += s.macs * tokens * job.batch
        calls += 1
    if not calls:
        return
    if decoding:
        read = CACHE_TRAFFIC * shape.cache_bytes * job.context * job.batch / profile.bytes_per_second(working_set)
        work = macs / curve(profile.one_query, job.context)
        add(SCORES, "bytes" if read >= work else "arithmetic", max(read, work))
    else:
        add(SCORES, "arithmetic", macs / curve(profile.scores, job.tokens))
    add(SCORES, "calls", calls * profile.per_product)


def free_width(profile: Profile, width: int, other: int, *, rows: int = 128, reach: int = 128) -> int:
    """The largest width, at most `reach` above, whose products are predicted to take no longer than at `width`.

    The width is the outputs of one product and the inputs of another, as the neurons of an MLP, with `other` on the
    far side. What is between `width` and the answer costs nothing.
    """

    def seconds(w: int) -> float:
        return profile.linear_seconds(rows, other, w) + profile.linear_seconds(rows, w, other)

    limit = seconds(width) * (1 + 1e-9)
    return max(w for w in range(width, width + reach + 1) if seconds(w) <= limit)
