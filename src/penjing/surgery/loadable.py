"""What stock loaders are known to refuse: a table, and the words that explain it before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penjing.core import Layout


@dataclass(frozen=True, kw_only=True)
class Divides:
    """Stock code of these model types refuses a count of heads that does not divide the width."""

    model_types: tuple[str, ...]
    heads: str
    width: str


DIVIDES = (
    Divides(
        model_types=("llama", "gemma2", "arcee", "aria_text", "deepseek_v2", "clip_text_model", "clip_vision_model"),
        heads="num_attention_heads",
        width="hidden_size",
    ),
    Divides(model_types=("opt",), heads="num_attention_heads", width="hidden_size"),
    Divides(model_types=("gpt2",), heads="n_head", width="n_embd"),
    Divides(model_types=("gpt_neox",), heads="num_attention_heads", width="hidden_size"),
)
"""Found by building each type with transformers 5.23: llama, gemma2, opt, gpt2 and gpt_neox refuse; see `ANY_HEADS`."""

ANY_HEADS = ("qwen2", "qwen3", "mistral", "phi")
"""Types tried that open with a count of heads that does not divide the width."""

SAME_WEIGHTS = {"llama": ("mistral", "MistralForCausalLM")}
"""Type that refuses -> one of `ANY_HEADS`, and its class, that computes the same from the same tensors where there are
no biases and no window."""

BIASES = ("attention_bias", "mlp_bias")

ONE_WIDTH = ("llama", "qwen3")
"""Types tried whose config can tell a width per layer (`per_layer_config`), but whose model cannot be built from it."""


def refusal(config: Mapping[str, Any], *, step: int = 1) -> str:
    """Why stock code will not open this config, with the nearest counts that it opens; empty if nothing is known.

    Only counts in steps of `step` can be made.
    """
    kind = str(config.get("model_type", ""))
    for rule in DIVIDES:
        heads, width = config.get(rule.heads), config.get(rule.width)
        if kind in rule.model_types and isinstance(heads, int) and isinstance(width, int) and width % heads:
            near = nearest_counts(heads, width, step)
            refused = f"{kind} refuses {heads} heads with {rule.width} {width}; nearest that opens: {near}"
            return refused + _otherwise(config)
    if config.get("per_layer_config") and kind in ONE_WIDTH:
        return f"{kind} cannot be built with widths that differ per layer; give all layers one width"
    return ""


def _otherwise(config: Mapping[str, Any]) -> str:
    """The type that holds any count, if one computes the same."""
    other = SAME_WEIGHTS.get(str(config.get("model_type", "")))
    if other is None or any(config.get(b) for b in BIASES):
        return ""
    return (
        f"; with model_type '{other[0]}', architectures ['{other[1]}'], sliding_window null and head_dim in its "
        "config.json the model computes the same, and any count opens"
    )


def nearest_counts(heads: int, width: int, step: int = 1) -> str:
    """The counts next below and above, in steps of `step`, that divide the width, "6 or 8".

    >>> nearest_counts(7, 576)
    '6 or 8'
    >>> nearest_counts(9, 96, 3)
    '6 or 12'
    """
    fits = [n for n in range(step, width + 1, step) if width % n == 0] or [width]
    below = [n for n in fits if n < heads]
    above = [n for n in fits if n > heads]
    return " or ".join(str(n) for n in (*below[-1:], *above[:1]))


def heads_after(config: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The config with its count of heads times `factor`: what a plan on heads asks of it, before it is proved."""
    kind = str(config.get("model_type", ""))
    for rule in DIVIDES:
        if kind in rule.model_types and isinstance(config.get(rule.heads), int):
            return {**config, rule.heads: round(config[rule.heads] * factor)}
    return dict(config)


def heads_factor(layout: Layout, sizes: Mapping[str, int]) -> float:
    """By how much the query heads of the most cut block shrink at these sizes: heads times queries per head."""
    factors: dict[str, float] = {}
    for axis in layout.axes.values():
        if axis.kind in {"heads", "queries"} and axis.name in sizes:
            block = axis.name.partition(".")[2]
            factors[block] = factors.get(block, 1.0) * sizes[axis.name] / axis.size
    return min(factors.values(), default=1.0)


def heads_step(layout: Layout, sizes: Mapping[str, int]) -> int:
    """In what steps query heads can go at these sizes: whole groups, or one of each group where queries go.

    1 where both go, or neither does.
    """
    steps = set()
    for axis in layout.axes.values():
        other = {"heads": "queries", "queries": "heads"}.get(axis.kind)
        if other is not None and sizes.get(axis.name, axis.size) < axis.size:
            whole = layout.axes.get(".".join([other, *axis.name.split(".")[1:]]))
            uncut = whole is not None and sizes.get(whole.name, whole.size) == whole.size
            steps.add(whole.size if whole is not None and uncut else 1)
    return steps.pop() if len(steps) == 1 else 1


def opens(config: Mapping[str, Any], layout: Layout, sizes: Mapping[str, int]) -> bool:
    """Whether nothing is known against these sizes of axes, all others whole."""
    return not refusal(heads_after(config, heads_factor(layout, sizes)))
