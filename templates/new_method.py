"""Write a new method's files; `make method name=wanda family=sparsify paper=2306.11695`.

These are the method, its test, its golden plan and its page: no file that is there already changes.
"""

import argparse
import os
import re
import subprocess
import sys
from difflib import get_close_matches
from pathlib import Path
from string import Template

HERE = Path(__file__).resolve().parent
NAME = re.compile(r"[a-z][a-z0-9_]*")
PAPER = re.compile(r"\d{4}\.\d{4,5}")
WEIGHTS = "sparsify"
"""The family whose methods zero single weights."""


def main() -> None:
    """Read the arguments, write the files, say what to do next."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("name", help="the paper's short name: the file's name, and the method's")
    reader.add_argument("--family", required=True, help="a folder of methods/: prune, sparsify, rotate, ...")
    reader.add_argument("--paper", required=True, help="arXiv number")
    reader.add_argument("--new-family", action="store_true", help="the family is a new one")
    reader.add_argument("--root", type=Path, default=HERE.parent, help="the repository")
    told = reader.parse_args()
    wrong = problem(told.name, told.family, told.paper, told.root)
    if wrong := wrong or unknown(told.family, told.root, new=told.new_family):
        sys.exit(f"make method: {wrong}")
    for path in [*write(told.name, told.family, told.paper, told.root), *made_from_it(told.name, told.root)]:
        print(f"wrote {path.relative_to(told.root)}")
    print("next: the naive loop in the test, `score`, the card, `make golden docs check`; see CONTRIBUTING.md")


def problem(name: str, family: str, paper: str, root: Path) -> str:
    """What is wrong with the wish, or an empty string."""
    given = {"name": name, "family": family, "paper": paper}
    if missing := [what for what, value in given.items() if not value]:
        return f"{' and '.join(missing)} missing; type make method name=wanda family=sparsify paper=2306.11695"
    for what, value in (("name", name), ("family", family)):
        if not NAME.fullmatch(value):
            return f"{what} '{value}' is not a Python name in lower case; try {what}=wanda"
    if not PAPER.fullmatch(paper):
        return f"paper '{paper}' is not an arXiv number; try paper=2306.11695"
    taken = list((root / "src/penjing/methods").glob(f"*/{name}.py"))
    return f"there is a method named '{name}' already: {taken[0].relative_to(root)}" if taken else ""


def unknown(family: str, root: Path, *, new: bool) -> str:
    """What is wrong with a family that has no folder yet and is not said to be new, or an empty string."""
    families = sorted(p.parent.name for p in (root / "src/penjing/methods").glob("*/__init__.py"))
    if new or family in families or not families:
        return ""
    near = get_close_matches(family, families, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ";"
    return f"there is no family '{family}'{hint} there are {', '.join(families)}; to begin one, add new=yes"


def write(name: str, family: str, paper: str, root: Path) -> list[Path]:
    """The files written: the family's `__init__.py` if it is new, the method, its test."""
    method = root / "src/penjing/methods" / family / f"{name}.py"
    test = root / "tests/methods" / family / f"test_{name}.py"
    facts = {"name": name, "title": name.replace("_", " ").capitalize(), "family": family, "paper": paper}
    kind = "weights" if family == WEIGHTS else "method"
    texts = {method: filled(f"{kind}.py.tmpl", facts), test: filled(f"test_{kind}.py.tmpl", facts)}
    room = method.with_name("__init__.py")
    if not room.exists():
        texts = {room: f'"""Methods that {family.replace("_", " ")}."""\n', **texts}
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def made_from_it(name: str, root: Path) -> list[Path]:
    """The golden plan and the page of a method, made by the repository's own means; none where it has none."""
    page, golden = root / "docs/look-up/methods" / f"{name}.md", root / "tests/golden" / f"{name}.json"
    jobs = {
        page: [root / "docs/generate.py", name],
        golden: ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/methods/test_golden.py", "-k", f"[{name}]"],
    }
    if not (root / "docs/generate.py").is_file():
        return []
    env = {**os.environ, "PYTHONPATH": str(root / "src"), "PENJING_GOLDEN": "write"}
    for job in jobs.values():
        done = subprocess.run([sys.executable, *job], cwd=root, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"make method: the files are written, and this failed: {done.stdout}{done.stderr}")
    return list(jobs)


def filled(template: str, facts: dict[str, str]) -> str:
    """The text of a template with the facts put in."""
    return Template((HERE / template).read_text(encoding="utf-8")).substitute(facts)


if __name__ == "__main__":
    main()
