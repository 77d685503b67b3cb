"""Print the table of families: what is found free, and whether cutting it equals masking it, by three proofs.

Run `python benchmarks/families.py [NAME ...]` from the root of the repository. Graph: each free axis is cut at random
in the exported graph; wrong ones differ from their mask, idle ones change nothing, so that nothing is shown. Stock and
pattern: all free axes of a kind are halved, the config that holds the new sizes is built by the stock class, the
shape of every tensor is compared with its pattern's, and the outputs with the masked model's: "=" when they are equal
to 1e-6 of the largest, "-" when no config holds the cut (the class has no entry for it, or refuses the sizes).
"""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.layouts.stock_proof import stock_error
from tests.layouts.zoo import ZOO

from penjing.core import Axis, Layout
from penjing.errors import PenjingError
from penjing.layouts import from_config
from penjing.layouts.config.stock import build
from penjing.layouts.graph.inputs import example
from penjing.layouts.prove import proof


def row(name: str) -> str:
    """One line of the table."""
    config = ZOO[name].config
    start = time.perf_counter()
    layout = from_config(config, cache=False)
    seconds = time.perf_counter() - start
    free = [a for a in layout.axes.values() if a.state == "free"]
    kinds = {k: [a for a in free if a.kind == k] for k in dict.fromkeys(a.kind for a in free)}
    left = ", ".join(f"{k} {n}" for k, n in Counter(a.kind for a in layout.axes.values() if a.state == "uncut").items())
    sensitive = sum(a.state == "sensitive" for a in layout.axes.values())
    module = build(config, device="cpu")
    results = proof.prove(module, (), example(module, device="cpu"))
    wrong = sum(r.changed and not r.ok for r in results.values())
    idle = sum(not r.changed for r in results.values())
    stock = ", ".join(f"{k} {len(v)} {stock_proof(config, layout, v)}" for k, v in kinds.items())
    return f"| {name} | {len(free)} | {wrong} | {idle} | {stock} | {sensitive} | {left} | {seconds:.1f} |"


def stock_proof(config: Mapping[str, Any], layout: Layout, axes: Sequence[Axis]) -> str:
    """"=", "-" or "DIFFERS" for all axes of one kind at once."""
    try:
        error, changed = stock_error(config, layout, axes, max(1, min(a.size for a in axes) // 2))
    except PenjingError:
        return "-"
    return "DIFFERS" if error > 1e-6 else "=" if changed else "idle"


def main(names: list[str]) -> None:
    """Print the header and one line per family, as each is done."""
    print("| model | free | graph: wrong | idle | stock and pattern, by kind | sensitive | uncut | seconds |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in names or list(ZOO):
        print(row(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
