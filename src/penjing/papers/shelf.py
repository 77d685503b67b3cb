"""The rows that come with the package: every paper, and the studies of our own after them."""

from pathlib import Path

from penjing.errors import PenjingError, nearest
from penjing.papers.reading import read
from penjing.papers.schema import Paper

ROWS = Path(__file__).parent / "rows"


def shelf() -> list[Paper]:
    """All of them: papers by number, then studies by name.

    Raises:
        PenjingError: a row is broken; it is named.
    """
    return sorted(map(read, ROWS.glob("*.json")), key=lambda p: (p.number is None, p.number or 0, p.name))


def find(word: str) -> Paper:
    """The one that a person means by `4`, `04`, `maw` or `04-maw`.

    Raises:
        PenjingError: there is none; the nearest is named.
    """
    papers = shelf()
    if word.isdecimal():
        numbers = [p.number for p in papers if p.number is not None]
        if int(word) not in numbers:
            raise PenjingError(f"no paper has the number {word}; they go from {min(numbers)} to {max(numbers)}")
        return next(p for p in papers if p.number == int(word))
    known = {name: p for p in papers for name in (p.folder, p.name)}
    if word not in known:
        raise PenjingError(f"no paper or study is named '{word}'{nearest(word, known) or '; see `penjing papers`'}")
    return known[word]
