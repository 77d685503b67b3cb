"""Lines of JSON from files that may be anything: every complaint names the file and the line."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.errors import DataError

LINE_BYTES = 16 << 20
"""The longest line that is read: longer ones are not questions."""


@dataclass(frozen=True)
class Record:
    """One object of a file, which knows where it stood so that a complaint can say so."""

    path: Path
    place: str
    fields: Mapping[str, Any]

    @property
    def where(self) -> str:
        """The file and the line, or the example's number."""
        return f"{self.path}, {self.place}"

    def text(self, key: str, default: str | None = None) -> str:
        """The string under a key; `default` when the key is missing.

        Raises:
            DataError: it is missing without a default, not a string, or holds half a character.
        """
        if key not in self.fields and default is not None:
            return default
        return self.as_text(self.fields.get(key), key)

    def as_text(self, value: Any, what: str) -> str:
        """The same value, made sure to be a string that can be encoded.

        Raises:
            DataError: it is not.
        """
        if not isinstance(value, str):
            raise DataError(f"{self.where}: found {brief(value)} as '{what}', needed a string")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"{self.where}: '{what}' holds half of a surrogate pair at character {error.start}, which is not text; "
                "mend the file"
            ) from error
        return value

    def texts(self, value: Any, what: str, *, least: int = 1) -> tuple[str, ...]:
        """A list of at least `least` strings as a tuple.

        Raises:
            DataError: it is not.
        """
        if not isinstance(value, list) or len(value) < least:
            found = f"{len(value)} of them" if isinstance(value, list) else brief(value)
            raise DataError(f"{self.where}: found {found} as '{what}', needed a list of {least} or more strings")
        return tuple(self.as_text(each, f"{what}[{i}]") for i, each in enumerate(value))

    def number(self, value: Any, what: str) -> float:
        """A finite number.

        Raises:
            DataError: it is not.
        """
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(f"{self.where}: found {brief(value)} as '{what}', needed a finite number")
        return float(value)

    def wrong(self, found: str, needed: str) -> DataError:
        """The error that says what was found here and what was needed."""
        return DataError(f"{self.where}: found {found}, needed {needed}")


def brief(value: Any) -> str:
    """A value of a file in a few words, for a message."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"'{value[:40]}…'" if len(value) > 40 else f"'{value}'"
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 10**18):
        return str(value)
    names = {
        list: f"a list of {len(value)}" if isinstance(value, list) else "",
        dict: "an object",
        int: "a huge number",
    }
    return names.get(type(value), type(value).__name__)


def parsed(path: Path, place: str, raw: bytes) -> Any:
    """The JSON value in some bytes.

    Raises:
        DataError: they are not UTF-8, or not JSON.
    """
    try:
        return json.loads(raw.decode("utf-8-sig" if place == "line 1" else "utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, {place}: byte {error.start} is not UTF-8; convert the file to UTF-8") from error
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(f"{path}, {place}: not JSON ({why}); each line needs one object") from error


def check_file(path: Path, kind: str) -> None:
    """Make sure that a file is there.

    Raises:
        DataError: there is nothing or a folder.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise DataError(f"found {what} at {path}, needed a {kind} file; check the path")


def records(path: str | Path) -> Iterator[Record]:
    """The object on each line of a `.jsonl` file, in order; blank lines are passed over.

    Raises:
        DataError: the file is missing or empty; a line is not UTF-8, not JSON, not an object, or over 16 MB.
    """
    path = Path(path)
    check_file(path, ".jsonl")
    found = 0
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(LINE_BYTES + 1):
            number += 1
            if len(line) > LINE_BYTES:
                raise DataError(
                    f"{path}, line {number}: longer than {LINE_BYTES >> 20} MB, which no question is; "
                    "give one object per line"
                )
            if not line.strip():
                continue
            value = parsed(path, f"line {number}", line)
            if not isinstance(value, dict):
                raise DataError(f"{path}, line {number}: found {brief(value)}, needed an object {{...}}")
            found += 1
            yield Record(path, f"line {number}", value)
    if not found:
        raise DataError(f"{path} is empty, needed at least one line; give another file")
