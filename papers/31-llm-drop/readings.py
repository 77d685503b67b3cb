"""What the paper and its spec claim, in so far as the figures tell: each a sentence and whether it holds."""

import math
from collections.abc import Mapping
from typing import Any


def of_cuts(found: Mapping[str, Any]) -> dict[str, bool]:
    """Sentence -> whether it holds; the number in front is that of the claim."""
    table, number = found["equal bytes"], found["equal number"]
    out: dict[str, bool] = {}
    for n in (1, 2, 4, 8):
        attention, mlp = (math.log(number[f"{n} {kind}"]["times"]) for kind in ("attention", "mlp"))
        out[f"1 {n} left out: attention costs at most half of what MLPs cost, in nats"] = attention <= mlp / 2
    for size, row in table.items():
        if "attention" in row:
            times = {w: row[w]["times"] for w in row}
            out[f"2 at the bytes of {size}: attention costs less than MLPs"] = times["attention"] < times["MLPs"]
            out[f"2 at the bytes of {size}: attention costs less than blocks"] = times["attention"] < times["blocks"]
        alone = [row[w]["times"] for w in ("attention", "MLPs") if w in row]
        out[f"3 at the bytes of {size}: both in one ranking cost no more than the better alone"] = (
            row["both"]["times"] <= min(alone) * 1.001
        )
        out[f"5 at the bytes of {size}: neurons cost less than whole blocks"] = (
            row["neurons"]["times"] < row["blocks"]["times"]
        )
    for kind in ("attention", "mlp"):
        drawn = [math.log(number[f"4 {kind}, drawn {seed}"]["times"]) for seed in range(found["seeds"])]
        mean = sum(drawn) / len(drawn)
        out[f"4 four {kind}: the most similar cost less than the mean of draws, in nats"] = (
            math.log(number[f"4 {kind}"]["times"]) < mean
        )
    out["9 eight attentions left out cost at most 5 % in perplexity"] = number["8 attention"]["times"] <= 1.05
    return out


def of_choice(found: Mapping[str, Any]) -> dict[str, bool]:
    """The same of how well the similarity chooses."""
    once, other = found["at once"], found["otherwise"]
    out = {
        f"5 {kind}: dissimilarity follows the loss of each alone, rank correlation above 0.6": (
            ranks["rank correlation, all"] > 0.6
        )
        for kind, ranks in found["alone"].items()
    }
    for name, row in once.items():
        without = other[f"{name}, no residual"]["times"]
        out[f"6 {name}: ranked with the residual they cost no more than without"] = row["times"] <= without
    out["7 attention ranked at once costs at most 5 % more than one after another"] = (
        once["8 attention"]["times"] <= 1.05 * other["8 attention, one after another"]["times"]
    )
    for text in [t for t in ("speeches", "novel") if t in found["other texts"]]:
        same = found["other texts"][text]["attention"]["same of 8"]
        out[f"8 {text} choose at least 6 of the 8 attentions that the calibration text chooses"] = same >= 6
    return out
