"""One model in a process of its own, timed on request: `python -m penjing.evaluate.worker SETTINGS`.

SETTINGS is one JSON object: folder, device, dtype, threads, cpus, tokens, context. The worker loads the model with
the stock loader, warms up and answers one JSON line for each JSON line it reads; it ends when its input ends. All
other output goes to stderr.
"""

import copy
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from penjing.errors import MeasureError
from penjing.evaluate.loading import load, stock_class
from penjing.evaluate.memory import AnonymousPeak, forget_peak, resident


@dataclass
class Loaded:
    """A model with its inputs, and how to wait until the device has done its work."""

    module: Any
    inputs: Mapping[str, Any]
    context: Any
    step: Any
    wait: Callable[[], None]


def prepare(module: Any, device: str, tokens: int, context: int) -> Loaded:
    """Random inputs that suit the module, and a context for decoding when it generates.

    Raises:
        MeasureError: the module takes neither tokens nor images, or has too few positions.
    """
    import torch

    from penjing.evaluate.scoring import max_positions

    generator = torch.Generator().manual_seed(0)
    wait: Callable[[], None] = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(
        device.split(":")[0], lambda: None
    )
    kind = getattr(module, "main_input_name", "input_ids")
    if kind == "pixel_values":
        return Loaded(module, {"pixel_values": _image(module, generator).to(device)}, None, None, wait)
    if kind != "input_ids":
        raise MeasureError(f"the model takes '{kind}'; speed is measured for models of input_ids or pixel_values")
    positions = max_positions(module)
    if positions is not None and max(tokens, context + 32) > positions:
        raise MeasureError(
            f"speed was asked for {tokens} tokens and a context of {context} (and 32 new ones), the model has "
            f"{positions} positions; choose fewer"
        )
    vocabulary = int(module.config.get_text_config().vocab_size)
    ids = torch.randint(vocabulary, (1, max(tokens, context)), generator=generator).to(device)
    held, step = (ids[:, :context], ids[:, :1]) if module.can_generate() else (None, None)
    return Loaded(module, {"input_ids": ids[:, :tokens]}, held, step, wait)


def _image(module: Any, generator: Any) -> Any:
    import torch

    size = getattr(module.config, "image_size", 224)
    height, width = (size, size) if isinstance(size, int) else (size[0], size[1])
    dtype = next(module.parameters()).dtype
    channels = getattr(module.config, "num_channels", 3)
    return torch.rand(1, channels, height, width, generator=generator).to(dtype)


def prefill(loaded: Loaded, repeats: int) -> list[float]:
    """Seconds of each of `repeats` forward passes, batch 1, logits of all positions, cache filled."""
    cached = {"use_cache": True} if loaded.context is not None else {}
    out = []
    for _ in range(repeats):
        loaded.wait()
        start = time.perf_counter()
        loaded.module(**loaded.inputs, **cached)
        loaded.wait()
        out.append(time.perf_counter() - start)
    return out


def fill(loaded: Loaded) -> Any:
    """A real cache that holds the context."""
    from transformers import DynamicCache

    cache = DynamicCache(config=loaded.module.config)
    loaded.module(input_ids=loaded.context, past_key_values=cache, use_cache=True)
    return cache


def decode(loaded: Loaded, cache: Any, repeats: int) -> list[float]:
    """Seconds of each of `repeats` one-token steps on a copy of `cache`; a first step before them is not timed."""
    cache = copy.deepcopy(cache)
    out = []
    for i in range(repeats + 1):
        loaded.wait()
        start = time.perf_counter()
        loaded.module(input_ids=loaded.step, past_key_values=cache, use_cache=True)
        loaded.wait()
        if i:
            out.append(time.perf_counter() - start)
    return out


def start(settings: Mapping[str, Any]) -> tuple[Loaded, Any, dict[str, Any]]:
    """Load, run once and say what memory that took: the model, its filled cache, and the greeting."""
    import torch
    import transformers

    device = settings["device"]
    torch.set_num_threads(settings["threads"])
    torch.set_flush_denormal(True)  # numbers near zero would slow some weights and not others
    transformers.utils.logging.disable_progress_bar()
    on_gpu = device.startswith("cuda")
    _warm(torch)
    stock_class(Path(settings["folder"]))  # importing its code is not the model's memory
    forget_peak()
    before = resident()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    with AnonymousPeak() as anonymous:
        module = load(Path(settings["folder"]), device, settings["dtype"])
        loaded = prepare(module, device, settings["tokens"], settings["context"])
        prefill(loaded, 1)
        cache = fill(loaded) if loaded.context is not None else None
    greeting = {
        "decodes": loaded.context is not None,
        "images": "pixel_values" in loaded.inputs,
        "dtype": str(next(module.parameters()).dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "memory": {
            "before": before["now"],
            "peak": resident()["peak"],
            "anonymous_before": before["anonymous"],
            "anonymous_peak": anonymous.bytes,
            "device_peak": torch.cuda.max_memory_allocated(device) if on_gpu else None,
        },
    }
    return loaded, cache, greeting


def _warm(torch: Any) -> None:
    """Let the matrix library set up its own buffers and threads before memory is counted."""
    torch.nn.functional.linear(torch.ones(64, 64), torch.ones(64, 64))


def serve(lines: IO[str], out: IO[str], settings: Mapping[str, Any]) -> None:
    """Answer each request line until the input ends."""
    import torch

    with torch.inference_mode():
        loaded, cache, greeting = start(settings)
        _answer(out, greeting)
        gc.collect()
        gc.disable()  # a collection inside a timed pass would be counted as the model's
        for line in lines:
            asked = json.loads(line)
            seconds = (
                prefill(loaded, asked["repeats"])
                if asked["job"] == "prefill"
                else decode(loaded, cache, asked["repeats"])
            )
            _answer(out, {"seconds": seconds})


def _answer(out: IO[str], value: Mapping[str, Any]) -> None:
    out.write(json.dumps(value) + "\n")
    out.flush()


def main() -> None:
    """Pin the process, keep stdout for answers alone, and serve."""
    settings = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity") and settings["cpus"]:
        os.sched_setaffinity(0, settings["cpus"])
    os.environ["HF_HUB_OFFLINE"] = "1"
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    serve(sys.stdin, out, settings)


if __name__ == "__main__":
    main()
