"""Tokenizers, built by transformers from plain files only."""

from pathlib import Path
from typing import Any


def load_tokenizer(folder: Path, gguf: str | None = None) -> Any:
    """The tokenizer in a folder, or in the GGUF file `gguf` of that folder, without running code from it."""
    from transformers import AutoTokenizer

    more = {} if gguf is None else {"gguf_file": gguf}
    return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True, **more)
