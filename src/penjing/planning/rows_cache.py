"""Rows of tokens on disk: found again for the same tokenizer, texts and settings, so that a second run is spared them.

Reading a tokenizer imports most of transformers, which takes longer than all else before a plan is made.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import file_digest, sha256
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from torch import Tensor

from penjing.data import token_rows
from penjing.running.stock import tokenizer

FORMAT = "penjing rows 1"
WEIGHTS = frozenset({".safetensors", ".bin", ".gguf", ".pt", ".pth", ".onnx", ".h5", ".msgpack"})


def rows_of(folder: Path, texts: Sequence[str], *, length: int, count: int, seed: int, cache: Path) -> Tensor:
    """[count length] ids, as `data.token_rows` draws them with the tokenizer in `folder`.

    What is on disk is taken only under the very same key, and if it is whole. Where a file beside the model cannot be
    read, or the disk not be written to, nothing is kept.

    Raises:
        DataError: there is no tokenizer, or the texts are too short.
    """
    try:
        key = _key(folder, texts, length, count, seed)
    except OSError:
        key = ""
    place = cache / "rows" / f"{key[:24]}.safetensors"
    found = _read(place, key) if key else None
    if found is not None:
        return found
    found = token_rows(tokenizer(folder), texts, length=length, count=count, seed=seed)
    if key:
        with suppress(OSError):
            _write(place, key, found)
    return found


def _key(folder: Path, texts: Sequence[str], length: int, count: int, seed: int) -> str:
    facts = {
        "format": FORMAT,
        "transformers": version("transformers"),
        "tokenizers": version("tokenizers"),
        "files": {p.name: _of_file(p) for p in _files(folder)},
        "texts": [_digest(t.encode("utf-8", "surrogatepass")) for t in texts],
        "rows": [count, length, seed],
    }
    return _digest(json.dumps(facts, sort_keys=True).encode())


def _files(folder: Path) -> list[Path]:
    """All that a tokenizer may be read from: every file beside the weights, whose names differ by tokenizer."""
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix not in WEIGHTS)


def _read(place: Path, key: str) -> Tensor | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(place, framework="pt") as file:
            held, rows = file.metadata() or {}, file.get_tensor("rows")
    except (OSError, SafetensorError):
        return None
    return rows if held == {"format": FORMAT, "key": key, "sha256": _digest(rows.numpy().tobytes())} else None


def _write(place: Path, key: str, rows: Tensor) -> None:
    from safetensors.torch import save_file

    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{uuid4().hex}")
    said = {"format": FORMAT, "key": key, "sha256": _digest(rows.numpy().tobytes())}
    try:
        save_file({"rows": rows.contiguous()}, part, metadata=said)
        os.replace(part, place)
    finally:
        part.unlink(missing_ok=True)


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _digest(held: bytes) -> str:
    return sha256(held).hexdigest()
