"""A module from a folder, by the stock loader."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penjing.core.spec import opens_with
from penjing.errors import CheckpointError
from penjing.io.recorded import folder_config
from penjing.layouts.config.layers import mix_in
from penjing.layouts.config.stock import class_of, read_config
from penjing.models import of_type
from penjing.nn import MARK, fill_in

DRAWS = "_init_weights"
"""How stock models draw weights, and fill buffers that are not stored, when they are opened."""


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

    Modules that the folder's `penjing.json` puts in the place of stock ones are in it; then every tensor of the files
    must have its place, and every place its tensor.

    Raises:
        CheckpointError: the folder has no config, or transformers does not know its class, or its record was changed.
        PenjingError: a module is of no known kind, or does not fit its place.
    """
    loader = stock_class(folder)
    config = folder_config(folder)
    if opens_with(config) != "stock":
        with without_bars():
            return _with_modules(loader, folder, config, dtype).eval().to(device)
    with without_bars():
        return loader.from_pretrained(folder, dtype=dtype, local_files_only=True).eval().to(device)


def _with_modules(loader: Any, folder: Path, config: Mapping[str, Any], dtype: Any) -> Any:
    """The stock loader's model, built with other modules in it and then loaded as any other is."""
    stock = class_of(config)

    def init(self: Any, settings: Any, *args: Any, **kwargs: Any) -> None:
        stock.__init__(self, settings, *args, **kwargs)
        fill_in(mix_in(self, config, lambda c: stock(read_config(c))), config, strict=True)
        for part in self.modules():
            if hasattr(part, DRAWS):
                setattr(part, DRAWS, _careful(getattr(part, DRAWS)))

    names = {"__module__": stock.__module__, "__qualname__": stock.__qualname__, "__init__": init}
    kind: Any = type(stock.__name__, (stock,), names)
    try:
        module, found = kind.from_pretrained(
            folder, config=read_config(config), dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except (RuntimeError, ValueError, OSError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
        raise CheckpointError(f"{folder} cannot be loaded as {stock.__name__} with its modules: {line}") from error
    for what in ("missing", "unexpected", "mismatched"):
        wrong = sorted(str(name) for name in found.get(f"{what}_keys", ()))
        if wrong:
            few = ", ".join(wrong[:3])
            found_ = f"{len(wrong)} tensors {what} (such as {few})"
            raise CheckpointError(f"{folder} has {found_}; get the whole folder again")
    module.__class__ = stock
    for part in module.modules():
        vars(part).pop(DRAWS, None)
    return module


def _careful(draw: Callable[[Any], None]) -> Callable[[Any], None]:
    """Drawing of weights that bears a module without the weight that stock code looks for: all come from the files."""

    def drawn(module: Any) -> None:
        try:
            draw(module)
        except AttributeError:
            if not any(hasattr(part, MARK) for part in module.modules()):
                raise

    return drawn


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
