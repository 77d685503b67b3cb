"""Comparisons as figures of a report."""

from collections.abc import Sequence

from penjing.core import Measurement
from penjing.evaluate.statistics.compared import Compared
from penjing.evaluate.statistics.paired import Draws

VERSION = 1


def differences(
    rows: Sequence[Compared], *, base: str, other: str, how: Draws | None = None
) -> tuple[Measurement, ...]:
    """One figure `name_difference` for each row that was compared: other minus base, in the figure's unit.

    `base` and `other` are the subjects' names. `details` holds "subject", "base", "figure", "interval", "p",
    "p_holm", "mid_p", "flips" (items lost and won), "flip_share", "ratio" and "recovery" with their intervals,
    "verdict", "test" and "better"; what does not apply is None.
    """
    how = how or Draws()
    return tuple(_told(row, base, other, how) for row in rows)


def _told(row: Compared, base: str, other: str, how: Draws) -> Measurement:
    details = {
        "subject": other,
        "base": base,
        "figure": row.name,
        "interval": _bounds(row.interval),
        "p": row.p,
        "p_holm": row.p_holm,
        "mid_p": row.mid_p,
        "flips": None if row.flips is None else {"lost": row.flips.lost, "won": row.flips.gained},
        "flip_share": None if row.flips is None else row.flips.share,
        "ratio": row.ratio,
        "ratio_interval": _bounds(row.ratio_interval),
        "recovery": row.recovery,
        "recovery_interval": _bounds(row.recovery_interval),
        "verdict": row.verdict,
        "test": row.test,
        "better": row.better or None,
    }
    test = row.test or "none"
    return Measurement(
        name=f"{row.name}_difference",
        value=row.difference,
        unit=row.unit,
        n=row.units,
        chance=None,
        protocol=f"comparison/{VERSION} p={test} interval=bca draws={how.draws} seed={how.seed} level={how.level:g}",
        note=row.note,
        details=details,
    )


def _bounds(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
