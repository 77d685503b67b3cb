"""Whether the stored numbers of a checkpoint are weights, or codes that mean something only with a second tensor."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch

from penjing.core import Checkpoint
from penjing.errors import CheckpointError

ENTRIES = ("quantization_config", "compression_config")
"""Entries of a config, or of a config in it, that name a quantisation."""

FACTS = {"bits": "bits", "fmt": "format", "format": "format", "group_size": "group size"}

CODES = tuple(
    found
    for name in ("int8", "uint8", "int16", "uint16", "int32", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2",
                 "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2")
    if (found := getattr(torch, name, None)) is not None
)  # fmt: skip
"""Types that codes are stored in. Tables of positions are int64, masks bool."""

PARTNERS = ("scale", "absmax", "zero", "scb", "codebook", "quant_map", "quant_state", "qmap")
"""Parts of the names of tensors that codes are decoded with."""

UNSEEN = "though no tensor in the files looks like it"

STOCK = {
    "fp8": "quantization_config=FineGrainedFP8Config(dequantize=True)",
    "mxfp4": "quantization_config=Mxfp4Config(dequantize=True)",
    "compressed-tensors": "quantization_config=CompressedTensorsConfig(dequantize=True)",
}
"""How transformers 5 is told to decode while it loads."""


def quantisation(checkpoint: Checkpoint) -> str:
    """What a checkpoint's weights are quantised by, from its config or its tensors; empty where they are numbers."""
    named = _named(checkpoint.config)
    name, other = coded(checkpoint.dtypes) or ("", "")
    seen = f"{name} is {str(checkpoint.dtypes[name]).removeprefix('torch.')} beside {other}" if name else ""
    return "; ".join(filter(None, (_told(named), seen or (UNSEEN if named else ""))))


def coded(dtypes: Mapping[str, torch.dtype]) -> tuple[str, str] | None:
    """The first tensor that holds codes, and one that decodes it: of the same module, or named after it."""
    homes: dict[str, list[str]] = defaultdict(list)
    for name in dtypes:
        homes[name.rpartition(".")[0]].append(name)
    for name, dtype in dtypes.items():
        home, _, last = name.rpartition(".")
        if dtype in CODES and not _decodes(last):
            for other in (*homes[home], *homes.get(name, ())):
                if _decodes(other.rpartition(".")[2]):
                    return name, other
    return None


def refuse_quantised(checkpoint: Checkpoint, source: str) -> None:
    """Make sure that the stored numbers are weights, which can be compared and cut.

    Raises:
        CheckpointError: they are quantised; it names by what, and says how they are decoded.
    """
    if quantisation(checkpoint):
        raise CheckpointError(f"{source} {refusal(checkpoint)}")


def refusal(checkpoint: Checkpoint) -> str:
    """Why a quantised checkpoint is not cut, and what to do."""
    ways = decoded(checkpoint)
    found = quantisation(checkpoint)
    if found.endswith(UNSEEN):
        ways += ", or take the entry out of its config.json if its weights are plain numbers"
    return (
        f"is quantised ({found}), and a cut would part codes from what decodes them; {ways}, or name the checkpoint "
        f"that it was made from"
    )


def decoded(checkpoint: Checkpoint) -> str:
    """What decodes a quantised checkpoint, as one is told to do it."""
    method = str(_named(checkpoint.config).get("quant_method", "")).lower()
    how = ""
    if method == "bitsandbytes":
        how = "from_pretrained(...).dequantize()"
    elif method in STOCK:
        how = f"from_pretrained(..., {STOCK[method]})"
    if not how:
        return "dequantise it first"
    return f"dequantise it first, in transformers by {how} and save_pretrained(..., save_original_format=False)"


def _named(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The quantisation that a config tells of, or one in it."""
    for table in (config, *(v for v in config.values() if isinstance(v, Mapping))):
        for entry in ENTRIES:
            if isinstance(table.get(entry), Mapping) and table[entry]:
                return table[entry]
    return {}


def _told(named: Mapping[str, Any]) -> str:
    if not named:
        return ""
    facts = [f"{word} {named[k]}" for k, word in FACTS.items() if isinstance(named.get(k), str | int)]
    facts += [w for k, w in (("load_in_4bit", "4 bits"), ("load_in_8bit", "8 bits")) if named.get(k) is True]
    if isinstance(named.get("weight_block_size"), list):
        facts.append("blocks of " + " x ".join(map(str, named["weight_block_size"])))
    return ", ".join([str(named.get("quant_method") or "quantization_config"), *facts])


def _decodes(last: str) -> bool:
    return any(part in last.lower() for part in PARTNERS)
