"""What is timed: passes, steps and batches of one loaded model, and where inside it the time goes."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from penjing.errors import MeasureError

ROOM = 32
"""Positions kept free after the context, for the steps."""
DECODER = "decoder_input_ids"
SECONDS, RATE = 10, 16_000
"""Length of a recording for models that take the wave itself, and its samples a second."""


@dataclass
class Loaded:
    """A model with its inputs, and how to wait until the device has done its work.

    `context` [batch tokens] fills the cache and `step` [batch 1] is decoded after it; both None when it does not
    generate. `cache` is the filled cache, once there is one. `what` are the inputs in words, for the protocol.
    Of an encoder with a decoder, `inputs` are the encoder's and the decoder's first token, `encoded` what the encoder
    gives for them. Seconds are those of the `clock`.
    """

    module: Any
    inputs: Mapping[str, Any]
    context: Any
    step: Any
    wait: Callable[[], None]
    cache: Any = None
    what: str = ""
    encoded: Any = None
    clock: Callable[[], float] = time.perf_counter

    @property
    def has_decoder(self) -> bool:
        """Whether tokens go to a decoder that reads what an encoder gave."""
        return DECODER in self.inputs


def prepare(module: Any, device: str, tokens: int, context: int) -> Loaded:
    """Random inputs that suit the module, and a context for decoding when it generates.

    Raises:
        MeasureError: no inputs are known for the module, or it has too few positions.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    wait: Callable[[], None] = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(
        device.split(":")[0], lambda: None
    )
    kind = getattr(module, "main_input_name", "input_ids")
    encodes = getattr(module.config, "is_encoder_decoder", False)
    if kind == "input_ids":
        main, what = _tokens(module, max(tokens, 0 if encodes else context), generator).to(device), f"tokens={tokens}"
    else:
        main = _other(module, kind, generator).to(device, next(module.parameters()).dtype)
        what = "image" if kind == "pixel_values" else f"{kind}={'x'.join(map(str, main.shape[1:]))}"
    if encodes:
        context = _room(module, context)
        ids = _tokens(module, context, generator).to(device)
        inputs = {kind: main, DECODER: ids[:, :1]}
        held, step = (ids, ids[:, :1]) if module.can_generate() else (None, None)
        what = what if held is None else f"{what} context={context}"
        return Loaded(module, inputs, held, step, wait, what=what)
    if kind != "input_ids":
        return Loaded(module, {kind: main}, None, None, wait, what=what)
    _check_positions(module, tokens, context)
    held, step = (main[:, :context], main[:, :1]) if module.can_generate() else (None, None)
    return Loaded(module, {kind: main[:, :tokens]}, held, step, wait, what=f"{what} context={context}")


def _check_positions(module: Any, tokens: int, context: int) -> None:
    from penjing.evaluate.scoring import max_positions

    positions = max_positions(module)
    if positions is not None and max(tokens, context + ROOM) > positions:
        raise MeasureError(
            f"speed was asked for {tokens} tokens and a context of {context} (and {ROOM} new ones), the model has "
            f"{positions} positions; choose fewer"
        )


def _room(module: Any, context: int) -> int:
    """As much of the context as the decoder has positions for, beside the steps."""
    positions = getattr(module.config, "max_target_positions", None)
    return context if positions is None else max(1, min(context, int(positions) - ROOM))


def _tokens(module: Any, count: int, generator: Any) -> Any:
    import torch

    return torch.randint(int(module.config.get_text_config().vocab_size), (1, count), generator=generator)


def _other(module: Any, kind: str, generator: Any) -> Any:
    """One example of an input that is not of tokens.

    Raises:
        MeasureError: none is known of this kind.
    """
    import torch

    from penjing.layouts.graph.inputs import MAKERS

    if kind == "pixel_values":
        return _image(module, generator)
    if kind == "input_values" and hasattr(module.config, "conv_stride"):
        return torch.randn(1, SECONDS * RATE, generator=generator)
    if kind not in MAKERS:
        raise MeasureError(f"the model takes '{kind}'; speed is measured for models of {', '.join(MAKERS)}")
    return MAKERS[kind](module.config, generator)[:1]


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
    many = replace(
        loaded, inputs=inputs, context=loaded.context.repeat(batch, 1), step=loaded.step.repeat(batch, 1), encoded=None
    )
    many.cache = fill(many)
    return many


def prefill(loaded: Loaded, repeats: int) -> list[float]:
    """Seconds of each of `repeats` forward passes, logits of all positions, cache filled."""
    cached = {"use_cache": True} if loaded.context is not None else {}
    return [_timed(loaded, lambda: loaded.module(**loaded.inputs, **cached)) for _ in range(repeats)]


def first_token(loaded: Loaded, repeats: int) -> list[float]:
    """Seconds from a prompt to its first new token, as stock generation does it: logits of the last position only."""
    few = {} if loaded.has_decoder else {"logits_to_keep": 1}

    def run() -> None:
        out = loaded.module(**loaded.inputs, use_cache=True, **few)
        out.logits[:, -1].argmax(-1).tolist()

    return [_timed(loaded, run) for _ in range(repeats)]


def decode(loaded: Loaded, repeats: int) -> list[float]:
    """Seconds of each of `repeats` one-token steps on a copy of the cache; a first step before them is not timed."""
    cache = copy.deepcopy(loaded.cache)
    given = _next(loaded, loaded.step)
    out = [_timed(loaded, lambda: loaded.module(**given, past_key_values=cache)) for _ in range(repeats + 1)]
    return out[1:]


def _next(loaded: Loaded, ids: Any) -> dict[str, Any]:
    """What the module takes for more tokens [batch tokens], beside the cache."""
    if not loaded.has_decoder:
        return {"input_ids": ids, "use_cache": True}
    if loaded.encoded is None:
        loaded.encoded = loaded.module.get_encoder()(*[v for k, v in loaded.inputs.items() if k != DECODER])
    return {DECODER: ids, "encoder_outputs": loaded.encoded, "use_cache": True}


def fill(loaded: Loaded) -> Any:
    """A real cache that holds the context."""
    from transformers import DynamicCache, EncoderDecoderCache

    def empty() -> Any:
        return DynamicCache(config=loaded.module.config)

    cache = EncoderDecoderCache(empty(), empty()) if loaded.has_decoder else empty()
    loaded.module(**_next(loaded, loaded.context), past_key_values=cache)
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
    start = loaded.clock()
    run()
    loaded.wait()
    return loaded.clock() - start
