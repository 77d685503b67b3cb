"""The files of the house and their syntax trees, read once."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "penjing"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    """Every Python file of the package, sorted."""
    return sorted(SRC.rglob("*.py"))


def name_of(path: Path) -> str:
    """`io/headers.py`: how a file of the package is called here."""
    return path.relative_to(SRC).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[Function]:
    """Every function of a file, methods and inner functions included."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def method_files() -> list[Path]:
    """`methods/<family>/<name>.py`, private files and `__init__.py` left out."""
    return [p for p in sorted((SRC / "methods").glob("*/*.py")) if not p.name.startswith("_")]
