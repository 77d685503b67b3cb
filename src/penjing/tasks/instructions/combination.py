"""Two answers in one, and the prompt repeated."""


def two_responses(text: str) -> bool:
    """Two different answers lie between marks `******`; only the first and the last piece may be empty."""
    pieces = [piece.strip() for piece in text.split("******")]
    given = [piece for piece in pieces if piece]
    return all(pieces[1:-1]) and len(given) == 2 and given[0] != given[1]


def repeat_prompt(text: str, *, prompt_to_repeat: str) -> bool:
    """It begins with the prompt, small and capital letters alike."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())
