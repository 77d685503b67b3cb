"""What the cuts of run.py are after a short healing: the same places, the same rows, the order once more.

`python -m papers.31-llm-drop.healed OUT [--write]`. Each model is made, healed on the logits of the whole one, and
judged; what was measured lies in OUT and is not measured again.
"""

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from papers.assets.healing import losses, training_text
from papers.assets.smollm2 import CALIBRATION, figures, judge
from papers.expected import record

import penjing
from penjing.core import Budget, Plan
from penjing.core.places import cache_folder
from penjing.running.source import as_folder

WAYS = (
    ("4 blocks", "blocks"), ("4 blocks", "neurons"), ("4 blocks", "attention"), ("4 blocks", "MLPs"),
    ("7 blocks", "blocks, a stretch"), ("7 blocks", "neurons"),
)  # fmt: skip
PAIRS = (
    ("4 blocks, MLPs", "4 blocks, neurons"), ("4 blocks, MLPs", "4 blocks, blocks"),
    ("4 blocks, attention", "4 blocks, neurons"), ("7 blocks, blocks, a stretch", "4 blocks, neurons"),
)  # fmt: skip
"""Held against each other row by row."""
TURNED = " : ".join(PAIRS[0])
STAGES = ("cut", "healed")
TOKENS = 32_768
CHARACTERS = 1_000_000


def one(out: Path, name: str, order: tuple[str, Budget, Mapping[str, Any]], of: Any, text: Path) -> dict[str, Any]:
    """The losses of a cut and of its healed model, row by row, and what healing used."""
    path = out / f"{name}.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    method, budget, settings = order
    dense, cut, healed = as_folder(of.source, cache_folder()), out / f"{name}, cut", out / f"{name}, healed"
    if not cut.exists():
        data = penjing.Data(**CALIBRATION)
        penjing.shrink(dense, cut, method=method, budget=budget, settings=settings, data=data, measure=False)
    if not healed.exists():
        how = penjing.Heal(method="logits", tokens=TOKENS, texts=(str(text),), teacher=str(dense))
        penjing.heal(cut, healed, how=how, measure=False)
    found = {"cut": losses(cut, of.rows).tolist(), "healed": losses(healed, of.rows).tolist()}
    path.write_text(json.dumps(found), encoding="utf-8")
    print(name, "done", file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Cut, heal, judge, print, and keep with --write."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    run: Any = importlib.import_module("papers.31-llm-drop.run")
    of = judge(run.ROWS, run.LENGTH)
    whole = of.losses(Plan())
    matrices = sum(p.numel() for p in of.module.get_submodule("model.layers.0").parameters() if p.dim() == 2)
    asked = run.orders(matrices, of.costs(Plan()).after.parameters)
    text = training_text(out, CHARACTERS)
    rows: dict[str, dict[str, Any]] = {}
    found: dict[str, Any] = {"rows": 2 * run.ROWS, "tokens": 2 * run.ROWS * run.LENGTH, "trained tokens": TOKENS}
    for size, way in WAYS:
        name = f"{size}, {way}"
        told = one(out, name, asked[size][way], of, text)
        rows[name] = {stage: torch.tensor(told[stage], dtype=torch.float64) for stage in STAGES}
        gaps = [float(rows[name][stage].mean() - whole.mean()) for stage in STAGES]
        each = {stage: figures(rows[name][stage], whole) for stage in STAGES}
        found[name] = {**each, "gap left": run.round4(gaps[1] / gaps[0])}
    found["over"] = {
        f"{a} : {b}": {stage: figures(rows[a][stage], rows[b][stage]) for stage in STAGES} for a, b in PAIRS
    }
    (low, high), (after_low, after_high) = (found["over"][TURNED][stage]["interval"] for stage in STAGES)
    turned = high < 1 < after_low or after_high < 1 < low
    found["readings"] = {f"{TURNED}: which loses less stays the same": not turned}
    print(json.dumps(found, indent=1))
    record(str(Path(__file__).with_name("run.py")), found, write="--write" in sys.argv, part="healed")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
