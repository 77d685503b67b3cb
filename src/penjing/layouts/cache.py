"""Layouts kept on disk, so that a model is traced once per config and version."""

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


def folder() -> Path:
    """Where layouts are kept."""
    return cache_folder() / "layouts"


def key(config: Mapping[str, Any], stored: Mapping[str, tuple[int, ...]] | None, part: str = "") -> str:
    """The sha256 of everything that a layout depends on: config, stored shapes, versions and this package's rules."""
    facts = {
        "config": config,
        "stored": None if stored is None else sorted((n, list(s)) for n, s in stored.items()),
        "versions": [version(p) for p in ("torch", "transformers")],
        "rules": _rules(),
        "part": part,
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def read(name: str) -> Layout | None:
    """The layout kept under a key, or None when there is none or its file is damaged."""
    path = folder() / f"{name}.json"
    try:
        return from_text(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError, LayoutError):
        return None


def write(name: str, layout: Layout) -> None:
    """Keep a layout under a key. A folder that cannot be written to is left alone: the cache only saves time."""
    target = folder() / f"{name}.json"
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".layout-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(to_text(layout))
            Path(temporary).replace(target)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise


@lru_cache(maxsize=1)
def _rules() -> str:
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in [*sorted(here.rglob("*.py")), here.parent / "core" / "pattern.py", here.parent / "core" / "layout.py"]:
        digest.update(path.relative_to(here.parent).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
