"""Figures as people read them: 134.5 M, 269 MB, 12.3 ms, 21.7, −25 %."""

import math

BYTES = frozenset({"bytes", "byte", "b"})
SECONDS = frozenset({"seconds", "second", "s", "sec"})
FRACTIONS = frozenset({"fraction", "accuracy", "share"})
COUNTS = frozenset(
    {"parameters", "parameter", "macs", "mac", "multiply-adds", "multiply-add", "flops", "tokens", "units", "count"}
)
BARE = frozenset({
    "", "1", "perplexity", "ppl", "ratio", "none", "score", "probability", "squared probability", "temperature",
    "linear cka",
})  # fmt: skip

_BIG = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"), (1e15, "P"))
_COUNT = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T"))
_SMALL = ((1e-9, "n"), (1e-6, "µ"), (1e-3, "m"), (1.0, ""))
_MINUS = "\u2212"


def quantity(value: float, unit: str, spread: float | None = None) -> str:
    """A value with its unit, and ± its spread on the same scale: `12.3 ± 0.2 ms`.

    >>> quantity(134_515_008, "parameters"), quantity(269e6, "bytes"), quantity(0.0123, "seconds", 0.0002)
    ('134.5 M', '269 MB', '12.3 ± 0.2 ms')
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else _MINUS + "∞")
    base, tail = _split(unit)
    scale, symbol, digits = _scale(value, base)
    places = _places(value / scale, digits, exact=base in COUNTS and scale == 1)
    text = _number(value / scale, places)
    if spread is not None and math.isfinite(spread):
        text += f" ± {_number(spread / scale, max(places, _first_digit(spread / scale)))}"
    return " ".join(part for part in (text, symbol, tail) if part)


def arrow(before: str, after: str) -> str:
    """Two quantities as one text; a unit of several words, where it is the same, once.

    >>> arrow("0.03 errors per word", "0.13 errors per word"), arrow("290 MB", "265 MB")
    ('0.03 → 0.13 errors per word', '290 MB → 265 MB')
    """
    number, _, unit = before.partition(" ")
    same = " " in unit and unit == after.partition(" ")[2]
    return f"{number if same else before} → {after}"


def _split(unit: str) -> tuple[str, str]:
    """(`bytes`, `per token`) of `bytes/token` or `bytes per token`."""
    for mark in ("/", " per ", " of "):
        head, found, rest = unit.partition(mark)
        if found:
            base = head.strip().lower()
            return base, "" if base in BARE or is_share(base) else f"per {rest.strip()}"
    return unit.strip().lower(), ""


def is_share(unit: str) -> bool:
    """Whether a unit is a share from 0 to 1, as "share right (acc)" and "share of positions" are."""
    return (unit.split() or [""])[0].lower() in FRACTIONS


def _scale(value: float, base: str) -> tuple[float, str, int]:
    """(divisor, symbol, significant digits) for a value of this unit."""
    if base in BYTES:
        factor, prefix = _prefix(value, _BIG, 3)
        return factor, prefix + "B", 3
    if base in SECONDS:
        factor, prefix = _prefix(value, _SMALL, 3)
        return factor, prefix + "s", 3
    if base in COUNTS:
        factor, prefix = _prefix(value, _COUNT, 4) if abs(value) >= 1e4 else (1.0, "")
        return factor, prefix, 4
    if is_share(base) or base in {"%", "percent"}:
        return (0.01 if is_share(base) else 1.0), "%", 3
    return 1.0, "" if base in BARE else base, 3


def _prefix(value: float, steps: tuple[tuple[float, str], ...], digits: int) -> tuple[float, str]:
    size = abs(float(f"{value:.{digits}g}"))
    if size == 0:
        return 1.0, ""
    fitting = [step for step in steps if size >= step[0] * (1 - 1e-12)]
    return fitting[-1] if fitting else steps[0]


def _places(value: float, digits: int, *, exact: bool = False) -> int:
    if exact and value == int(value):
        return 0
    rounded = abs(float(f"{value:.{digits}g}"))
    if rounded == 0:
        return 0
    return max(0, min(12, digits - 1 - math.floor(math.log10(rounded))))


def _first_digit(value: float) -> int:
    """How many places show the first digit of a small value."""
    return min(12, max(0, -math.floor(math.log10(abs(value))))) if value else 0


def _number(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", _MINUS)


def without_spread(text: str) -> str:
    """A quantity without its spread: `12.3 ms` of `12.3 ± 0.2 ms`."""
    value, _, rest = text.partition(" ± ")
    return f"{value} {rest.partition(' ')[2]}".strip()


def percent(fraction: float) -> str:
    """A fraction as whole per cent, with a decimal below 10: `18 %`, `2.4 %`, `0.03 %`.

    >>> percent(0.1812), percent(0.024), percent(0)
    ('18 %', '2.4 %', '0 %')
    """
    value = abs(fraction) * 100
    if value == 0:
        return "0 %"
    if value < 0.005:
        return "under 0.01 %"
    shown = f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.995 else f"{value:.2g}"
    if value < 9.95 and shown.endswith(".0"):
        shown = shown[:-2]
    return f"{shown} %"


def change(ratio: float) -> str:
    """A ratio to the base as a change: `−25 %`, `+60 %`, `8.5×` from three times on, `unchanged`.

    >>> change(0.75), change(1.6), change(8.48), change(1)
    ('−25 %', '+60 %', '8.5×', 'unchanged')
    """
    if ratio == 1:
        return "unchanged"
    if ratio >= 3:
        return times(ratio)
    return ("+" if ratio > 1 else _MINUS) + percent(ratio - 1)


def times(ratio: float) -> str:
    """A factor: `8.5×`, `538×`."""
    if not math.isfinite(ratio):
        return "∞×"
    return f"{ratio:.0f}×" if ratio >= 9.95 else f"{ratio:.1f}×"


def points(difference: float) -> str:
    """A difference of two fractions in percentage points: `−1.3 points`."""
    if difference == 0:
        return "unchanged"
    value = abs(difference) * 100
    shown = f"{value:.1f}" if value >= 0.05 else f"{value:.1g}"
    return f"{'+' if difference > 0 else _MINUS}{shown} points"


def ratio(value: float, spread: float | None = None) -> str:
    """A ratio to three places, and ± its spread: `0.853 ± 0.012`."""
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return f"{text} ± {spread:.3f}" if spread is not None and math.isfinite(spread) else text


def listing(parts: list[str]) -> str:
    """Words joined as in a sentence: `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
