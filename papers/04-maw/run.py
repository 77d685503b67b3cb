"""MAW (arXiv:2512.22671): does its order of criteria hold on another trained model with gated MLPs?

`python -m papers.04-maw.run [OUT]` plays MAW, VOW, PON, the L2 norm and random choice as `papers.tournament` does, and
shares its OUT/losses.json (default out/tournament): what is there is not run again. `--write` keeps the figures in
expected.json.
"""

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from papers.expected import record
from papers.tournament.run import DRAWS, KEEP, WINDOWS, Field, Losses, figure, per_window, play

from penjing.cli.console import progress_bar
from penjing.maths.bootstrap import bootstrap
from penjing.maths.holm import holm

WHO = Field(candidates=("maw", "vow", "pon", "l2_rows", "random"), seeds=3)
PAIRS = (("vow", "maw"), ("l2_rows", "vow"), ("pon", "vow"), ("l2_rows", "maw"), ("pon", "maw"), ("random", "maw"))
"""(said to be worse, said to be better); of random the paper says nothing."""


def perplexities(found: Losses) -> dict[str, dict[str, Any]]:
    """Text and keep -> candidate -> perplexity, of random the lowest and highest seed too."""
    out: dict[str, dict[str, Any]] = {}
    for text in texts(found):
        out[f"{text} 1"] = {"whole": figure(torch.tensor(found[f"whole|1|0|{text}"]).double().mean().exp())}
        for keep in KEEP:
            row = out[f"{text} {keep:g}"] = {}
            for name in WHO.candidates:
                own = per_window(found, WHO, name, keep, text)
                row[name] = figure(own.mean().exp())
                if len(own) > 1:
                    row[f"{name}, seeds"] = [figure(v) for v in sorted(own.mean(1).exp())]
    return out


def texts(found: Losses) -> list[str]:
    """The names of the held-out texts."""
    return sorted({k.rsplit("|", 1)[1] for k in found})


def ratios(found: Losses) -> dict[str, dict[str, Any]]:
    """Text, keep and pair -> ratio of perplexities, its 95 % interval, paired by window, and p by Holm over all."""
    out: dict[str, dict[str, Any]] = {}
    for text in texts(found):
        for keep in KEEP:
            for worse, better in PAIRS:
                gap = [per_window(found, WHO, n, keep, text).mean(0) for n in (worse, better)]
                drawn = bootstrap(
                    (gap[0] - gap[1])[:, None], lambda s: s[..., 0] / WINDOWS,
                    generator=torch.Generator().manual_seed(0), draws=DRAWS,
                )  # fmt: skip
                out[f"{text} {keep:g} {worse} : {better}"] = {
                    "ratio": figure(math.exp(drawn.value)),
                    "interval": [figure(math.exp(v)) for v in drawn.interval()],
                    "p": drawn.p(),
                }
    for row, p in zip(out.values(), holm([r.pop("p") for r in out.values()]), strict=True):
        row["p_holm"] = figure(p)
    return out


def readings(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, bool]:
    """Which of the paper's orderings hold: the ratio is above 1 and p, after Holm, below 0.05."""
    return {key: row["ratio"] > 1 and row["p_holm"] < 0.05 for key, row in rows.items()}


def main() -> None:
    """Play what is left, print the figures; `--write` keeps them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=Path("out/tournament"))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with progress_bar() as progress:
        found = play(given.out, WHO, progress)
    pairs = ratios(found)
    facts = {"windows of each text": WINDOWS, "seeds of random": WHO.seeds}
    told = {**facts, "perplexities": perplexities(found), "ratios": pairs, "holds": readings(pairs)}
    print(json.dumps(told, indent=1))
    record(__file__, told, write=given.write)


if __name__ == "__main__":
    main()
