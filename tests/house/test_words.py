"""The tree holds nothing that ties it to one machine, and no loose ends."""

import re
import subprocess

import pytest
from tests.house import tree

# Written in pieces, so that this file does not hold what it looks for.
FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.])/(?:wor" + r"k|roo" + r"t|hom" + r"e)/\w"),
    "a folder outside the repository": re.compile(r"\.\./" + "shared"),
    "a package registry's host": re.compile(r"pyp" + r"i\.org|pythonh" + r"osted\.org|registry\.n" + "pmjs"),
    "pickle loading": re.compile(r"weights_only\s*=\s*" + "False"),
    "a model's own code": re.compile(r"trust_remote_code\s*=\s*" + "True"),
}
LOOSE_ENDS = re.compile(r"\b(?:TO" + "DO|FIX" + "ME|XX" + "X|rai" + r"se NotImplementedError)\b")
TEXT = {".py", ".md", ".toml", ".txt", ".html", ".css", ".js", ".json", ".yml", ".yaml", ".j2", ".jinja", ".tmpl", ""}
# Calibration and evaluation texts are literature.
LITERATURE = "src/penjing/data/texts/"


def tracked():
    """Files that git knows or would add; without git, all that a clone has."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=tree.ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        names = done.stdout.splitlines()
    else:
        hidden = re.compile(r"(^|/)(\.venv|\.git|\.\w*cache|\.hypothesis|__pycache__|[^/]*\.egg-info)(/|$)")
        names = [p.relative_to(tree.ROOT).as_posix() for p in tree.ROOT.rglob("*") if p.is_file()]
        names = [n for n in names if not hidden.search(n)]
    paths = [tree.ROOT / n for n in names if not n.startswith(LITERATURE)]
    return [p for p in paths if p.suffix in TEXT and p.is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_tree_holds_no(what):
    found = []
    for path in tracked():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if FORBIDDEN[what].search(line):
                found.append(f"{path.relative_to(tree.ROOT)}:{number}")
    assert not found, f"{what}: {found}"


def test_no_loose_ends():
    assert [tree.name_of(p) for p in tree.modules() if LOOSE_ENDS.search(p.read_text(encoding="utf-8"))] == []


def test_no_room_for_leftovers():
    vague = {"utils", "helpers", "common", "misc", "base", "manager"}
    assert [p for p in tree.modules() if vague & {*p.relative_to(tree.SRC).with_suffix("").parts}] == []


def test_every_environment_variable_of_ours_is_documented():
    used = set()
    for path in tree.modules():
        used |= set(re.findall(r"[\"'](PENJING_[A-Z_]+)[\"']", path.read_text(encoding="utf-8")))
    page = (tree.ROOT / "docs" / "look-up" / "files-and-settings.md").read_text(encoding="utf-8")
    assert not [name for name in used if name not in page]
