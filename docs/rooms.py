"""Draw the rooms of the house as text: `python docs/rooms.py`. Measured from the imports, top room first.

A big room is drawn with its folders. `->` names the rooms that it imports, and how often.
"""

from collections import Counter
from pathlib import Path

import grimp

import penjing

ROOT = Path(penjing.__file__).parent
BIG = 2500
"""Lines from which a room is drawn with its folders."""


def main() -> None:
    """Print a line a room."""
    graph = grimp.build_graph("penjing")
    arrows: dict[str, Counter[str]] = {}
    for module in graph.modules:
        for target in graph.find_modules_directly_imported_by(module):
            mine, theirs = room(module), room(target)
            if mine != theirs:
                arrows.setdefault(mine, Counter())[theirs] += 1
    rooms = sorted({room(m) for m in graph.modules} - {"penjing"}, key=lambda r: -height(r, arrows))
    for name in rooms:
        files = sources(ROOT / name)
        longest = max(files.values(), default=0)
        to = ", ".join(f"{t} {n}" for t, n in arrows.get(name, Counter()).most_common())
        print(f"{name:12}{len(files):4} files {sum(files.values()):6} lines, longest {longest:4}  -> {to or 'nothing'}")
        if sum(files.values()) > BIG:
            for folder in sorted(p for p in (ROOT / name).iterdir() if p.is_dir() and sources(p)):
                held = sources(folder)
                print(f"  {folder.name:20}{len(held):4} files {sum(held.values()):6} lines")


def room(module: str) -> str:
    """The room of a module: the folder below the package."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def sources(place: Path) -> dict[Path, int]:
    """File -> lines, of a folder or of a room that is one file."""
    found = [place.with_suffix(".py")] if not place.is_dir() else sorted(place.rglob("*.py"))
    return {p: len(p.read_text("utf-8").splitlines()) for p in found if p.is_file()}


def height(name: str, arrows: dict[str, Counter[str]], seen: tuple[str, ...] = ()) -> int:
    """How many rooms lie below."""
    below = [t for t in arrows.get(name, ()) if t not in (*seen, name)]
    return 1 + max((height(t, arrows, (*seen, name)) for t in below), default=0)


if __name__ == "__main__":
    main()
