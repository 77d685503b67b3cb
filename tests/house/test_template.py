"""`make method` writes a method that is complete, and edits no file that was there."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.house import tree

from penjing.core import Card

SCRIPT = tree.ROOT / "templates" / "new_method.py"


def make(root, *arguments):
    command = [sys.executable, SCRIPT, *arguments, "--root", root]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A repository with nothing in it but what the template wrote."""
    root = tmp_path_factory.mktemp("repository")
    done = make(root, "sample", "--family", "sparsify", "--paper", "2306.11695")
    assert done.returncode == 0, done.stderr
    return root


def module(root):
    path = root / "src/penjing/methods/sparsify/sample.py"
    spec = importlib.util.spec_from_file_location("made_sample", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_card_is_complete(made):
    card = module(made).CARD
    assert isinstance(card, Card)
    assert card.title == "Sample"
    assert card.paper == "arXiv:2306.11695"


def test_it_is_a_card_and_a_score(made):
    file = module(made)
    assert file.CARD.reads == "weights"
    assert callable(file.score)


def test_the_files_pass_the_linter(made):
    ruff = Path(sys.executable).with_name("ruff")
    command = [ruff, "check", "--no-cache", "--config", tree.ROOT / "pyproject.toml", made]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_file_is_short(made):
    lines = (made / "src/penjing/methods/sparsify/sample.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 45


PARTS = ("src", "tests", "docs", "templates", "papers", "pyproject.toml", "README.md", "CONTRIBUTING.md", "Makefile")
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*cache")


def contents(root):
    """File -> digest, of everything."""
    files = (p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


FAMILIES = [("sample", "prune"), pytest.param(("sample", "sparsify"), marks=pytest.mark.nightly)]


@pytest.fixture(scope="module", params=FAMILIES)
def house(request, tmp_path_factory):
    """(a copy of the repository in which `make method` was run, what was there before, name, family)."""
    name, family = request.param
    root = tmp_path_factory.mktemp("house")
    for part in PARTS:
        there = tree.ROOT / part
        if there.is_dir():
            shutil.copytree(there, root / part, ignore=IGNORED)
        else:
            shutil.copy(there, root / part)
    before = contents(root)
    done = make(root, name, "--family", family, "--paper", "2401.00001")
    assert done.returncode == 0, done.stdout + done.stderr
    return root, before, name, family


def passing(root, *arguments):
    """Run pytest on the copy's own files and package."""
    env = {**os.environ, "PYTHONPATH": str(root / "src")}
    # The cache is the house's own, so that the tiny model need not be trained anew.
    cache = ["-o", f"cache_dir={tree.ROOT / '.pytest_cache'}"]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", *cache, *arguments]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_a_new_method_edits_no_file_that_was_there(house):
    root, before, name, family = house
    after = contents(root)
    assert {p for p in before if after.get(p) != before[p]} == set()
    new = {
        f"src/penjing/methods/{family}/{name}.py", f"tests/methods/{family}/test_{name}.py",
        f"docs/look-up/methods/{name}.md", f"tests/golden/{name}.json",
    }  # fmt: skip
    assert set(after) - set(before) - {f"src/penjing/methods/{family}/__init__.py"} == new


@pytest.mark.slow  # each family's copy runs tests in a process of its own
def test_the_untouched_method_passes_the_tests_of_the_house(house):
    root, _, name, family = house
    files = [f"tests/methods/{family}/test_{name}.py", "tests/methods/test_golden.py", "tests/methods/test_registry.py",
             "tests/house/test_methods.py"]  # fmt: skip
    assert "passed" in passing(root, *files)
    assert "1 passed" in passing(root, "tests/house/test_docs.py", "-k", "every_method_has_a_page")


@pytest.mark.slow  # the conformance suite over one method
def test_the_untouched_method_conforms(house):
    root, _, name, _ = house
    assert "passed" in passing(root, "tests/conformance", "-m", "not nightly", "-k", f"[{name}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Wanda", "--family", "sparsify", "--paper", "2306.11695"], "name 'Wanda'"),
        (["", "--family", "sparsify", "--paper", ""], "name and paper missing; type make method name=wanda"),
        (["sample2", "--family", "../x", "--paper", "2306.11695"], "family '../x'"),
        (["sample2", "--family", "sparsify", "--paper", "Sun et al."], "paper 'Sun et al.'"),
    ],
)
def test_a_poor_wish_is_refused_with_the_reason(tmp_path, arguments, said):
    done = make(tmp_path, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_family_that_is_not_there_is_begun_only_where_it_is_said_to_be_new(tmp_path):
    for family in ("prune", "sparsify"):
        folder = tmp_path / "src/penjing/methods" / family
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    near = make(tmp_path, "sample2", "--family", "sparsfy", "--paper", "2306.11695")
    assert near.returncode == 1
    assert "no family 'sparsfy'; did you mean 'sparsify'? there are prune, sparsify; to begin one, add" in near.stderr
    assert not list(tmp_path.rglob("sample2.py"))
    new = make(tmp_path, "sample2", "--family", "turn", "--paper", "2306.11695", "--new-family")
    assert new.returncode == 0, new.stderr
    assert (tmp_path / "src/penjing/methods/turn/sample2.py").is_file()


def test_a_taken_name_is_refused():
    done = make(tree.ROOT, "maw", "--family", "sparsify", "--paper", "2512.22671")
    assert done.returncode == 1
    assert "prune/maw.py" in done.stderr
