"""Width by MAW with penjing: open, derive the layout, plan, verify, stream."""

import time
from pathlib import Path
from typing import Any

import torch  # noqa: F401
import transformers.models.llama.modeling_llama  # noqa: F401  (both loaded before the clock starts, as for the rival)
from figures import forgotten, main, measured

from penjing.core import Budget, Stats, View
from penjing.io import open_checkpoint
from penjing.layouts import from_config
from penjing.methods import METHODS
from penjing.surgery import stream, verify


def job(told: dict[str, Any]) -> dict[str, Any]:
    """`model`, `out`, `keep`, `cold` -> the figures; the folder is written and synced."""
    if told["cold"]:
        forgotten(told["model"])
    with measured() as out, open_checkpoint(told["model"]) as checkpoint:
        start = time.perf_counter()
        layout = from_config(checkpoint.config, stored=checkpoint.shapes)
        out["layout_seconds"] = time.perf_counter() - start
        method = METHODS.build("maw", {"multiple": 1})
        plan = method.plan(View(checkpoint, layout, Stats(), Budget(keep=told["keep"])))
        verified = verify(checkpoint, layout, plan)
        stream(checkpoint, layout, plan, Path(told["out"]), verified=verified)
    return {**out, "width": verified.config["intermediate_size"]}


main(job)
