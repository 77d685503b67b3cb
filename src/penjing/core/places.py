"""Where penjing keeps what it can make or fetch again."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """`PENJING_CACHE`, or `penjing` in the platform's cache folder; it need not exist."""
    named = os.environ.get("PENJING_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "penjing"
