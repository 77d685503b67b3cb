"""`expected.json`: the one schema of all reproductions, its results written here and nowhere else.

`papers/README.md` tells its keys; `penjing.papers` reads it. What a person decides (claims, verdicts) is written by
hand; results are written by each program's `--write`, which brings the package's row up to date as well.
"""

import json
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from penjing.papers import read, to_json

HERE = Path(__file__).parent
ROWS = HERE.parent / "src" / "penjing" / "papers" / "rows"
LIST = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")


def folders() -> list[Path]:
    """The folders that hold a reproduction or a study, sorted."""
    return sorted(p.parent for p in HERE.glob("*/run.py"))


def record(program: str, results: Any, *, write: bool, part: str | None = None) -> None:
    """Say on stderr what moved since the stored results (of one `part` of them); `write` stores the new ones."""
    path = Path(program).with_name("expected.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    stored = document.get("results")
    before = stored if part is None else (stored or {}).get(part)
    print(told(before, json.loads(json.dumps(results))), file=sys.stderr)
    if not write:
        return
    document["results"] = results if part is None else {**(stored or {}), part: results}
    path.write_text(text(document), encoding="utf-8")
    for line in disagreements(document):
        print(f"{path}: {line}", file=sys.stderr)
    write_row(path.parent)


def text(document: Any) -> str:
    """JSON that a person can read: one key a line, a list of plain values on one line."""
    plain = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    return LIST.sub(lambda found: "[" + re.sub(r"\n\s*", " ", found[1]) + "]", plain)


def write_row(folder: Path) -> None:
    """Bring the package's row of a folder up to date."""
    row = to_json(read(folder / "expected.json"))
    (ROWS / f"{folder.name}.json").write_text(text(row), encoding="utf-8")


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """(path, plain value) of everything below."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if below is None:
        yield place, value
    else:
        for key, one in below:
            yield from leaves(one, f"{place}/{key}")


def told(before: Any, after: Any) -> str:
    """How many figures are as they were, which moved most, how many readings hold as before, and what else changed."""
    if before is None:
        return "no results were stored before"
    old, new = dict(leaves(before)), dict(leaves(after))
    both = [k for k in new if k in old]
    moves = {k: abs(new[k] - old[k]) / max(abs(old[k]), 1e-12) for k in both if _number(old[k]) and _number(new[k])}
    others = [k for k in both if k not in moves and old[k] != new[k]]
    same, far = sum(m == 0 for m in moves.values()), sum(m > 0.01 for m in moves.values())
    lines = [f"{same} of {len(moves)} stored figures came out the same, {far} moved by more than 1 %"]
    if any(moves.values()):
        most = max(moves, key=moves.__getitem__)
        lines.append(f"the one that moved most: {most}, {old[most]} then, {new[most]} now ({moves[most]:.2%})")
    if readings := [k for k in both if isinstance(old[k], bool)]:
        lines.append(f"{sum(old[k] == new[k] for k in readings)} of {len(readings)} readings are as they were")
    lines += [f"changed: {k}, {old[k]} then, {new[k]} now" for k in others]
    lines += [f"no longer there: {k}" for k in old if k not in new] + [f"new: {k}" for k in new if k not in old]
    return "\n".join(lines)


def disagreements(document: Any) -> list[str]:
    """Where a verdict is not what the readings that it names say: all hold, none, or some."""
    found = dict(leaves(document.get("results")))
    out = []
    for i, claim in enumerate(document["claims"]):
        for pattern in claim.get("readings", ()):
            if not any(fnmatchcase(k, pattern) and isinstance(v, bool) for k, v in found.items()):
                out.append(f"claims[{i}].readings has '{pattern}', which matches no reading in results")
        holds = [v for p in claim.get("readings", ()) for k, v in found.items() if fnmatchcase(k, p)]
        if holds and claim["verdict"] != (due := "reproduced" if all(holds) else "partly" if any(holds) else "not"):
            said = f"{sum(holds)} of {len(holds)} readings hold"
            out.append(f"claims[{i}].verdict is '{claim['verdict']}', but {said}: make it '{due}'")
    return out


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
