"""A value of a JSON file that knows where it stands, so that what is wrong with it can be said."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from penjing.errors import PenjingError, nearest


@dataclass(frozen=True)
class Entry:
    """`value` stands in `file` under `key` (`claims[1].verdict`; empty for the whole file)."""

    file: Path
    key: str
    value: Any

    def refuse(self, needed: str, hint: str = "") -> NoReturn:
        """Say what was found here and what is needed.

        Raises:
            PenjingError: always.
        """
        shown = repr(self.value) if not isinstance(self.value, list | dict) else f"a {type(self.value).__name__}"
        raise PenjingError(f"{self.file}: {self.key or 'the whole'} is {shown}; it must be {needed}{hint}")

    def fields(self, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, "Entry"]:
        """The entries of an object, by key; those of `optional` only where they are there.

        Raises:
            PenjingError: it is no object, or a key is missing or unknown.
        """
        if not isinstance(self.value, dict):
            self.refuse("an object")
        known = (*required, *optional)
        for key in self.value:
            if key not in known:
                raise PenjingError(
                    f"{self.file}: {self._under(key)} is not a key of the schema{nearest(key, known)}; "
                    f"there are {', '.join(known)}"
                )
        for key in required:
            if key not in self.value:
                raise PenjingError(f"{self.file}: {self._under(key)} is missing; add it (null where nothing is known)")
        return {k: Entry(self.file, self._under(k), v) for k, v in self.value.items()}

    def items(self) -> list["Entry"]:
        """The entries of a list.

        Raises:
            PenjingError: it is no list.
        """
        if not isinstance(self.value, list):
            self.refuse("a list")
        return [Entry(self.file, f"{self.key}[{i}]", v) for i, v in enumerate(self.value)]

    def text(self) -> str:
        """A text that says something.

        Raises:
            PenjingError: it is none.
        """
        if not (isinstance(self.value, str) and self.value.strip()):
            self.refuse("a text")
        return self.value

    def number(self) -> float:
        """A number.

        Raises:
            PenjingError: it is none.
        """
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.refuse("a number")
        return self.value

    def count(self) -> int:
        """A whole number above 0.

        Raises:
            PenjingError: it is none.
        """
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 1:
            self.refuse("a whole number above 0")
        return self.value

    def one_of(self, known: Sequence[str]) -> str:
        """One of the words of `known`.

        Raises:
            PenjingError: it is none of them.
        """
        if self.value not in known:
            self.refuse(f"one of {', '.join(known)}", nearest(str(self.value), known))
        return self.value

    def _under(self, key: str) -> str:
        return f"{self.key}.{key}" if self.key else key
