"""Which folders are results of penjing and hold nothing else, so that they may be replaced."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penjing.errors import OutputError

RECORD = "penjing.json"
"""Tells how a result was made; a folder without it is none."""
PAGES = frozenset({"report.json", "report.html", "items.jsonl", "README.md", "picture.png", "training.jsonl"})
"""What is written beside the weights once these were measured."""
_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")


def record_in(folder: Path) -> Mapping[str, Any] | None:
    """What the `penjing.json` of a folder says; None where there is none that can be read."""
    path = folder / RECORD
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() and not path.is_symlink() else None
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and ("plan_sha256" in found or "trained" in found) else None


def strange_in(folder: Path) -> list[str]:
    """Names in a result's folder of files that penjing did not write there."""
    record = record_in(folder) or {}
    named = [n for key in ("files", "exports") for n in record.get(key, ())]
    known = {RECORD, "config.json", *PAGES, *(str(n) for n in named if isinstance(n, str))}
    names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_symlink() or not p.is_dir()]
    folders = tuple(f"{n}/" for n in record.get("exports", ()) if isinstance(n, str) and n)
    return [n for n in names if n not in known and not _WEIGHTS.fullmatch(n) and not n.startswith(folders)]


def check_replaceable(out: Path) -> None:
    """Make sure that the folder `out` is a result of penjing, and nothing else lies in it.

    Raises:
        OutputError: it is not, or something else does.
    """
    if out.is_symlink() or not out.is_dir() or record_in(out) is None:
        raise OutputError(f"{out} is no result of penjing (it has no {RECORD} of one), so it is not replaced")
    if out.is_mount():
        raise OutputError(f"the output {out} is a mounted disk; choose a folder in it")
    if strange := strange_in(out):
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise OutputError(f"{out} holds '{strange[0]}'{more}, which penjing did not write; move it away first")
