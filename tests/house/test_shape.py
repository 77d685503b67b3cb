"""Files, functions and docstrings keep the style sheet's measures."""

import ast

from tests.house import tree

LINES, BODY, PARAMETERS = 300, 40, 8

# A longer file needs a reason here.
LONG_FILES: dict[str, str] = {}

# Files whose functions are somebody's whole choice of settings, each a named option with a default.
MANY_PARAMETERS = {
    "api/": "what users call: every option by its name",
    "io/writer.py: write_folder": "all that a folder is made of, each by its name",
    "pipeline/evidence.py: measured": "all that a report is made of, each by its name",
    "cli/": "one parameter per command-line option, as typer wants it",
}



def public(path):
    """The public functions at the top of a file."""
    body = tree.tree(path).body
    return [n for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and not n.name.startswith("_")]


def test_every_module_says_what_it_is_in_a_sentence():
    said = {tree.name_of(p): ast.get_docstring(tree.tree(p)) for p in tree.modules()}
    assert not [name for name, text in said.items() if not text or not text.splitlines()[0].endswith((".", "?", ":"))]


def test_files_stay_short():
    lines = {tree.name_of(p): len(p.read_text(encoding="utf-8").splitlines()) for p in tree.modules()}
    assert {n: k for n, k in lines.items() if k > LINES and n not in LONG_FILES} == {}
    assert [n for n in LONG_FILES if lines.get(n, 0) <= LINES] == [], "take these out of LONG_FILES"


def body_lines(node: tree.Function) -> int:
    """Lines of a function without its signature and docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_stay_short():
    long = {f"{tree.name_of(p)}: {f.name}": body_lines(f) for p in tree.modules() for f in tree.functions(p)}
    assert {n: k for n, k in long.items() if k > BODY} == {}


def parameters(node: tree.Function) -> int:
    a = node.args
    return len([x for x in (*a.posonlyargs, *a.args, *a.kwonlyargs) if x.arg not in {"self", "cls"}])


def test_functions_take_few_parameters():
    many = {f"{tree.name_of(p)}: {f.name}": parameters(f) for p in tree.modules() for f in tree.functions(p)}
    assert {n: k for n, k in many.items() if k > PARAMETERS and not n.startswith(tuple(MANY_PARAMETERS))} == {}


def test_public_functions_have_docstrings():
    assert [f"{tree.name_of(p)}: {f.name}" for p in tree.modules() for f in public(p) if not ast.get_docstring(f)] == []
