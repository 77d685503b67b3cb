"""What is known of a config, kept on disk: its layout, and how its key-value cache grows. A model is traced once.

Files are named by the sha256 of all that their content depends on, and begin with the sha256 of what follows. One that
is damaged, or is not what it should be, is as good as none: it is made again and written over.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from penjing.core import Layout
from penjing.core.places import cache_folder
from penjing.errors import LayoutError
from penjing.layouts.table import from_text, to_text
from penjing.models import of_type

LARGEST = 200_000_000
"""Bytes; the layout of a model of 80 blocks takes half a million."""


def folder() -> Path:
    """Where layouts are kept."""
    return cache_folder() / "layouts"


def key(config: Mapping[str, Any], stored: Mapping[str, tuple[int, ...]] | None, part: str = "") -> str:
    """The sha256 of all that a layout depends on: config, stored shapes, versions, and this package's own code."""
    facts = {
        "config": config,
        "stored": None if stored is None else sorted((n, list(s)) for n, s in stored.items()),
        "versions": [version(p) for p in ("torch", "transformers")],
        "rules": _rules(),
        "architecture": _architecture(str(config.get("model_type"))),
        "part": part,
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def read(name: str) -> Layout | None:
    """The layout kept under a key, or None when there is none or its file is damaged."""
    text = read_text(name)
    try:
        return None if text is None else from_text(text, str(_path(name)))
    except LayoutError:
        return None


def write(name: str, layout: Layout) -> None:
    """Keep a layout under a key. A folder that cannot be written to is left alone: the cache only saves time."""
    write_text(name, to_text(layout))


def read_text(name: str) -> str | None:
    """The text kept under a key, or None when there is none or it is not what was written."""
    path = _path(name)
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        digest, _, body = path.read_bytes().partition(b"\n")
        return body.decode() if digest == _digest(body) else None
    except (OSError, UnicodeDecodeError):
        return None


def write_text(name: str, text: str) -> None:
    """Keep a text under a key, whole or not at all."""
    target, body = _path(name), text.encode()
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".layout-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_digest(body) + b"\n" + body)
            Path(temporary).replace(target)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise


def _path(name: str) -> Path:
    return folder() / f"{name}.txt"


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _architecture(kind: str) -> str | None:
    """The sha256 of the code of one of penjing's own architectures; None of any other, whose code has a version."""
    file = of_type(kind)
    if file is None:
        return None
    digest = hashlib.sha256()
    for path in [Path(str(file.__file__)), *sorted((Path(__file__).parents[1] / "layers").glob("*.py"))]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _rules() -> str:
    digest = hashlib.sha256()
    here = Path(__file__).parent
    core = [here.parent / "core" / name for name in ("pattern.py", "layout.py", "spec.py")]
    for path in [*sorted(here.rglob("*.py")), *sorted((here.parent / "nn").rglob("*.py")), *core]:
        digest.update(path.relative_to(here.parent).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
