"""Write a new file of a folder that is a registry, and its test; `make statistic name=input_peak`.

Both work as they are, and no file that is there already changes.
"""

import argparse
import re
import sys
from pathlib import Path
from string import Template

HERE = Path(__file__).resolve().parent
NAME = re.compile(r"[a-z][a-z0-9_]*")
PLACES = {
    "statistic": ("src/penjing/calibrate/statistics", "tests/calibrate/statistics"),
    "task": ("src/penjing/tasks/kinds", "tests/tasks/kinds"),
    "model": ("src/penjing/models", "tests/models"),
    "module": ("src/penjing/nn", "tests/nn"),
    "algorithm": ("src/penjing/search/algorithms", "tests/search/algorithms"),
    "exporter": ("src/penjing/exporters/formats", "tests/exporters/formats"),
    "healer": ("src/penjing/healers", "tests/healers"),
    "experiment": ("src/penjing/experiments", "tests/experiments"),
}
"""What is made -> the folder of its file, and that of its test."""


def main() -> None:
    """Read the arguments, write the files, say what to do next."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("what", choices=PLACES)
    reader.add_argument("name", help="the file's name, and the thing's")
    reader.add_argument("--root", type=Path, default=HERE.parent, help="the repository")
    told = reader.parse_args()
    folder, tests = (told.root / place for place in PLACES[told.what])
    if not told.name:
        sys.exit(f"make {told.what}: name missing; type make {told.what} name=sample")
    if not NAME.fullmatch(told.name):
        sys.exit(f"make {told.what}: name '{told.name}' is not a Python name in lower case; try name=sample")
    if (folder / f"{told.name}.py").exists() or (folder / told.name).exists():
        sys.exit(f"make {told.what}: there is one named '{told.name}' already; choose another name")
    words = told.name.split("_")
    facts = {
        "name": told.name, "typed": "-".join(words), "title": " ".join(words).capitalize(),
        "camel": "".join(w.capitalize() for w in words),
    }  # fmt: skip
    own, test = folder / f"{told.name}.py", tests / f"test_{told.name}.py"
    for path, template in ((own, f"{told.what}.py.tmpl"), (test, f"test_{told.what}.py.tmpl")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template((HERE / template).read_text(encoding="utf-8")).substitute(facts), encoding="utf-8")
        print(f"wrote {path.relative_to(told.root)}")
    print("next: what it is in the first line, its maths, its test, `make check`; see CONTRIBUTING.md")


if __name__ == "__main__":
    main()
