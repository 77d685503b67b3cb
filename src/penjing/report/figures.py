"""How a page speaks of figures: in which order, in which words, and what a figure predicts another."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from penjing.core import Measurement
from penjing.core.report import Group
from penjing.report import formats

Better = Literal["lower", "higher", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a figure is spoken of. `less` and `more` are the words of a headline; `rank` is its place in a table."""

    label: str
    better: Better
    group: Group
    rank: int
    less: str = ""
    more: str = ""


RANKS = {
    "parameters": 0, "bytes": 1, "file_bytes": 2, "dtype_bytes": 2, "weight_bytes": 2, "macs_per_token": 3,
    "macs_per_image": 3, "macs_per_sample": 3, "macs": 3, "kv_cache_bytes_per_token": 4, "sparsity": 6, "depth": 7,
    "perplexity": 10, "bits_per_byte": 11, "metric": 9, "loss": 12, "accuracy": 13, "output_difference": 14,
    "divergence": 14, "agreement": 15, "greedy_agreement": 15, "cka": 17, "ece": 18, "mce": 19,
    "decode_seconds_per_token": 20,
    "seconds_per_sample": 21, "first_token_seconds": 22, "forward_seconds": 22, "prefill_seconds": 23,
    "prefill_tokens_per_second": 23, "decode_tokens_per_second": 21,
    "batch_tokens_per_second": 23, "images_per_second": 23, "joules_per_token": 27, "joules_per_image": 27,
    "joules_per_pass": 27, "peak_memory_bytes": 30,
}  # fmt: skip
"""Figures that pages show in a place of their own; others follow those of their group."""
LATER = {"size": 5, "quality": 17, "time": 25, "other": 40}
SHARES = 16
"""Where shares of right answers stand."""
WORDS = {
    "parameters": ("fewer parameters", "more parameters"),
    "bytes": ("smaller on disk", "larger on disk"),
    "forward_seconds": ("less time per pass", "more time per pass"),
}
"""Figure -> what a headline says of less and of more of it, where its label does not do."""

PREDICTORS: dict[str, tuple[tuple[str, ...], str]] = {
    "decode_seconds_per_token": (("weight_bytes", "bytes"), "bytes of the weights"),
    "prefill_seconds": (("macs_per_token", "macs"), "multiply-adds"),
    "seconds_per_sample": (("macs_per_sample", "macs_per_image", "macs"), "multiply-adds"),
    "forward_seconds": (("macs_per_sample", "macs_per_image", "macs_per_token", "macs"), "multiply-adds"),
}
"""Time -> the figures whose ratio predicts its ratio (the first that is there), and what to call them."""
AGAINST = frozenset({"divergence", "agreement", "greedy_agreement", "output_difference", "cka", "block_loss"})
"""Figures that are taken against the original, which so has none of its own."""
DIFFERENCE = "_difference"
"""The end of the name of a comparison among a report's ratios."""
NAMES = {
    "cka": "CKA", "ece": "ECE", "ifeval": "IFEval", "iqa": "IQA", "lambada": "LAMBADA", "mc1": "MC1", "mc2": "MC2",
    "musr": "MuSR", "qa": "QA", "strategyqa": "StrategyQA",
}  # fmt: skip
"""Words of names as their makers write them."""


def is_ratio(name: str) -> bool:
    """Whether a measurement among a report's ratios is a ratio, and not a comparison or a class."""
    return not name.endswith((DIFFERENCE, "_class", "_trend", "_sweep", "_correlation"))


def spoken(name: str, names: Mapping[str, str] = NAMES) -> str:
    """A name as words: `IFEval: strict` of `ifeval:strict`."""
    flat = re.sub(r":\s*", ": ", name.replace("_", " ").replace(".", " \u00b7 "))
    parts = [(w.rstrip(":"), ":" if w.endswith(":") else "") for w in flat.split(" ")]
    label = " ".join(names.get(word.lower(), word) + tail for word, tail in parts)
    return label[:1].upper() + label[1:]


def stem(name: str) -> str:
    """The known name a figure's name begins with (`perplexity` of `perplexity.rolling`), or the name itself."""
    if name in RANKS:
        return name
    fitting = [k for k in RANKS if name.startswith(k) and not name[len(k)].isalnum()]
    return max(fitting, key=len) if fitting else name


def kind(figure: Measurement) -> Kind:
    """How to speak of a figure, as it says itself; one that says nothing is spoken of by its name."""
    label = figure.label or spoken(figure.name)
    less, more = WORDS.get(stem(figure.name), ("", ""))
    if not less and figure.group == "time" and _base(figure) in formats.SECONDS:
        less, more = f"less {label[:1].lower()}{label[1:]}", f"more {label[:1].lower()}{label[1:]}"
    later = SHARES if figure.group == "quality" and formats.is_share(_base(figure)) else LATER[figure.group]
    rank = RANKS.get(stem(figure.name), later)
    return Kind(label=label, better=figure.better or "unknown", group=figure.group, rank=rank, less=less, more=more)


def _base(figure: Measurement) -> str:
    return figure.unit.split("/")[0].split(" per ")[0].strip().lower()
