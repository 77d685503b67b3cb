"""Times of a model over the original's, or why they are withheld."""

from penjing.core import Measurement
from penjing.evaluate.statistics import Interval, paired_ratio, why_withheld
from penjing.profiling.speed.settings import Timings

RATES = {"batch_decode": "batch_tokens_per_second", "batch_images": "images_per_second"}
"""Job -> figure, for jobs whose figure is a rate: the ratio is then of rates, and above 1 is faster."""

_NAMES = {"first_token": "first_token_seconds_ratio", **{job: f"{name}_ratio" for job, name in RATES.items()}}


def ratios(timings: Timings) -> tuple[Measurement, ...]:
    """For each job and each model but the first: its time over the first's, or why that is withheld.

    In each round the fastest repeat counts, since interference only ever adds time; the figure is the median over
    rounds of the ratio within a round, with a 95 % bootstrap interval over rounds. It is withheld when
    `statistics.why_withheld` says so or its own interval holds 1; the value is then None and the note tells why.
    """
    out = []
    for job, by_model in timings.seconds.items():
        names = list(by_model)
        first = [min(r) for r in by_model[names[0]]]
        null = _over([min(r) for r in timings.null[job]], first, job)
        for name in names[1:]:
            effect = _over([min(r) for r in by_model[name]], first, job)
            out.append(_ratio(job, (name, names[0]), effect, null, timings))
    return tuple(out)


def null_of(job: str, timings: Timings) -> Interval:
    """The second copy of the first model over the first: what no difference measures as."""
    first = next(iter(timings.seconds[job].values()))
    return _over([min(r) for r in timings.null[job]], [min(r) for r in first], job)


def _over(seconds: list[float], base: list[float], job: str) -> Interval:
    return paired_ratio(base, seconds) if job in RATES else paired_ratio(seconds, base)


def why(effect: Interval, null: Interval) -> str:
    """Why a ratio may not be shown, or an empty string."""
    if reason := why_withheld(effect, null):
        return reason
    if effect.low <= 1 <= effect.high:
        return (
            f"withheld: measured {effect.value:.3f}, but its own 95 % interval, {effect.low:.3f} to "
            f"{effect.high:.3f}, holds 1, so it cannot be told from no change"
        )
    return ""


def _ratio(job: str, names: tuple[str, str], effect: Interval, null: Interval, timings: Timings) -> Measurement:
    note = why(effect, null)
    return Measurement(
        name=_NAMES.get(job, f"{job}_ratio"),
        value=None if note else effect.value,
        unit=f"times the original's {'rate' if job in RATES else 'seconds'}",
        n=len(timings.null[job]),
        spread=effect.high - effect.low,
        spread_kind="width of the 95 % interval",
        protocol=timings.protocol,
        note=note,
        details={
            "subject": names[0],
            "base": names[1],
            "job": job,
            "interval": [effect.low, effect.high],
            "null": null.value,
            "null_interval": [null.low, null.high],
            **timings.details,
        },
    )
