"""Words and sentences of a response, counted by fixed rules.

The original counts sentences and capital words with nltk's trained tokenisers; these rules need no trained data and
may differ from them by a sentence where abbreviations, lists or quotations are unusual. Words are counted as there.
"""

import re

_WORD = re.compile(r"\w+")
_JOINED_WORD = re.compile(r"\w+(?:[-'’./&]\w+)*")
_END = re.compile(r"(?:[.!?…]+|[。！？।؟]+)[\"'”’»)\]*_]*")
_WESTERN = frozenset(".!?…")
_INITIAL = re.compile(r"(?:^|[\s(])(?:[A-Za-z]\.)*[A-Za-z]$")
_LIST_NUMBER = re.compile(r"(?:^|\n)[ \t]*[(]?(?:\d{1,3}|[ivxIVX]{1,4})$")
_LAST_WORD = re.compile(r"[\w.]+$")
_NEVER_LAST = frozenset({
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "gen", "col", "capt", "lt", "sen", "rep", "gov", "rev", "hon", "vs",
    "fig", "no", "vol", "pp", "e.g", "i.e", "cf",
})  # fmt: skip
_SELDOM_LAST = frozenset({
    "etc", "inc", "ltd", "co", "corp", "jr", "al", "a.m", "p.m", "ph.d", "u.s", "u.k", "approx", "est", "dept", "ave",
})  # fmt: skip


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores."""
    return _WORD.findall(text)


def capital_words(text: str) -> int:
    """How many words have letters and none of them small. Hyphens, apostrophes and inner points join: U.S. is one."""
    return sum(word.isupper() for word in _JOINED_WORD.findall(text))


def sentences(text: str) -> int:
    """How many sentences there are: stretches with a letter or digit up to an end mark; the rest counts as one.

    An end mark is a run of `.`, `!`, `?` or `…` before white space or the text's end, or one of 。！？।؟ anywhere.
    A point does not end a sentence after an initial, the number of a list or an abbreviation; `...` does only before
    a word that does not begin small. A line break ends none.
    """
    count, start = 0, 0
    for found in _END.finditer(text):
        if not _ends(text, found):
            continue
        count += any(c.isalnum() for c in text[start : found.end()])
        start = found.end()
    return count + any(c.isalnum() for c in text[start:])


def _ends(text: str, found: re.Match[str]) -> bool:
    mark, before, after = found.group(), text[: found.start()], text[found.end() :]
    if mark[0] not in _WESTERN:
        return True
    if after and not after[0].isspace():
        return False
    following = after.lstrip()[:1]
    if not following or "!" in mark or "?" in mark:
        return True
    if mark.startswith(("..", "…")):
        return not following.islower()
    last = _LAST_WORD.search(before[-24:])
    name = last.group().lower() if last else ""
    if name in _SELDOM_LAST:
        return not following.islower()
    if _LIST_NUMBER.search(before[-12:]) or (_INITIAL.search(before[-12:]) and not before.endswith(" I")):
        return False
    return name not in _NEVER_LAST


def holds(count: int, relation: str, wanted: int) -> bool:
    """Whether `count` is "less than" or "at least" `wanted`."""
    return count < wanted if relation == "less than" else count >= wanted
