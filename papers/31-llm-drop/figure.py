"""Draw perplexity against bytes, a line for each way of cutting: `python -m papers.31-llm-drop.figure`.

Plain SVG from the stored results, so that the picture on docs/understand/which-cut.md is that of the table beside it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "docs" / "understand" / "which-cut.svg"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 460, 64, 168, 34, 56
LOW, HIGH = 1.0, 16.0
"""Times the dense perplexity, on a scale of logarithms; what is above is drawn at the rim with its number."""
TICKS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16)
SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)
LINES = {
    "blocks": ("#1b6e53", "", "whole blocks"),
    "blocks, a stretch": ("#1b6e53", "6 4", "a stretch of blocks"),
    "neurons": ("#b3541e", "", "neurons of every MLP"),
    "attention": ("#2b5fa8", "", "attention"),
    "MLPs": ("#8a3b8f", "", "MLPs"),
    "both": ("#555555", "2 3", "attention and MLPs"),
    "stream": ("#7a6a00", "8 3 2 3", "the stream (sliced)"),
}
"""Way -> colour, dashes, and what the line is called."""


def x(share: float) -> float:
    """Where a share of the parameters stands; fewer to the right."""
    return LEFT + (1 - share) / (1 - SHARES[-1]) * (WIDTH - LEFT - RIGHT)


def y(times: float) -> float:
    """Where a perplexity stands, kept inside the frame."""
    up = math.log(min(max(times, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def drawn(found: Mapping[str, Any]) -> str:
    """The picture, from the results of `run`."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="12" role="img"',
            ' font-family="system-ui, sans-serif">',
            "<title>Perplexity, times the dense model's, against parameters left, by way of cutting</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            *axes(),
            *lines(found["equal bytes"]),
            "</svg>\n",
        ]
    )


def axes() -> Iterator[str]:
    """Grid, numbers and what they are."""
    for tick in TICKS:
        yield f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end" fill="#444">{tick:g}</text>'
    for share in SHARES:
        yield f'<text x="{x(share):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle" fill="#444">{share:.0%}</text>'
    yield f'<path d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}" stroke="#444"/>'
    told = "perplexity, times the dense model's; a bar is the 95 % interval"
    yield f'<text x="{LEFT - 44}" y="18" fill="#444">{told}</text>'
    yield (
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle" fill="#444">'
        "parameters left (fewer to the right)</text>"
    )


def lines(table: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Each way's points, their intervals, and its name at its last point; names keep apart."""
    ends: list[tuple[float, str, str]] = []
    for way, (colour, dashes, name) in LINES.items():
        points = {row[way]["parameters"]: row[way] for row in table.values() if way in row}
        places = [(1.0, 1.0), *((share, row["times"]) for share, row in points.items())]
        path = "L".join(f"{x(share):.1f} {y(times):.1f}" for share, times in places)
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'
        for share, row in points.items():
            low, high = (y(v) for v in row["interval"])
            yield f'<path d="M{x(share):.1f} {low:.1f}V{high:.1f}" stroke="{colour}" stroke-width="4" opacity=".35"/>'
            yield f'<circle cx="{x(share):.1f}" cy="{y(row["times"]):.1f}" r="3.5" fill="{colour}"/>'
        above = max((t for _, t in places), default=1.0)
        ends.append((y(places[-1][1]), colour, name + (f", {above:,.0f}" if above > HIGH else "")))
    last = -math.inf
    for place, colour, name in sorted(ends):
        last = max(place + 4, last + 16)
        yield f'<text x="{WIDTH - RIGHT + 10}" y="{last:.1f}" fill="{colour}">{name}</text>'


def main() -> None:
    """Write the picture."""
    found = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))["results"]["cuts"]
    OUT.write_text(drawn(found), encoding="utf-8")
    print(OUT)


if __name__ == "__main__":
    main()
