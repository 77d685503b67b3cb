"""What may stand in a word's place: synonyms, or the word with letters changed."""

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Protocol

from penjing.data.synonyms import Synonyms


class Transformation(Protocol):
    """Gives other words for a word. Chance comes from `random` only."""

    def candidates(self, word: str, random: Random) -> tuple[str, ...]:
        """Words for the place of `word`, each once, without itself."""
        ...


@dataclass(frozen=True)
class SynonymSwap:
    """Words of like meaning, at most `most` of them.

    Source: Ren et al., "Generating natural language adversarial examples through probability weighted word saliency",
    ACL 2019; without its swaps of named entities.
    """

    synonyms: Synonyms
    most: int = 50

    def candidates(self, word: str, random: Random) -> tuple[str, ...]:
        """Synonyms, the most usual sense first."""
        return self.synonyms.of(word)[: self.most]


@dataclass(frozen=True)
class DeepWordBug:
    """One swap of neighbouring letters, one substitution, one deletion, one insertion, each at a random place.

    Source: Gao et al., "Black-box generation of adversarial text sequences", arXiv:1801.04354, table 3.
    """

    def candidates(self, word: str, random: Random) -> tuple[str, ...]:
        """Up to four, none for words of one letter."""
        if len(word) < 2:
            return ()
        return _each_once(word, tuple(edit(word, random) for edit in (swap, substitute, delete, insert)))


@dataclass(frozen=True)
class TextBuggerCharacters:
    """A blank inside, an inner letter gone, two inner neighbours swapped, a letter that looks alike or lies beside it.

    Source: Li et al., "TextBugger", NDSS 2019, arXiv:1812.05271, section III; without its word neighbours, which need
    embeddings.
    """

    def candidates(self, word: str, random: Random) -> tuple[str, ...]:
        """Up to five; swaps and deletions only where two inner letters are."""
        if len(word) < 2:
            return ()
        made = [space(word, random), _lookalike(word, random), _neighbour_key(word, random, 0, len(word))]
        if len(word) > 3:
            made += [_inner(word, random, delete), _inner(word, random, swap)]
        return _each_once(word, tuple(made))


@dataclass(frozen=True)
class Misspellings:
    """One typing error inside the word: swap, drop, add or a neighbouring key; first and last letter stay.

    Source: Pruthi et al., "Combating adversarial misspellings with robust word recognition", arXiv:1905.11268; one
    random place for each kind of error, `tries` times, where the paper tries all.
    """

    tries: int = 2
    shortest: int = 4

    def candidates(self, word: str, random: Random) -> tuple[str, ...]:
        """Up to four times `tries`, none for words shorter than `shortest`."""
        if len(word) < max(self.shortest, 3):
            return ()
        made = []
        for _ in range(self.tries):
            made += [_inner(word, random, edit) for edit in (swap, delete)]
            made += [_inner(word, random, insert), _neighbour_key(word, random, 1, len(word) - 1)]
        return _each_once(word, tuple(made))


def swap(word: str, random: Random) -> str:
    """Two neighbouring letters change places; a word of one letter stays."""
    if len(word) < 2:
        return word
    i = random.randrange(len(word) - 1)
    return word[:i] + word[i + 1] + word[i] + word[i + 2 :]


def substitute(word: str, random: Random) -> str:
    """One letter becomes another of the alphabet, of the same case."""
    i = random.randrange(len(word))
    letter = random.choice([c for c in string.ascii_lowercase if c != word[i].lower()])
    return word[:i] + (letter.upper() if word[i].isupper() else letter) + word[i + 1 :]


def delete(word: str, random: Random) -> str:
    """One letter goes."""
    i = random.randrange(len(word))
    return word[:i] + word[i + 1 :]


def insert(word: str, random: Random) -> str:
    """One letter of the alphabet comes before another."""
    i = random.randrange(len(word))
    return word[:i] + random.choice(string.ascii_lowercase) + word[i:]


def space(word: str, random: Random) -> str:
    """A blank comes between two letters."""
    i = random.randrange(1, len(word))
    return f"{word[:i]} {word[i:]}"


def _inner(word: str, random: Random, edit: Callable[[str, Random], str]) -> str:
    return word[0] + edit(word[1:-1], random) + word[-1]


def _lookalike(word: str, random: Random) -> str:
    return _replaced(word, random, LOOKALIKES, 0, len(word))


def _neighbour_key(word: str, random: Random, start: int, end: int) -> str:
    return _replaced(word, random, KEYS, start, end)


def _replaced(word: str, random: Random, table: Mapping[str, str], start: int, end: int) -> str:
    places = [i for i in range(start, end) if word[i].lower() in table]
    if not places:
        return word
    i = random.choice(places)
    letter = random.choice(table[word[i].lower()])
    return word[:i] + (letter.upper() if word[i].isupper() else letter) + word[i + 1 :]


def _each_once(word: str, made: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(other for other in made if other and other != word))


KEYS: Mapping[str, str] = MappingProxyType({
    "q": "wa", "w": "qeas", "e": "wrsd", "r": "etdf", "t": "ryfg", "y": "tugh", "u": "yihj", "i": "uojk", "o": "ipkl",
    "p": "ol", "a": "qwsz", "s": "weadzx", "d": "ersfxc", "f": "rtdgcv", "g": "tyfhvb", "h": "yugjbn", "j": "uihknm",
    "k": "iojlm", "l": "opk", "z": "asx", "x": "sdzc", "c": "dfxv", "v": "fgcb", "b": "ghvn", "n": "hjbm", "m": "jkn",
})  # fmt: skip
"""Letters beside each other on an English keyboard."""

LOOKALIKES: Mapping[str, str] = MappingProxyType({
    "a": "ɑа", "b": "Ь", "c": "ϲс", "d": "ԁ", "e": "е", "g": "ɡ", "h": "һ", "i": "і", "j": "ϳ", "k": "κ", "l": "ⅼ",
    "m": "ｍ", "n": "ո", "o": "о", "p": "р", "q": "ԛ", "r": "ⲅ", "s": "ѕ", "t": "𝚝", "u": "ս", "v": "ѵ", "w": "ԝ",
    "x": "×", "y": "у", "z": "ᴢ",
})  # fmt: skip
"""Signs of other alphabets that look like a letter."""
