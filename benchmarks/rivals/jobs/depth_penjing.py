"""Blocks left out with penjing: a plan that keeps the others, verified and streamed."""

import time
from pathlib import Path
from typing import Any

import torch  # noqa: F401
import transformers.models.llama.modeling_llama  # noqa: F401  (all loaded before the clock starts, as for the rival)
from figures import forgotten, main, measured

import penjing.layouts.config.hold
import penjing.layouts.derive
import penjing.surgery.result_config  # noqa: F401
from penjing.core import Keep, Plan
from penjing.io import open_checkpoint
from penjing.layouts import from_config
from penjing.surgery import stream, verify


def job(told: dict[str, Any]) -> dict[str, Any]:
    """`model`, `out`, `drop`, `cold` -> the figures; the folder is written and synced."""
    if told["cold"]:
        forgotten(told["model"])
    with measured() as out, open_checkpoint(told["model"]) as checkpoint:
        start = time.perf_counter()
        layout = from_config(checkpoint.config, stored=checkpoint.shapes)
        out["layout_seconds"] = time.perf_counter() - start
        blocks = layout.blocks[0]
        first = (blocks.size - told["drop"]) // 2
        kept = (*range(first), *range(first + told["drop"], blocks.size))
        plan = Plan((Keep(blocks.axis, kept),))
        verified = verify(checkpoint, layout, plan)
        stream(checkpoint, layout, plan, Path(told["out"]), verified=verified)
    return {**out, "blocks": len(kept)}


main(job)
