"""Words and letters that must or must not occur. Words are regular expressions; small and capital letters are alike."""

import re
from collections.abc import Sequence

from penjing.tasks.instructions.counting import holds


def existence(text: str, *, keywords: Sequence[str]) -> bool:
    """Every keyword occurs, inside other words too."""
    return all(re.search(word, text, re.IGNORECASE) for word in keywords)


def frequency(text: str, *, keyword: str, frequency: int, relation: str) -> bool:
    """The keyword occurs "less than" or "at least" so many times, inside other words too."""
    return holds(sum(1 for _ in re.finditer(keyword.strip(), text, re.IGNORECASE)), relation, frequency)


def forbidden_words(text: str, *, forbidden_words: Sequence[str]) -> bool:
    """None of the words occurs as a whole word."""
    return not any(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in forbidden_words)


def letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    """The letter or sign occurs "less than" or "at least" so many times."""
    return holds(text.lower().count(letter.strip().lower()), let_relation, let_frequency)
