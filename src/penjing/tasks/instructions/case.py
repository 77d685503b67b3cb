"""Capital and small letters."""

from penjing.tasks.instructions.counting import capital_words, holds
from penjing.tasks.instructions.language import response_language


def english_capital(text: str) -> bool:
    """It has letters, none of them small, and the detector takes it for English."""
    return text.isupper() and response_language(text, language="en")


def english_lowercase(text: str) -> bool:
    """It has letters, none of them capital, and the detector takes it for English."""
    return text.islower() and response_language(text, language="en")


def capital_word_frequency(text: str, *, capital_frequency: int, capital_relation: str) -> bool:
    """There are "less than" or "at least" so many words in capital letters."""
    return holds(capital_words(text), capital_relation, capital_frequency)
