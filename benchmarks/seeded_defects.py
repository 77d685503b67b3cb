"""Are the tests awake? Put a known defect into a copy of the code, and see whether a test finds it.

`python -m benchmarks.seeded_defects [ROOT]` takes each defect of the table alone: a copy of ROOT (this clone), one text
replaced in the one file of `src` that holds it, and the tests named run, but nightly ones, until the first failure. It
prints a line a defect and ends with the number that nobody found. Files and tests are found by what they hold and by
their names, so the same table serves older revisions.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Defect:
    """What is wrong, the text that is replaced and by what, and the names of the test files that ought to find it.

    `file` is how the name of the file ends that holds the text, where others have it too.
    """

    what: str
    right: str
    wrong: str
    tests: tuple[str, ...]
    file: str = ""


DEFECTS = (
    Defect(
        "dimensions that change places, taken to stay",
        'return [dims[d] for d in arguments(node)["dims"]]', "return list(dims)", ("layouts/test_own_modules.py",),
    ),
    Defect(
        "a wrong gather of a unit's weights in a merged dimension",
        "(spread * inner + torch.arange(inner)).flatten(1)", "(spread + torch.arange(inner)).flatten(1)",
        ("test_units.py",),
    ),
    Defect(
        "a bias that a convolution's cut forgets",
        'walk.unify(node, out, walk.use(node, arg["bias"])[0])', 'walk.use(node, arg["bias"])',
        ("layouts/test_own_modules.py",),
    ),
    Defect(
        "kept units in the order of their scores, not of their places",
        "return tuple(sorted(order[:count].tolist()))", "return tuple(order[:count].tolist())", ("test_topk.py",),
    ),
    Defect(
        "rows of a later piece taken from the wrong place",
        "place[start:stop] - first", "place[start:stop] - start", ("test_cut.py",),
    ),
    Defect(
        "the first piece's mask laid over every piece",
        "recipe.kept[start : start + len(part)]", "recipe.kept[: len(part)]", ("test_cut.py",),
    ),
    Defect(
        "a refit without its ridge",
        "inner.diagonal().add_(damping)", "damping.neg()", ("test_least_squares.py",), "least_squares.py",
    ),
    Defect(
        "a running mean that weighs the last batch as much as all before",
        "share = count / (before + count)", "share = 0.5 if before else 1.0", ("test_collect.py",),
    ),
    Defect(
        "an index file that may name files outside its folder",
        ' or ".." in pure.parts', "", ("test_folder.py",), "shards.py",
    ),
    Defect(
        "a function that is not zero at zero, taken for one that is",
        "KEEP_ZERO = frozenset((", 'KEEP_ZERO = frozenset(("sigmoid",', ("test_traps.py", "test_vanish.py"),
    ),
    Defect(
        "inner and outer factors of a merged dimension confused",
        "(out[:, None] & mask(part, kept)[None, :]).flatten()", "(mask(part, kept)[:, None] & out[None, :]).flatten()",
        ("test_pattern.py",),
    ),
)  # fmt: skip


def main() -> int:
    """Print a line a defect; the number that no test found."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        copy.mkdir()
        for part in ("src", "tests", "pyproject.toml"):
            source = root / part
            if source.is_dir():
                shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                shutil.copy(source, copy / part)
        for defect in DEFECTS:
            found = try_one(copy, defect)
            missed += found != "found"
            print(f"{found:10} {defect.what}", flush=True)
    print(f"{len(DEFECTS) - missed} of {len(DEFECTS)} found")
    return missed


def try_one(copy: Path, defect: Defect) -> str:
    """"found", "MISSED", or why it could not be tried; the copy is as it was afterwards."""
    files = [p for p in (copy / "src").rglob("*.py") if p.name.endswith(defect.file)]
    holders = [p for p in files if defect.right in p.read_text("utf-8")]
    tests = [str(p) for name in defect.tests for p in (copy / "tests").rglob(Path(name).name) if str(p).endswith(name)]
    if len(holders) != 1 or not tests:
        return f"UNTRIED ({len(holders)} files, {len(tests)} tests)"
    before = holders[0].read_text("utf-8")
    holders[0].write_text(before.replace(defect.right, defect.wrong), "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1", "HYPOTHESIS_PROFILE": "ci"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not nightly", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    finally:
        holders[0].write_text(before, "utf-8")
    return {0: "MISSED", 1: "found"}.get(done.returncode, f"UNTRIED (pytest ended with {done.returncode})")


if __name__ == "__main__":
    sys.exit(main())
