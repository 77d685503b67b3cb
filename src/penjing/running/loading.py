"""A module from a folder, by the stock loader."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penjing.core.spec import opens_with
from penjing.errors import CheckpointError, PenjingError
from penjing.io import open_checkpoint
from penjing.io.recorded import folder_config
from penjing.io.shards import read_config as config_in
from penjing.layouts.config.layers import mix_in
from penjing.layouts.config.stock import class_of, read_config
from penjing.models import of_type
from penjing.nn import MARK, fill_in

DRAWS = "_init_weights"
"""How stock models draw weights, and fill buffers that are not stored, when they are opened."""
COUNTERS = "num_batches_tracked"
"""Buffers that older files lack, as torch bears: they begin at zero, and nothing but training reads them."""
SHOWN = 3


def stock_class(folder: Path) -> Any:
    """The class of transformers that the config in a folder names; its code is imported, nothing is loaded.

    Raises:
        CheckpointError: the folder has no config, or transformers does not know its class.
    """
    import transformers

    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has no config.json; name a folder that holds a whole checkpoint")
    config = config_in(folder)
    ours = of_type(str(config.get("model_type")))
    if ours is not None:
        return ours.Model
    named = config.get("architectures") or []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise CheckpointError(
            f"{folder / 'config.json'} has 'architectures' {named!r:.80}, and a list of names was needed"
        )
    loader: Any = getattr(transformers, named[0], None) if named else transformers.AutoModel
    if not hasattr(loader, "from_pretrained"):
        raise CheckpointError(f"transformers {transformers.__version__} has no model class '{named[0]}'; update it")
    return loader


def load(folder: Path, device: str, dtype: Any) -> Any:
    """The module in a folder, by the stock class that its config names, in evaluation mode on the device.

    Every place must have its tensor in the files, of its shape, but for those that the stock class fills itself.
    Modules that the folder's `penjing.json` puts in the place of stock ones are in it; then every tensor of the files
    must have its place, too.

    Raises:
        CheckpointError: the folder has no config, or transformers does not know its class, or its record was changed,
            or a file cannot be read, or tensors are missing or of another shape.
        PenjingError: a module is of no known kind, or does not fit its place.
    """
    loader = stock_class(folder)
    config = folder_config(folder)
    with without_bars():
        if opens_with(config) != "stock":
            return _with_modules(loader, folder, config, dtype).eval().to(device)
        return _read(loader, folder, dtype=dtype).eval().to(device)


def _read(loader: Any, folder: Path, *, strict: bool = False, **how: Any) -> Any:
    """What the stock loader makes of a folder, with nothing drawn at random; if `strict`, with nothing left over."""
    try:
        module, found = loader.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True, **how
        )
    except (PenjingError, ImportError, MemoryError):
        raise
    except Exception as error:  # each format of files and each config class has errors of its own
        open_checkpoint(folder).close()  # says which file is wrong, and how, where one is
        line = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
        raise CheckpointError(f"{folder} cannot be loaded as {loader.__name__}: {line}") from error
    _check(folder, type(module).__name__, found, strict=strict)
    return module


def _check(folder: Path, name: str, found: Mapping[str, Any], *, strict: bool) -> None:
    """Refuse a module that has in it what its files do not hold: stock loaders draw that at random."""
    missing = sorted(n for n in found["missing_keys"] if not n.endswith(COUNTERS))
    extra = sorted(found["unexpected_keys"])
    others = sorted(found["mismatched_keys"])
    if others:
        said = _few([f"{n} is {list(here)} in the file and {list(wanted)} by the config" for n, here, wanted in others])
        raise CheckpointError(
            f"{folder} has {len(others)} tensors of other shapes than {name} needs: {said}; use the config that the "
            "weights belong to"
        )
    if missing:
        more = f", and has {len(extra)} that have no place there ({_few(extra)})" if extra else ""
        where = "config.json and penjing.json" if extra else "config.json"
        raise CheckpointError(
            f"{folder} lacks {len(missing)} of the tensors that {name} needs: {_few(missing)}{more}; get the whole "
            f"folder again, with the {where} that the weights belong to"
        )
    if extra and strict:
        raise CheckpointError(
            f"{folder} has {len(extra)} tensors unexpected ({_few(extra)}); get the whole folder again"
        )


def _few(names: list[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


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
    module = _read(kind, folder, strict=True, config=read_config(config), dtype=dtype)
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
