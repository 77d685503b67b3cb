"""`make statistic`, `task`, `model`, `module` and so on write files that work as they are, and edit none."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.house import tree

MADE = [
    ("statistic", "sample_peak"), ("statistic", "sample_top"), ("task", "sample_race"),
    ("model", "sample_net"), ("exporter", "sample_weights"), ("algorithm", "sample_walk"),
    ("module", "sample_gate"), ("healer", "sample_loss"), ("experiment", "sample_trial"),
]  # fmt: skip
"""All at once; two of one kind, for they could meet in a file."""
OF_EVERY = (
    "tests/house/test_registries.py", "tests/exporters/test_formats.py", "tests/models/test_architectures.py",
    "tests/search/algorithms/test_algorithms.py", "tests/nn/test_every_kind.py",
)  # fmt: skip
"""Tests that look at everything in a folder."""


def make(root, *arguments):
    command = [sys.executable, tree.ROOT / "templates" / "new_file.py", *arguments, "--root", root]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def files(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*.py")}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package and of the tests that look at registries, with everything made in it at once."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(tree.ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("tests/conftest.py", "tests/house/tree.py", *OF_EVERY, "pyproject.toml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.ROOT / name, root / name)
    before = files(root)
    for wish in MADE:
        done = make(root, *wish)
        assert done.returncode == 0, done.stderr
    return root, before


def test_only_new_files_are_written(copy):
    root, before = copy
    after = files(root)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2 * len(MADE)


def test_what_was_made_passes_the_linter(copy):
    ruff = Path(sys.executable).with_name("ruff")
    command = [ruff, "check", "--no-cache", *copy[0].rglob("*sample_*.py")]
    done = subprocess.run(command, cwd=copy[0], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_its_tests_and_the_house_rules_of_registries_pass(copy):
    root = copy[0]
    code = f"import sys; sys.path[:0] = [{str(root / 'src')!r}, {str(root)!r}]; import pytest; "
    command = [
        sys.executable, "-c", code + "sys.exit(pytest.main(sys.argv[1:]))", "-q", "-p", "no:cacheprovider", "-n", "0",
        "--rootdir", root, *map(str, root.rglob("test_sample_*.py")), *OF_EVERY, "-k", "sample",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [("Peak", "name 'Peak'"), ("", "name missing; type make statistic name=sample"), ("input_mean", "already")],
)
def test_a_poor_wish_is_refused_with_the_reason(name, said):
    done = make(tree.ROOT, "statistic", name)
    assert done.returncode == 1
    assert said in done.stderr
