"""What docstrings say is raised exists, and what is raised of ours is drawn in the tree."""

import ast
import builtins
import re

from tests.house import tree

from penjing import errors

OURS = {
    name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, errors.PenjingError)
}
BUILT_IN = {
    name for name, thing in vars(builtins).items() if isinstance(thing, type) and issubclass(thing, BaseException)
}
PRIVATE = re.compile(r"^class (\w+)\((?:\w*Error|Exception)\)", re.MULTILINE)
ENTRY = re.compile(r"^    (\w+):", re.MULTILINE)


def promised(docstring: str) -> set[str]:
    """The error names in the `Raises:` section of a (dedented) docstring."""
    _, _, after = docstring.partition("Raises:\n")
    lines = after.splitlines()
    end = next((i for i, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
    return set(ENTRY.findall("\n".join(lines[:end])))


def documented():
    """(file, function or class, docstring) for everything that has one."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for path in tree.modules():
        for node in ast.walk(tree.tree(path)):
            if isinstance(node, kinds) and (said := ast.get_docstring(node)):
                yield tree.name_of(path), node, said


def test_reading_a_raises_section():
    said = "Gives.\n\nRaises:\n    PlanError: it cannot,\n        because: so.\n    DataError: nor this.\n\nSource: x."
    assert promised(said) == {"PlanError", "DataError"}


def test_raises_names_errors_that_exist():
    # A room may have exceptions of its own that never leave it.
    inner = {name for path in tree.modules() for name in PRIVATE.findall(path.read_text(encoding="utf-8"))}
    known = OURS | BUILT_IN | inner
    wrong = {f"{name}: {node.name}": promised(said) - known for name, node, said in documented()}
    assert not {k: v for k, v in wrong.items() if v}


def raised_here(node: ast.AST) -> set[str]:
    """Names of the errors that a function raises itself, inner functions included."""
    names = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call) and isinstance(child.exc.func, ast.Name):
            names.add(child.exc.func.id)
    return names


def test_public_functions_say_what_they_raise_themselves():
    wrong = {}
    for name, node, said in documented():
        if isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        # `PenjingError` in a docstring stands for all of the tree.
        told = OURS if "PenjingError" in promised(said) else promised(said)
        wrong[f"{name}: {node.name}"] = (raised_here(node) & OURS) - told
    assert not {k: v for k, v in wrong.items() if v}


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = set(re.findall(r"[A-Z]\w+Error", errors.__doc__))
    assert drawn == OURS
