"""Texts as words with what stands between them, so that one word can be changed and nothing else."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")

_STOP = (
    "a about above after again against all am an and any are aren't as at be because been before being below between "
    "both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each few for from "
    "further had hadn't has hasn't have haven't having he he's her here here's hers herself him himself his how i i'm "
    "i've i'll i'd if in into is isn't it it's its itself let's me more most my myself no nor not of off on once only "
    "or other ought our ours ourselves out over own same she she's should shouldn't so some such than that that's the "
    "their theirs them themselves then there there's these they they're this those through to too under until up very "
    "was wasn't we we're were weren't what what's when where which while who whom why will with won't would wouldn't "
    "you you're you've your yours yourself yourselves"
)
STOP_WORDS = frozenset(_STOP.split())
"""Words that carry grammar and little else; no attack changes them."""


@dataclass(frozen=True)
class Wording:
    """`words`, and `gaps` around them: one more than words, so that gap, word, gap, word, ..., gap is the text."""

    words: tuple[str, ...]
    gaps: tuple[str, ...]

    @property
    def text(self) -> str:
        """The text again."""
        return "".join(gap + word for gap, word in zip(self.gaps, (*self.words, ""), strict=True))

    def with_word(self, place: int, word: str) -> "Wording":
        """The same with another word at a place."""
        return replace(self, words=(*self.words[:place], word, *self.words[place + 1 :]))

    def without(self, place: int) -> str:
        """The text without the word at a place and, but for the first, without the blanks before it."""
        gaps = self.gaps
        if place:
            gaps = (*gaps[:place], gaps[place].rstrip(), *gaps[place + 1 :])
        return replace(self, gaps=gaps).with_word(place, "").text

    def changed(self, other: "Wording") -> int:
        """How many words differ, place by place."""
        return sum(a != b for a, b in zip(self.words, other.words, strict=True))


def split(text: str) -> Wording:
    """The words of a text: runs of letters, joined by apostrophes and hyphens."""
    found = list(_WORD.finditer(text))
    ends = [0, *(m.end() for m in found)]
    starts = [*(m.start() for m in found), len(text)]
    gaps = tuple(text[a:b] for a, b in zip(ends, starts, strict=True))
    return Wording(tuple(m.group() for m in found), gaps)


def open_places(wording: Wording, stop: Iterable[str] = STOP_WORDS) -> list[int]:
    """Places of words that may be changed: all but stop words."""
    kept = frozenset(stop)
    return [i for i, word in enumerate(wording.words) if word.lower().replace("’", "'") not in kept]
