"""What each figure is called, which way is better, and what a figure predicts another."""

import re
from dataclasses import dataclass
from typing import Literal

from penjing.report import formats

Better = Literal["lower", "higher", "unknown"]
Group = Literal["size", "quality", "time", "other"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a figure is spoken of. `less` and `more` are the words of a headline; `rank` is its place in a table."""

    label: str
    better: Better
    group: Group
    rank: int
    less: str = ""
    more: str = ""


KINDS: dict[str, Kind] = {
    "parameters": Kind(
        label="Parameters", better="lower", group="size", rank=0, less="fewer parameters", more="more parameters"
    ),
    "bytes": Kind(
        label="Size on disk", better="lower", group="size", rank=1, less="smaller on disk", more="larger on disk"
    ),
    "weight_bytes": Kind(label="Size of the weights", better="lower", group="size", rank=2),
    "macs_per_token": Kind(label="Multiply-adds per token", better="lower", group="size", rank=3),
    "macs_per_image": Kind(label="Multiply-adds per image", better="lower", group="size", rank=3),
    "macs_per_sample": Kind(label="Multiply-adds per sample", better="lower", group="size", rank=3),
    "macs": Kind(label="Multiply-adds", better="lower", group="size", rank=3),
    "kv_cache_bytes_per_token": Kind(label="KV cache per token", better="lower", group="size", rank=4),
    "perplexity": Kind(label="Perplexity", better="lower", group="quality", rank=10),
    "bits_per_byte": Kind(label="Bits per byte", better="lower", group="quality", rank=11),
    "loss": Kind(label="Loss", better="lower", group="quality", rank=12),
    "accuracy": Kind(label="Accuracy", better="higher", group="quality", rank=13),
    "divergence": Kind(label="Divergence from the original", better="lower", group="quality", rank=14),
    "agreement": Kind(label="Same next token as the original", better="higher", group="quality", rank=15),
    "sparsity": Kind(label="Share of weights that are zero", better="unknown", group="size", rank=6),
    "depth": Kind(label="Blocks", better="unknown", group="size", rank=7),
    "ece": Kind(label="Calibration error", better="lower", group="quality", rank=18),
    "mce": Kind(label="Mean corruption error", better="lower", group="quality", rank=19),
    "cka": Kind(label="Likeness of features to the original (CKA)", better="higher", group="quality", rank=17),
    "decode_seconds_per_token": Kind(
        label="Time per generated token",
        better="lower",
        group="time",
        rank=20,
        less="less time per generated token",
        more="more time per generated token",
    ),
    "first_token_seconds": Kind(label="Time to the first token", better="lower", group="time", rank=22),
    "batch_tokens_per_second": Kind(label="Tokens per second, batched", better="higher", group="time", rank=23),
    "images_per_second": Kind(label="Images per second", better="higher", group="time", rank=23),
    "joules_per_token": Kind(label="Energy per token", better="lower", group="time", rank=27),
    "joules_per_image": Kind(label="Energy per image", better="lower", group="time", rank=27),
    "joules_per_pass": Kind(label="Energy per pass", better="lower", group="time", rank=27),
    "seconds_per_sample": Kind(
        label="Time per sample",
        better="lower",
        group="time",
        rank=21,
        less="less time per sample",
        more="more time per sample",
    ),
    "forward_seconds": Kind(
        label="Time of one pass",
        better="lower",
        group="time",
        rank=22,
        less="less time per pass",
        more="more time per pass",
    ),
    "prefill_seconds": Kind(
        label="Time to read the prompt",
        better="lower",
        group="time",
        rank=23,
        less="less time to read the prompt",
        more="more time to read the prompt",
    ),
    "peak_memory_bytes": Kind(label="Peak memory", better="lower", group="time", rank=30),
}

PREDICTORS: dict[str, tuple[tuple[str, ...], str]] = {
    "decode_seconds_per_token": (("weight_bytes", "bytes"), "bytes of the weights"),
    "prefill_seconds": (("macs_per_token", "macs"), "multiply-adds"),
    "seconds_per_sample": (("macs_per_sample", "macs_per_image", "macs"), "multiply-adds"),
    "forward_seconds": (("macs_per_sample", "macs_per_image", "macs_per_token", "macs"), "multiply-adds"),
}
"""Time -> the figures whose ratio predicts its ratio (the first that is there), and what to call them."""
AGAINST = frozenset({"divergence", "agreement", "cka"})
"""Figures that are taken against the original, which so has none of its own."""
DIFFERENCE = "_difference"
"""The end of the name of a comparison among a report's ratios."""
LOWER = frozenset({"error", "ece", "brier", "divergence", "fooled", "attack", "flipped", "unanswered", "truncated"})
"""Words in the name of a share that is better when low."""
NAMES = {
    "arc": "ARC", "cka": "CKA", "ece": "ECE", "gsm8k": "GSM8K", "hellaswag": "HellaSwag", "ifeval": "IFEval",
    "lambada": "LAMBADA", "mc1": "MC1", "mc2": "MC2", "mmlu": "MMLU", "musr": "MuSR", "piqa": "PIQA", "qa": "QA",
    "strategyqa": "StrategyQA", "truthfulqa": "TruthfulQA", "winogrande": "WinoGrande", "iqa": "IQA",
}  # fmt: skip
"""Words of names as their makers write them."""


def is_ratio(name: str) -> bool:
    """Whether a measurement among a report's ratios is a ratio, and not a comparison or a class."""
    return not name.endswith((DIFFERENCE, "_class", "_trend", "_sweep", "_correlation"))


def spoken(name: str) -> str:
    """A name as words: `IFEval: strict` of `ifeval:strict`."""
    flat = re.sub(r":\s*", ": ", name.replace("_", " ").replace(".", " \u00b7 "))
    parts = [(w.rstrip(":"), ":" if w.endswith(":") else "") for w in flat.split(" ")]
    label = " ".join(NAMES.get(word.lower(), word) + tail for word, tail in parts)
    return label[:1].upper() + label[1:]


def stem(name: str) -> str:
    """The known name a figure's name begins with (`perplexity` of `perplexity.rolling`), or the name itself."""
    if name in KINDS:
        return name
    fitting = [k for k in KINDS if name.startswith(k) and not name[len(k)].isalnum()]
    return max(fitting, key=len) if fitting else name


def kind(name: str, unit: str = "") -> Kind:
    """How to speak of the figure of this name; an unknown one is spoken of by its name and unit."""
    known = KINDS.get(stem(name))
    if known is not None:
        rest = name[len(stem(name)) :].strip("._-: ()").split(":")[0].replace("_", " ")
        label = f"{known.label} ({rest})" if rest else known.label
        return Kind(
            label=label, better=known.better, group=known.group, rank=known.rank, less=known.less, more=known.more
        )
    label = spoken(name)
    base = unit.split("/")[0].split(" per ")[0].strip().lower()
    if base in formats.SECONDS:
        return Kind(
            label=label,
            better="lower",
            group="time",
            rank=25,
            less=f"less {label.lower()}",
            more=f"more {label.lower()}",
        )
    if base in formats.BYTES or base in formats.COUNTS:
        return Kind(label=label, better="lower", group="size", rank=5)
    if "accuracy" in name.lower() or base == "accuracy":
        return Kind(label=label, better="higher", group="quality", rank=16)
    if formats.is_share(base):
        low = LOWER & set(re.split(r"[^a-z0-9]+", name.lower()))
        return Kind(label=label, better="lower" if low else "higher", group="quality", rank=16)
    return Kind(label=label, better="unknown", group="other", rank=40)
