"""Signs that must not occur."""


def no_comma(text: str) -> bool:
    """There is no comma in it."""
    return "," not in text
