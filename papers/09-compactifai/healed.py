"""What a short healing gives back of chains and of singular values: run.py's five blocks at 0.6, the same rows.

`python -m papers.09-compactifai.healed OUT [--write] [--only NAME]`. Each model is made, healed as it stands on the
logits of the whole one, and judged; what was measured lies in OUT and is not measured again.
"""

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from papers.assets.healing import losses, training_text
from papers.assets.smollm2 import CALIBRATION, Judge, figures, judge, round_
from papers.expected import record
from torch import Tensor

import penjing
from penjing.core import Plan
from penjing.core.places import cache_folder
from penjing.running.source import as_folder

KEEP, TOKENS, CHARACTERS = 0.6, 32_768, 1_000_000


def one(out: Path, name: str, of: Judge) -> dict[str, Any]:
    """The losses of a factored model and of its healed one, row by row, and what they hold."""
    path = out / f"{name}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    run: Any = importlib.import_module("papers.09-compactifai.run")
    method, settings = run.METHODS[name]
    dense, cut, after = as_folder(of.source, cache_folder()), out / f"{name}, cut", out / f"{name}, healed"
    if not cut.exists():
        penjing.shrink(
            dense, cut, method=method, keep=KEEP, settings={"tensors": run.BLOCKS, **settings},
            data=penjing.Data(**CALIBRATION), measure=False,
        )  # fmt: skip
    if not after.exists():
        how = penjing.Heal(
            method="logits", tokens=TOKENS, texts=(str(training_text(out, CHARACTERS)),), teacher=str(dense),
        )  # fmt: skip
        penjing.heal(cut, after, how=how, measure=False)
    found = {
        "cut": losses(cut, of.rows).tolist(), "healed": losses(after, of.rows).tolist(),
        "numbers": sum(p.numel() for p in penjing.load(after).parameters()),
    }  # fmt: skip
    path.write_text(json.dumps(found), encoding="utf-8")
    print(name, "done", file=sys.stderr, flush=True)
    return found


def told(rows: Mapping[str, Any], whole: Tensor, numbers: int) -> dict[str, Any]:
    """Figures before and after, the share of the gap in nats that is left, and bytes of either width of numbers."""
    each = {stage: torch.tensor(rows[stage], dtype=torch.float64) for stage in ("cut", "healed")}
    cut, after = (each[stage].mean() - whole.mean() for stage in ("cut", "healed"))
    share = rows["numbers"] / numbers
    memory = {"float32, of float32": share, "bfloat16, of float32": share / 2, "bfloat16, of bfloat16": share}
    return {
        **{stage: figures(found, whole) for stage, found in each.items()}, "gap left": round_(after / cut),
        "memory": {k: round_(v) for k, v in memory.items()},
    }  # fmt: skip


def readings(table: Mapping[str, Any]) -> dict[str, bool]:
    """What this asks, of the rows that there are."""
    out = {f"7 {name}: healing gives back half of the gap": each["gap left"] <= 0.5 for name, each in table.items()}
    if chains := table.get("chains"):
        for name, other in table.items():
            if name != "chains":
                out[f"8 healed, chains lose less than {name}"] = chains["healed"]["times"] < other["healed"]["times"]
    return out


def main() -> None:
    """Factor, heal, judge, print, and keep with --write."""
    out, only = Path(sys.argv[1]), sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
    out.mkdir(parents=True, exist_ok=True)
    run: Any = importlib.import_module("papers.09-compactifai.run")
    of = judge(run.ROWS, run.LENGTH)
    whole, numbers = of.losses(Plan()), of.costs(Plan()).after.parameters
    asked = [n for n in run.METHODS if not only or n == only]
    done = {n: one(out, n, of) for n in run.METHODS if n in asked or (out / f"{n}.json").is_file()}
    table = {n: told(rows, whole, numbers) for n, rows in done.items()}
    found = {
        "rows": 2 * run.ROWS, "tokens": 2 * run.ROWS * run.LENGTH, "trained tokens": TOKENS, "seeds": 1,
        "table": table, "readings": readings(table),
    }  # fmt: skip
    print(json.dumps(found, indent=1))
    record(str(Path(__file__).with_name("run.py")), found, write="--write" in sys.argv, part="healed")


if __name__ == "__main__":
    main()
