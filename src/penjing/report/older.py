"""Reports of schemas 1 and 2, whose figures did not say what they are called nor which way is better.

What was guessed of a figure's name and unit then is guessed here, so that their pages stay as they were. Nothing else
asks this file, and nothing is added to it.
"""

import re
from dataclasses import dataclass, replace

from penjing.core import Measurement
from penjing.core.report import Better, Group
from penjing.report import formats
from penjing.report.figures import NAMES, spoken


@dataclass(frozen=True)
class _Known:
    label: str
    better: Better
    group: Group


_KNOWN = {
    "parameters": _Known("Parameters", "lower", "size"),
    "bytes": _Known("Size on disk", "lower", "size"),
    "weight_bytes": _Known("Size of the weights", "lower", "size"),
    "macs_per_token": _Known("Multiply-adds per token", "lower", "size"),
    "macs_per_image": _Known("Multiply-adds per image", "lower", "size"),
    "macs_per_sample": _Known("Multiply-adds per sample", "lower", "size"),
    "macs": _Known("Multiply-adds", "lower", "size"),
    "kv_cache_bytes_per_token": _Known("KV cache per token", "lower", "size"),
    "perplexity": _Known("Perplexity", "lower", "quality"),
    "bits_per_byte": _Known("Bits per byte", "lower", "quality"),
    "loss": _Known("Loss", "lower", "quality"),
    "accuracy": _Known("Accuracy", "higher", "quality"),
    "divergence": _Known("Divergence from the original", "lower", "quality"),
    "agreement": _Known("Same next token as the original", "higher", "quality"),
    "sparsity": _Known("Share of weights that are zero", "", "size"),
    "depth": _Known("Blocks", "", "size"),
    "ece": _Known("Calibration error", "lower", "quality"),
    "mce": _Known("Mean corruption error", "lower", "quality"),
    "cka": _Known("Likeness of features to the original (CKA)", "higher", "quality"),
    "decode_seconds_per_token": _Known("Time per generated token", "lower", "time"),
    "first_token_seconds": _Known("Time to the first token", "lower", "time"),
    "batch_tokens_per_second": _Known("Tokens per second, batched", "higher", "time"),
    "images_per_second": _Known("Images per second", "higher", "time"),
    "joules_per_token": _Known("Energy per token", "lower", "time"),
    "joules_per_image": _Known("Energy per image", "lower", "time"),
    "joules_per_pass": _Known("Energy per pass", "lower", "time"),
    "seconds_per_sample": _Known("Time per sample", "lower", "time"),
    "forward_seconds": _Known("Time of one pass", "lower", "time"),
    "prefill_seconds": _Known("Time to read the prompt", "lower", "time"),
    "peak_memory_bytes": _Known("Peak memory", "lower", "time"),
}
_NAMES = {
    **NAMES, "arc": "ARC", "gsm8k": "GSM8K", "hellaswag": "HellaSwag", "mmlu": "MMLU", "piqa": "PIQA",
    "truthfulqa": "TruthfulQA", "winogrande": "WinoGrande",
}  # fmt: skip
_LOWER = frozenset({"error", "ece", "brier", "divergence", "fooled", "attack", "flipped", "unanswered", "truncated"})


def labelled(figure: Measurement) -> Measurement:
    """The figure as it would say today what it is called, which way is better and what it tells of."""
    found = _kind(figure.name, figure.unit)
    told = figure.details.get("better")
    group = "quality" if told in ("lower", "higher") and found.group == "other" else found.group
    better: Better = "lower" if told == "lower" else "higher" if told == "higher" else found.better
    return replace(figure, label=found.label, better=better, group=group)


def _kind(name: str, unit: str) -> _Known:
    fitting = [k for k in _KNOWN if name == k or (name.startswith(k) and not name[len(k)].isalnum())]
    if fitting:
        known = _KNOWN[max(fitting, key=len)]
        rest = name[len(max(fitting, key=len)) :].strip("._-: ()").split(":")[0].replace("_", " ")
        return replace(known, label=f"{known.label} ({rest})" if rest else known.label)
    label, base = spoken(name, _NAMES), unit.split("/")[0].split(" per ")[0].strip().lower()
    if base in formats.SECONDS:
        return _Known(label, "lower", "time")
    if base in formats.BYTES or base in formats.COUNTS:
        return _Known(label, "lower", "size")
    if "accuracy" in name.lower() or base == "accuracy":
        return _Known(label, "higher", "quality")
    if formats.is_share(base):
        low = _LOWER & set(re.split(r"[^a-z0-9]+", name.lower()))
        return _Known(label, "lower" if low else "higher", "quality")
    return _Known(label, "", "other")
