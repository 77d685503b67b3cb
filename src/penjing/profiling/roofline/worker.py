"""The process that is timed to know a machine: `python -m penjing.profiling.roofline.worker SETTINGS`.

SETTINGS is one JSON object: threads, cpus, dtype. It answers one JSON line {"seconds": [least]} for each request of
`points`, and ends when its input ends.
"""

import gc
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from penjing.profiling.worker import answering

_COARSE = 2e-4
"""Seconds that a stretch between two readings of the clock should take at least."""


def least(run: Callable[[], Any], seconds: float) -> float:
    """The least seconds of one run, seen over some time and five stretches at least; the first runs do not count."""
    run()
    begun = time.perf_counter()
    run()
    inner = max(1, round(_COARSE / max(time.perf_counter() - begun, 1e-7)))
    best, stretches, until = float("inf"), 0, time.perf_counter() + seconds
    while stretches < 5 or time.perf_counter() < until:
        begun = time.perf_counter()
        for _ in range(inner):
            run()
        best = min(best, (time.perf_counter() - begun) / inner)
        stretches += 1
    return best


def linear(asked: Mapping[str, Any], dtype: Any) -> float:
    """Seconds of the products with all of the weights."""
    import torch

    x = torch.randn(asked["rows"], asked["inputs"]).to(dtype)
    # One tensor for all weights is quick to make; each weight is a contiguous part of it.
    weights = list(torch.empty(asked["count"], asked["outputs"], asked["inputs"], dtype=dtype).uniform_(-0.1, 0.1))
    before = torch.get_num_threads()
    torch.set_num_threads(asked["threads"] or before)
    apply = torch.nn.functional.linear

    def run() -> None:
        for w in weights:
            apply(x, w)

    try:
        return least(run, asked["for"])
    finally:
        torch.set_num_threads(before)


def attention(asked: Mapping[str, Any], dtype: Any) -> float:
    """Seconds of one fused attention."""
    import torch

    heads, width = asked["heads"], asked["width"]
    q = torch.randn(1, heads, asked["queries"], width).to(dtype)
    k, v = (torch.randn(1, heads, asked["keys"], width).to(dtype) for _ in range(2))
    causal = asked["queries"] == asked["keys"] > 1
    return least(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal), asked["for"])


def stock(asked: Mapping[str, Any], dtype: Any) -> float:
    """Seconds of one pass or step of a random stock model."""
    import torch

    from penjing.layouts.config.stock import build
    from penjing.profiling.speed.jobs import decode, fill, prefill, prepare

    torch.manual_seed(0)
    module = build(asked["config"], device="cpu").to(dtype)
    loaded = prepare(module, "cpu", asked["tokens"], asked["tokens"])
    loaded.cache = fill(loaded)
    job, repeats = (prefill, 1) if asked["what"] == "prefill" else (decode, 8)
    best, until = float("inf"), time.perf_counter() + asked["for"]
    job(loaded, repeats)
    while time.perf_counter() < until or best == float("inf"):
        best = min(best, *job(loaded, repeats))
    return best


_JOBS = {"linear": linear, "attention": attention, "stock": stock}


def serve(lines: IO[str], out: IO[str], settings: Mapping[str, Any]) -> None:
    """Answer each request line until the input ends."""
    import torch

    torch.set_num_threads(settings["threads"])
    torch.set_flush_denormal(True)  # threads take this over from the one that makes them: before the first product
    dtype = getattr(torch, settings["dtype"])
    _say(out, {"torch": torch.__version__})
    with torch.inference_mode():
        gc.disable()
        for line in lines:
            asked = json.loads(line)
            _say(out, {"seconds": [_JOBS[asked["job"]](asked, dtype)]})


def _say(out: IO[str], value: Mapping[str, Any]) -> None:
    out.write(json.dumps(value) + "\n")
    out.flush()


def main() -> None:
    """Serve over stdin and stdout."""
    settings = json.loads(sys.argv[1])
    serve(sys.stdin, answering(settings), settings)


if __name__ == "__main__":
    main()
