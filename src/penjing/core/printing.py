"""How the nouns look when they are printed: short, whatever the size of the model; and as small tables in notebooks."""

from collections.abc import Iterable, Sequence
from html import escape

LIMIT = 2000
"""Characters of a text at most."""


def short(text: str, limit: int = LIMIT) -> str:
    """The text, its end left out if it is longer than `limit`.

    >>> short("abcdefgh", 6)
    'abc...'
    """
    return text if len(text) <= limit else text[: limit - 3] + "..."


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> str:
    """An HTML table; every cell is text, so nothing in it is markup."""
    top = "".join(f"<th>{escape(h)}</th>" for h in heads)
    cells = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    said = f"<caption>{escape(short(caption, 400))}</caption>" if caption else ""
    return f"<table style='text-align:left'>{said}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def bars(shares: Sequence[float], *, title: str) -> str:
    """An SVG picture of shares from 0 to 1, one bar each, in order; at most 200 bars."""
    shown = list(shares)[:200]
    if not shown:
        return ""
    step = max(2, min(12, 600 // len(shown)))
    path = "".join(f"M{i * step} 40v-{40 * min(share, 1):.0f}h{step - 1}V40z" for i, share in enumerate(shown))
    width = step * len(shown)
    frame = f"<rect width='{width}' height='40' fill='#ddd'/>"
    return (
        f"<figure style='margin:0'><svg role='img' width='{width}' height='40' viewBox='0 0 {width} 40'>"
        f"<title>{escape(title)}</title>{frame}<path fill='#4a6' d='{path}'/></svg>"
        f"<figcaption>{escape(title)}</figcaption></figure>"
    )
