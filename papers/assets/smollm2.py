"""SmolLM2-135M with rows of text to judge plans on: what a plan makes of each row's loss, without writing a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from penjing.core import Budget, Plan
from penjing.core.places import cache_folder
from penjing.data import read_texts, shipped, windows
from penjing.io.assets import fetch_asset
from penjing.maths.bootstrap import bootstrap
from penjing.planning.order import Order
from penjing.planning.plans import make_plans
from penjing.running.live import Running
from penjing.running.source import Source, as_folder, resolve
from penjing.running.stock import load
from penjing.surgery import Verified, verify

CALIBRATION = {"rows": 16, "length": 128}
"""Of the calibration text that penjing ships; nothing in it is judged on."""
DRAWS = 2000


@dataclass(frozen=True, eq=False)
class Judge:
    """The model in memory, and rows of two texts that no plan has seen: speeches, then a novel, as many of each."""

    source: Source
    module: nn.Module
    rows: Tensor

    def plans(self, orders: Mapping[str, tuple[str, Budget, Mapping[str, Any]]]) -> dict[str, Plan]:
        """Name -> the plan of (method, budget, settings); all share one pass of the calibration text."""
        asked = {
            name: Order(method=method, budget=budget, settings=settings, **CALIBRATION)
            for name, (method, budget, settings) in orders.items()
        }
        return make_plans(self.source, asked, cache=cache_folder(), module=self.module)

    def costs(self, plan: Plan) -> Verified:
        """What the plan makes of sizes and work, exactly."""
        return verify(self.source.weights(), self.source.layout, plan)

    def losses(self, plan: Plan, rows: Sequence[int] | None = None) -> Tensor:
        """[rows] float64: the mean loss of each row in nats per token, of all or of those named."""
        live = Running(self.module, list(self.rows.split(4)), self.source.layout)
        return live.values(plan, examples=rows).double()


def judge(rows: int, length: int) -> Judge:
    """`rows` of `length` tokens of each of the two texts that penjing ships to judge on."""
    source = resolve(fetch_asset("smollm2"))
    folder = as_folder(source, cache_folder())
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [torch.tensor(tokenizer("\n".join(read_texts([p])))["input_ids"]) for p in shipped("evaluation")]
    stored = resolve(folder)
    return Judge(stored, load(folder, dtype=torch.float32), torch.cat([windows(t, length, rows) for t in texts]))


def figures(losses: Tensor, whole: Tensor) -> dict[str, Any]:
    """Perplexity over all rows, and how many times the whole model's, with the 95 % interval over rows, paired."""
    gap = (losses - whole)[:, None]
    drawn = bootstrap(gap, lambda s: s[..., 0] / len(gap), generator=torch.Generator().manual_seed(0), draws=DRAWS)
    times = [float(torch.tensor(v).exp()) for v in (drawn.value, *drawn.interval())]
    half = len(losses) // 2
    each = [round_(part.mean().exp()) for part in (losses[:half], losses[half:])]
    return {
        "perplexity": round_(losses.mean().exp()), "speeches": each[0], "novel": each[1], "times": round_(times[0]),
        "interval": [round_(v) for v in times[1:]],
    }  # fmt: skip


def round_(value: Any) -> float:
    """Five digits."""
    return float(f"{float(value):.5g}")
