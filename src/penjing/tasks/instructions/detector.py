"""Which language a text may be in, from its script and its small words.

The original asks the package langdetect, whose trained letter statistics guess even from one word. This detector
holds no trained data: where small words and special letters do not decide, it says that any language of the script is
possible. Text without letters may be anything; as in the original, what cannot be detected passes.
"""

import re
from collections import Counter
from functools import cache

from penjing.tasks.instructions.profiles import ALONE, FAMILIES, LETTERS, SCRIPTS

EVIDENCE = 1.0
"""The score that the best language needs before the others are ruled out."""

_NEAR = 0.8
_LETTER_WORTH = 0.5
_JAPANESE = 0.05
_WORD = re.compile(r"[^\W\d_]+(?:[\u0300-\u036f\u0900-\u0dff\u200c’']+[^\W\d_]*)*")


def could_be(text: str, language: str) -> bool:
    """Whether the text may be in the language (an ISO 639-1 code): it is among `candidates`, or there are none."""
    found = candidates(text)
    return not found or language in found


def candidates(text: str) -> frozenset[str]:
    """The languages that the text may be in: those near the best score, or all of the script when none is good.

    Empty when the text has no letters of a known script.
    """
    name = script(text)
    if name is None:
        return frozenset()
    if name in ALONE:
        return frozenset({ALONE[name]})
    found = scores(text, name)
    best = max(found.values())
    if best < EVIDENCE:
        return frozenset(found)
    return frozenset(language for language, score in found.items() if score >= _NEAR * best)


def script(text: str) -> str | None:
    """The script of most of the letters, or None; Han signs with some kana count as kana."""
    counts = Counter(name for c in text if (name := _script_of(ord(c))) is not None)
    if not counts:
        return None
    if counts["kana"] > _JAPANESE * counts["han"]:
        counts["kana"] += counts.pop("han", 0)
    return max(counts, key=lambda name: counts[name])


def scores(text: str, script: str) -> dict[str, float]:
    """Language -> evidence. A frequent word is worth 1, shared among the languages that have it; a letter 0.5."""
    family = FAMILIES[script]
    lowered = text.lower().replace("’", "'")
    found = dict.fromkeys(family, 0.0)
    for word, count in Counter(_WORD.findall(lowered)).items():
        for language in (owners := _owners(script, word)):
            found[language] += count / len(owners)
    letters = Counter(lowered)
    for language in family:
        found[language] += _LETTER_WORTH * sum(letters[c] for c in LETTERS.get(language, ""))
    return found


@cache
def _owners(script: str, word: str) -> tuple[str, ...]:
    return tuple(language for language, words in FAMILIES[script].items() if word in words)


@cache
def _script_of(point: int) -> str | None:
    for name, ranges in SCRIPTS.items():
        if any(low <= point <= high for low, high in ranges):
            return name
    return None
