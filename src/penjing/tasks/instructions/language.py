"""The language of a response."""

from penjing.tasks.instructions.detector import could_be


def response_language(text: str, *, language: str) -> bool:
    """The detector finds this language, or cannot tell and the script is the language's."""
    return could_be(text, language)
