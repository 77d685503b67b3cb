"""How a response begins and ends."""


def end_checker(text: str, *, end_phrase: str) -> bool:
    """It ends with the phrase; quotation marks after it and the letters' case do not matter."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def quotation(text: str) -> bool:
    """It begins and ends with a double quotation mark."""
    bare = text.strip()
    return len(bare) > 1 and bare.startswith('"') and bare.endswith('"')
