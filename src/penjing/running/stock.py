"""Opening a folder with the stock loader of its home library."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from penjing.errors import CheckpointError, DataError
from penjing.io.shards import read_config


def load(folder: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> nn.Module:
    """The model in a folder, in evaluation mode, built by transformers from the class its config names.

    `dtype` None keeps the stored one. No code of the folder's own is run.

    Raises:
        CheckpointError: the folder has no config, or transformers does not know the model, or a file cannot be read, or
            tensors are missing or of another shape.
    """
    from penjing.running import loading  # brings all of that room, which a plan from the cache does not need

    return loading.load(Path(folder), str(device), dtype or "auto")


def architecture(folder: str | Path) -> str:
    """The class that a folder's config names first, or an empty string.

    Raises:
        CheckpointError: there is no config, or it is not JSON.
    """
    if not (Path(folder) / "config.json").is_file():
        raise CheckpointError(f"{folder} has no config.json; name a folder that holds a whole checkpoint")
    named = read_config(Path(folder)).get("architectures") or [""]
    return str(named[0])


def tokenizer(folder: str | Path) -> Any:
    """The tokenizer that lies in a folder.

    Raises:
        DataError: there is none, or it knows nothing but special tokens.
    """
    from transformers import AutoTokenizer

    needed = "copy tokenizer.json and tokenizer_config.json there"
    try:
        found = AutoTokenizer.from_pretrained(str(folder))
        known = set(found.get_vocab()) - set(found.all_special_tokens)
    except Exception as error:  # each class of tokenizers has errors of its own for files that it misses
        raise DataError(f"{folder} has no tokenizer that transformers can read; {needed}") from error
    if not known:
        raise DataError(f"{folder} has a tokenizer without words, as is made where its files are missing; {needed}")
    return found
