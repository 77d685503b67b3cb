"""The picture that stands beside a link to the page: the answer, large enough to read in a list."""

from dataclasses import replace
from textwrap import wrap
from xml.sax.saxutils import escape

from penjing.core import Report
from penjing.report.absent import present
from penjing.report.build import Row, rows
from penjing.report.charts import there
from penjing.report.headline import answer, worse_text

PICTURE = "picture.png"
WIDTH, HEIGHT = 1200, 630
SHOWN = 3
"""Figures below the sentence."""
TILES = ("parameters", "bytes", "decode_seconds_per_token", "perplexity")
"""The figures that stand large under the headline, when a report has them; else the first four rows."""


def tiles(report: Report, lines: list[Row]) -> list[Row]:
    """The rows that stand large: of several texts the one that the headline tells of."""
    told = [worse_text(report, report.result, name) for name in TILES]
    chosen = [r for name in told for r in lines if r.name == name]
    rest = [r for r in lines if r not in chosen and r.name not in TILES]
    for group in ("time", "quality"):  # what it costs and gives, where the usual figures of that are not there
        if not any(r.group == group for r in chosen):
            chosen += [r for r in rest if r.group == group][:1]
    return (chosen + [r for r in rest if r not in chosen])[:4]


def picture_svg(report: Report) -> str:
    """The picture as SVG."""
    said = wrap(answer(report)[0], 44)[:5]
    if "healing" in report.provenance:
        report = replace(report, subjects=report.subjects[:2])
    lines = "".join(f'<tspan x="72" dy="{62 if i else 0}">{escape(line)}</tspan>' for i, line in enumerate(said))
    large = tiles(report, present(rows(report))) if len(report.subjects) == 2 else []
    told = [r for r in large if r.cells[1].change and r.name != "bytes"][:SHOWN]
    drawn = "".join(_tile(row, 72 + i * 360) for i, row in enumerate(told))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fbfaf6"/><rect width="{WIDTH}" height="14" fill="#3c6b47"/>'
        f'<text x="72" y="92" font-family="sans-serif" font-size="28" fill="#5f6458">{escape(report.title[:70])}</text>'
        f'<text x="72" y="176" font-family="serif" font-size="48" fill="#23261f">{lines}</text>{drawn}</svg>'
    )


def picture_png(report: Report) -> bytes | None:
    """The picture as PNG; None where the packages of `penjing[charts]` are not installed."""
    if not there():
        return None
    import vl_convert

    return vl_convert.svg_to_png(picture_svg(report))


def _tile(row: Row, left: int) -> str:
    color = {"better": "#3c6b47", "worse": "#8a4b1d"}.get(row.cells[1].tone, "#23261f")
    label = row.label if len(row.label) <= 26 else f"{row.label[:25]}…"
    change = escape(row.cells[1].change)
    return (
        f'<text x="{left}" y="500" font-family="sans-serif" font-size="24" fill="#5f6458">{escape(label)}</text>'
        f'<text x="{left}" y="562" font-family="serif" font-size="52" fill="{color}">{change}</text>'
    )
