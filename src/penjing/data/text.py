"""Reading texts, and making sure that what is measured was not learned from."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from penjing.data.datasets import is_saved, saved_texts
from penjing.errors import DataError

SHINGLE = 50
PASSAGE = 100


def read_texts(paths: Iterable[str | Path]) -> list[str]:
    """One text per file, per line of a `.jsonl` file (its "text"), or per row of a data set in a folder, in order.

    Raises:
        DataError: a file is missing, empty, not UTF-8, binary, or a line of it has no text; file and line are named.
    """
    texts: list[str] = []
    for path in map(Path, paths):
        if path.is_dir() and is_saved(path):
            texts += saved_texts(path)
            continue
        content = _read(path)
        texts += _lines(path, content) if path.suffix == ".jsonl" else [content]
    if not texts:
        raise DataError("found no text files, needed at least one; name .txt or .jsonl files")
    return texts


def _read(path: Path) -> str:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        needed = "a .txt or .jsonl file, or a folder of save_to_disk"
        raise DataError(f"found {what} at {path}, needed {needed}; check the path")
    raw = path.read_bytes()
    if b"\0" in raw:
        raise DataError(f"{path} holds zero bytes, so it is not text; give plain UTF-8 text or .jsonl")
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: byte {error.start} is not UTF-8; convert the file to UTF-8") from error
    if not content.strip():
        raise DataError(f"{path} is empty, needed some text; give another file")
    return content


def _lines(path: Path, content: str) -> list[str]:
    texts = []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"{path}, line {number}: not JSON ({error}); each line needs an object with a 'text'"
            ) from error
        if not isinstance(item, dict) or not isinstance(item.get("text"), str):
            found = f"keys {', '.join(map(repr, item)) or 'none'}" if isinstance(item, dict) else type(item).__name__
            raise DataError(f"{path}, line {number}: found {found}, needed an object whose 'text' is a string")
        texts.append(item["text"])
    if not any(t.strip() for t in texts):
        raise DataError(f"{path} is empty, needed some text; give another file")
    return texts


def shared_passage(first: Sequence[str], second: Sequence[str], *, length: int = PASSAGE) -> str:
    """A passage of at least `length` characters that occurs in both, or an empty string. White space counts as one.

    Shingles of 50 characters are compared: every 50th of `first` with all of `second`, and each match is grown to both
    sides. So every shared passage of 99 characters or more is met.
    """
    ours, theirs = (" ".join(" ".join(texts).split()) for texts in (first, second))
    known = {ours[i : i + SHINGLE]: i for i in range(0, len(ours) - SHINGLE + 1, SHINGLE)}
    skip = 0
    for j in range(len(theirs) - SHINGLE + 1):
        i = known.get(theirs[j : j + SHINGLE]) if j >= skip else None
        if i is None:
            continue
        low, high = 0, SHINGLE
        while i - low > 0 and j - low > 0 and ours[i - low - 1] == theirs[j - low - 1]:
            low += 1
        while i + high < len(ours) and j + high < len(theirs) and ours[i + high] == theirs[j + high]:
            high += 1
        if low + high >= length:
            return ours[i - low : i + high]
        skip = j + 1
    return ""


def require_disjoint(calibration: Sequence[str], evaluation: Sequence[str]) -> None:
    """Make sure that no passage of 100 characters is in both; shorter ones are formulas, greetings and chance.

    Raises:
        DataError: one is.
    """
    passage = shared_passage(calibration, evaluation)
    if passage:
        raise DataError(
            f"calibration and evaluation share {len(passage):,} characters, beginning '{passage[:60]}'; a model must "
            "be measured on text it was not fitted to; give other files for one of the two"
        )
