"""Run every reproduction, or those named: `python -m papers [51-robustness-lottery ...]`.

Each folder's `expected.json` says what is run; its README compares the figures with the paper. `--rows` runs nothing:
it brings the rows that the package ships up to date with the folders.
"""

import sys

from papers.expected import HERE, folders, write_row

from penjing.errors import PenjingError, nearest
from penjing.papers import read
from penjing.papers.clone import rerun


def main(wanted: list[str]) -> int:
    """Run them in turn; the exit code is 1 at the first that failed, 2 for a name that is not there."""
    known = [p.name for p in folders()]
    if wanted == ["--rows"]:
        for folder in folders():
            write_row(folder)
        return 0
    for name in wanted:
        if name not in known:
            there = f"there are {', '.join(known)}"
            print(f"no reproduction is named '{name}'{nearest(name, known)}; {there}", file=sys.stderr)
            return 2
    try:
        papers = [read(HERE / name / "expected.json") for name in wanted or known]
        for paper in papers:
            print(f"\n== {paper.folder}", flush=True)
            for command in rerun(paper, HERE.parent):
                print(command, flush=True)
    except PenjingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
