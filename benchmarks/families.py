"""Print the table of families: what is found free and sensitive, what of it is wrong, what stays uncut, and the time.

Run `python benchmarks/families.py [NAME ...]` from the root of the repository. "Wrong" are free axes whose graph proof
failed; "idle" are those whose masking changed nothing, so that the proof shows nothing.
"""

import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.layouts.zoo import ZOO

from penjing.errors import PenjingError
from penjing.layouts import proof
from penjing.layouts.derive import traced
from penjing.layouts.inputs import example
from penjing.layouts.stock import build


def row(name: str) -> str:
    """One line of the table."""
    config = ZOO[name].config
    start = time.perf_counter()
    try:
        layout = traced(build(config))
    except PenjingError as error:
        return f"| {name} | | | | {error} | |"
    seconds = time.perf_counter() - start
    states = Counter(a.state for a in layout.axes.values())
    left = ", ".join(f"{k} {n}" for k, n in Counter(a.kind for a in layout.axes.values() if a.state == "uncut").items())
    module = build(config, device="cpu")
    results = proof.prove(module, (), example(module, device="cpu"))
    wrong = sum(r.changed and not r.ok for r in results.values())
    idle = sum(not r.changed for r in results.values())
    return f"| {name} | {states['free']} | {states['sensitive']} | {wrong} | {idle} | {left} | {seconds:.1f} |"


def main(names: list[str]) -> None:
    """Print the header and one line per family, as each is done."""
    print("| model | free | sensitive | wrong | idle | left | seconds |\n|---|---|---|---|---|---|---|", flush=True)
    for name in names or list(ZOO):
        print(row(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
