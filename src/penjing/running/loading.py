"""A module from a folder, by the stock loader."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penjing.errors import CheckpointError
from penjing.models import of_type


def stock_class(folder: Path) -> Any:
    """The class of transformers that the config in a folder names; its code is imported, nothing is loaded.

    Raises:
        CheckpointError: the folder has no config, or transformers does not know its class.
    """
    import transformers

    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{folder} has no config.json; name a folder that holds a whole checkpoint")
    config = json.loads(path.read_text(encoding="utf-8"))
    ours = of_type(str(config.get("model_type")))
    if ours is not None:
        return ours.Model
    named = config.get("architectures") or []
    loader: Any = getattr(transformers, named[0], None) if named else transformers.AutoModel
    if loader is None:
        raise CheckpointError(f"transformers {transformers.__version__} has no model class '{named[0]}'; update it")
    return loader


def load(folder: Path, device: str, dtype: Any) -> Any:
    """The module in a folder, by the stock class that its config names, in evaluation mode on the device.

    Raises:
        CheckpointError: the folder has no config, or transformers does not know its class.
    """
    loader = stock_class(folder)
    with without_bars():
        return loader.from_pretrained(folder, dtype=dtype, local_files_only=True).eval().to(device)


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep transformers' own progress bars away while the block runs; penjing shows its own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
