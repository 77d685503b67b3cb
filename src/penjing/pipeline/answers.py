"""The same prompts answered by every model, greedily: what people look at first."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from penjing.errors import DataError
from penjing.evaluate.scoring import REFUSALS
from penjing.running.stock import tokenizer

PROMPTS = (
    "The capital of France is",
    "Water boils when",
    "Once upon a time, an old gardener",
    "To make a good cup of tea, first",
)
NEW_TOKENS = 24
"""Tokens of each answer at most."""


def answers(module: nn.Module, folder: Path, prompts: Sequence[str] = PROMPTS) -> tuple[str, ...]:
    """What a model goes on with after each prompt, its most likely tokens; empty where it cannot.

    The reader of the `folder` splits the prompts, at most 64 tokens of each.
    """
    generate: Any = getattr(module, "generate", None)
    try:
        reader: Any = tokenizer(folder)
    except DataError:
        return ()
    if generate is None:
        return ()
    out = []
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    for prompt in prompts:
        ids = torch.as_tensor(reader(prompt)["input_ids"][:64], device=device)[None]
        if not ids.numel():
            return ()
        more: dict[str, Any] = {"attention_mask": torch.ones_like(ids), "max_new_tokens": NEW_TOKENS}
        ending = reader.eos_token_id
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of settings for drawing, where nothing is drawn
                found = generate(input_ids=ids, do_sample=False, num_beams=1, pad_token_id=ending or 0, **more)[0]
        except REFUSALS:
            return ()  # a model that does not go on with text shows none
        begins = found[: ids.shape[1]].tolist() == ids[0].tolist()
        out.append(reader.decode(found[ids.shape[1] :] if begins else found, skip_special_tokens=True))
    return tuple(out)


def as_table(found: Mapping[str, Sequence[str]], prompts: Sequence[str] = PROMPTS) -> list[dict[str, Any]]:
    """For a report's provenance: each prompt with the answers of all models, where every model has some."""
    if not found or not all(found.values()):
        return []
    return [
        {"prompt": prompt, "answers": {name: said[i] for name, said in found.items()}}
        for i, prompt in enumerate(prompts)
    ]
