"""What is timed: passes, steps and batches of one loaded model, and where inside it the time goes."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from penjing.errors import MeasureError

ROOM = 32
"""Positions kept free after the context, for the steps."""


@dataclass
class Loaded:
    """A model with its inputs, and how to wait until the device has done its work.

    `context` [batch tokens] fills the cache and `step` [batch 1] is decoded after it; both None when it does not
    generate. `cache` is the filled cache, once there is one.
    """

    module: Any
    inputs: Mapping[str, Any]
    context: Any
    step: Any
    wait: Callable[[], None]
    cache: Any = None


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
    if positions is not None and max(tokens, context + ROOM) > positions:
        raise MeasureError(
            f"speed was asked for {tokens} tokens and a context of {context} (and {ROOM} new ones), the model has "
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


def at_once(loaded: Loaded, batch: int) -> Loaded:
    """The same model with `batch` copies of its inputs and, when it generates, a cache filled with as many."""
    inputs = {k: v.repeat(batch, *[1] * (v.ndim - 1)) for k, v in loaded.inputs.items()}
    if loaded.context is None:
        return replace(loaded, inputs=inputs)
    many = replace(loaded, inputs=inputs, context=loaded.context.repeat(batch, 1), step=loaded.step.repeat(batch, 1))
    many.cache = fill(many)
    return many


def prefill(loaded: Loaded, repeats: int) -> list[float]:
    """Seconds of each of `repeats` forward passes, logits of all positions, cache filled."""
    cached = {"use_cache": True} if loaded.context is not None else {}
    return [_timed(loaded, lambda: loaded.module(**loaded.inputs, **cached)) for _ in range(repeats)]


def first_token(loaded: Loaded, repeats: int) -> list[float]:
    """Seconds from a prompt to its first new token, as stock generation does it: logits of the last position only."""

    def run() -> None:
        out = loaded.module(**loaded.inputs, use_cache=True, logits_to_keep=1)
        out.logits[:, -1].argmax(-1).tolist()

    return [_timed(loaded, run) for _ in range(repeats)]


def decode(loaded: Loaded, repeats: int) -> list[float]:
    """Seconds of each of `repeats` one-token steps on a copy of the cache; a first step before them is not timed."""
    cache = copy.deepcopy(loaded.cache)
    ids = loaded.step
    out = [
        _timed(loaded, lambda: loaded.module(input_ids=ids, past_key_values=cache, use_cache=True))
        for _ in range(repeats + 1)
    ]
    return out[1:]


def fill(loaded: Loaded) -> Any:
    """A real cache that holds the context."""
    from transformers import DynamicCache

    cache = DynamicCache(config=loaded.module.config)
    loaded.module(input_ids=loaded.context, past_key_values=cache, use_cache=True)
    return cache


def run_for(run: Callable[[int], list[float]], steps: int, seconds: float) -> tuple[int, float]:
    """How many passes or steps were done, and the seconds that took, `seconds` at least.

    Each run is of `steps` steps and the untimed one before them, which counts as work; 0 for a job of single passes.
    """
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        done += len(run(steps or 1)) + (1 if steps else 0)
    return done, time.perf_counter() - begun


def inside(loaded: Loaded, job: Callable[[], Any]) -> dict[str, float]:
    """Module path -> seconds that one run of a job spends in that module and in none of its children.

    Every module is asked to tell when it begins and ends; the times add up to the whole ("" is the outermost).
    """
    own: dict[str, float] = {}
    stack: list[tuple[str, float, float]] = []  # path, begin, seconds in children

    def begin(path: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            loaded.wait()
            stack.append((path, time.perf_counter(), 0.0))

        return hook

    def end(*_: Any) -> None:
        loaded.wait()
        path, start, children = stack.pop()
        took = time.perf_counter() - start
        own[path] = own.get(path, 0.0) + took - children
        if stack:
            above = stack[-1]
            stack[-1] = (above[0], above[1], above[2] + took)

    handles = []
    for path, module in loaded.module.named_modules():
        handles += [module.register_forward_pre_hook(begin(path)), module.register_forward_hook(end)]
    try:
        job()
    finally:
        for handle in handles:
            handle.remove()
    return own


def _timed(loaded: Loaded, run: Callable[[], Any]) -> float:
    loaded.wait()
    start = time.perf_counter()
    run()
    loaded.wait()
    return time.perf_counter() - start
