"""What a changed text must keep to."""

from dataclasses import dataclass
from typing import Protocol

from penjing.tasks.attacks.wording import Wording


class Constraint(Protocol):
    """Says of a changed text whether it may be used."""

    def allows(self, original: Wording, changed: Wording) -> bool:
        """Whether `changed` keeps to it; both have the same number of words."""
        ...


@dataclass(frozen=True)
class MostChanged:
    """At most this share of the words differs; one word always may."""

    share: float

    def allows(self, original: Wording, changed: Wording) -> bool:
        """Whether few enough words differ."""
        return original.changed(changed) <= max(1, int(self.share * len(original.words) + 1e-9))


@dataclass(frozen=True)
class EditDistance:
    """At most so many letters are put in, taken out or replaced, over all words."""

    most: int

    def allows(self, original: Wording, changed: Wording) -> bool:
        """Whether the Levenshtein distances of the changed words add up to at most `most`."""
        pairs = zip(original.words, changed.words, strict=True)
        return sum(levenshtein(a, b) for a, b in pairs if a != b) <= self.most


def levenshtein(first: str, second: str) -> int:
    """The least number of insertions, deletions and substitutions between two texts."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        above, row[0] = row[0], i
        for j, b in enumerate(second, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]
