"""How long a response is: words, sentences, paragraphs."""

import re

from penjing.tasks.instructions.counting import holds, sentences, words


def number_words(text: str, *, num_words: int, relation: str) -> bool:
    """There are "less than" or "at least" so many words."""
    return holds(len(words(text)), relation, num_words)


def number_sentences(text: str, *, num_sentences: int, relation: str) -> bool:
    """There are "less than" or "at least" so many sentences."""
    return holds(sentences(text), relation, num_sentences)


def number_paragraphs(text: str, *, num_paragraphs: int) -> bool:
    """There are exactly so many paragraphs between dividers `***`; only the first and the last piece may be empty."""
    pieces = [piece.strip() for piece in re.split(r"\s?\*\*\*\s?", text)]
    if not all(pieces[1:-1]):
        return False
    return len(pieces) - (not pieces[0]) - (len(pieces) > 1 and not pieces[-1]) == num_paragraphs


def nth_paragraph_first_word(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """There are exactly so many paragraphs between blank lines, and the nth begins with the word.

    As in the original, pieces that are empty are not counted but keep their place, and the word ends at the first of
    `. , ? ! ' "`.
    """
    pieces = [piece.strip() for piece in text.split("\n\n")]
    count = sum(map(bool, pieces))
    if count != num_paragraphs or not 1 <= nth_paragraph <= count or not pieces[nth_paragraph - 1]:
        return False
    word = pieces[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    return re.split(r"[.,?!'\"]", word, maxsplit=1)[0].lower() == first_word.lower()
