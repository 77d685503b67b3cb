"""`make method` writes a method that is complete: lint, card, its own test."""

import dataclasses
import importlib.util
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


def test_the_method_builds_with_no_arguments(made):
    method = module(made).Method()
    assert dataclasses.is_dataclass(method)


def test_the_files_pass_the_linter(made):
    ruff = Path(sys.executable).with_name("ruff")
    command = [ruff, "check", "--no-cache", "--config", tree.ROOT / "pyproject.toml", made]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_file_is_short(made):
    lines = (made / "src/penjing/methods/sparsify/sample.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 45


def test_the_test_that_was_written_passes_in_the_house(made, tmp_path):
    """The generated test imports the method from the package: so a copy of the package has to hold it."""
    shutil.copytree(tree.ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    shutil.copy(tree.ROOT / "tests" / "conftest.py", tmp_path / "tests" / "conftest.py")
    test = tmp_path / "tests/methods/sparsify/test_sample.py"
    copy = f"import sys; sys.path.insert(0, {str(tmp_path / 'src')!r})"
    code = f"{copy}; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, test]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Wanda", "--family", "sparsify", "--paper", "2306.11695"], "name 'Wanda'"),
        (["", "--family", "sparsify", "--paper", "2306.11695"], "name ''"),
        (["sample2", "--family", "../x", "--paper", "2306.11695"], "family '../x'"),
        (["sample2", "--family", "sparsify", "--paper", "Sun et al."], "paper 'Sun et al.'"),
    ],
)
def test_a_poor_wish_is_refused_with_the_reason(tmp_path, arguments, said):
    done = make(tmp_path, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_refused():
    done = make(tree.ROOT, "maw", "--family", "sparsify", "--paper", "2512.22671")
    assert done.returncode == 1
    assert "prune/maw.py" in done.stderr
