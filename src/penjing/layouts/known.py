"""The layout of a config: read from the cache, which needs neither torch nor transformers, or else derived."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from penjing.core import Layout
from penjing.layouts import cache as kept

Shapes = Mapping[str, tuple[int, ...]]


def from_config(config: Mapping[str, Any], *, stored: Shapes | None = None, cache: bool = True) -> Layout:
    """The layout of the stock transformers model of a config, derived without weights.

    With `stored`, the names and shapes in a checkpoint's files, patterns are given under those names.

    Raises:
        CheckpointError: the config cannot be built, or does not belong to the stored tensors.
        LayoutError: the model cannot be traced, or no example of its inputs is known.
    """
    name = kept.key(config, stored) if cache else ""
    found = kept.read(name) if cache else None
    if found is not None:
        return found
    with _collector_at_rest():
        layout = _derived(config, stored, cache=cache)
    if cache:
        kept.write(name, layout)
    return layout


def _derived(config: Mapping[str, Any], stored: Shapes | None, *, cache: bool) -> Layout:
    if stored is None:
        from penjing.layouts.derive import of_config

        return of_config(config, cache=cache)
    from penjing.layouts.config.stock import build, full_config
    from penjing.layouts.config.stored import under_stored

    return under_stored(from_config(config, cache=cache), build(full_config(config)), stored)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """No search for garbage meanwhile: imports and traces make objects that stay, and it took a tenth of their time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
