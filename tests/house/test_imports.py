"""Who imports whom, and what an import costs."""

import ast
import os
import subprocess
import sys

import pytest
from tests.house import tree

BOTTOM = ("core", "maths", "errors.py")
HEAVY = ("transformers", "gguf", "jinja2", "huggingface_hub", "accelerate", "scipy")


def modules_after(code: str) -> set[str]:
    """The modules that are loaded in a fresh process once `code` has run."""
    script = f"{code}\nimport sys as _s\n_s.stderr.write('\\n'.join(['@'] + list(_s.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("@")[2].split())


def test_importing_penjing_imports_nothing_heavy_and_no_method():
    loaded = modules_after("import penjing")
    assert not [m for m in loaded if m.split(".")[0] in HEAVY]
    assert not [m for m in loaded if m.startswith("penjing.methods.")]


def test_the_nouns_import_torch_only():
    loaded = modules_after("from penjing import Layout, Plan, Keep")
    assert "torch" in loaded
    assert not [m for m in loaded if m.split(".")[0] in HEAVY]


def test_planning_imports_no_measuring():
    loaded = modules_after("import penjing.planning.plans")
    assert not [m for m in loaded if m.split(".")[0] in HEAVY or m.startswith("penjing.evaluate")]


def test_penjing_starts_no_cuda():
    code = "import penjing, penjing.api, torch\nassert not torch.cuda.is_initialized()"
    assert "penjing.api" in modules_after(code)


@pytest.mark.parametrize("arguments", [["--help"], ["shrink", "--help"], ["methods", "--help"]], ids=" ".join)
def test_help_imports_no_torch(arguments):
    run = f"import sys\nsys.argv = ['penjing', *{arguments!r}]\nfrom penjing.cli import main\n"
    loaded = modules_after(run + "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code")
    assert not {"torch", "transformers", "numpy"} & loaded


def test_listing_methods_imports_none():
    loaded = modules_after("from penjing.methods import METHODS\nassert list(METHODS.names())")
    leaves = {m for m in loaded if m.startswith("penjing.methods.") and m.count(".") > 2}
    assert not leaves


def imported(path):
    """The packages that a file imports, wherever in it."""
    for node in ast.walk(tree.tree(path)):
        if isinstance(node, ast.Import):
            yield from (a.name.split(".")[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def test_the_bottom_rooms_import_torch_and_the_standard_library_and_the_maths_scipy():
    allowed = {"torch", "penjing", *sys.stdlib_module_names}
    bottom = [p for p in tree.modules() if tree.name_of(p).startswith(BOTTOM)]
    assert len(bottom) > 5
    seen = {(tree.name_of(p), package) for p in bottom for package in set(imported(p)) - allowed}
    assert [name for name, package in seen if package != "scipy" or not name.startswith("maths")] == []


def test_contracts_hold():
    program = os.path.join(os.path.dirname(sys.executable), "lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
