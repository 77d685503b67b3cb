"""A model before its weights are opened: what its headers, its config and its layout tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.core import Layout
from penjing.errors import CheckpointError
from penjing.io import Contents, read_contents
from penjing.io.json_config import config_of_text
from penjing.layouts import from_config, load_layout

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Name, config and layout of a model, and what its files hold: None for a bare config."""

    name: str
    config: Mapping[str, Any]
    layout: Layout
    contents: Contents | None


def outline(
    model: "str | Path | nn.Module", *, example: Any = None, table: Path | None = None, revision: str | None = None
) -> Outline:
    """As `resolve`, but no weights are opened: neither torch nor transformers is needed where the layout is cached.

    Raises:
        CheckpointError: the model cannot be read.
        LayoutError: its axes cannot be derived, or the table does not fit.
    """
    if not isinstance(model, str | Path):
        from penjing.running.of_module import layout_of

        contents = read_contents(model)
        layout = load_layout(table) if table else layout_of(model, example)
        return Outline(name=type(model).__name__, config=contents.config, layout=layout, contents=contents)
    bare = bare_config(Path(model))
    contents = read_contents(model, revision=revision) if bare is None else None
    config = contents.config if contents is not None else bare or {}
    if table:
        layout = load_layout(table)
    else:
        check_config(model, config)
        layout = _derived(model, config, contents, revision)
    return Outline(name=str(model), config=config, layout=layout, contents=contents)


def _derived(
    model: "str | Path", config: Mapping[str, Any], contents: Contents | None, revision: str | None
) -> Layout:
    try:
        return from_config(config, stored=None if contents is None else contents.shapes)
    except CheckpointError:
        if contents is not None:  # names the cause, where codes lie under other names or shapes
            from penjing.io import open_checkpoint, refuse_quantised

            refuse_quantised(open_checkpoint(model, revision=revision), str(model))
        raise


def check_config(model: str | Path, config: Mapping[str, Any]) -> None:
    """See that there is a config.

    Raises:
        CheckpointError: there is none, so that nothing can be derived.
    """
    if not config:
        raise CheckpointError(
            f"{model} has weights but no config, so its computation is unknown; "
            "put its config.json beside it, or build the module in Python and call penjing.shrink(module, example=...)"
        )


def bare_config(path: Path) -> dict[str, Any] | None:
    """The config, if `path` is a config file or a folder that holds no weights.

    Raises:
        CheckpointError: it is not JSON, or no table.
    """
    if path.is_dir():
        has_weights = any(path.glob("*.safetensors*")) or any(path.glob("*.bin*")) or any(path.glob("*.gguf"))
        path = path / "config.json"
        if has_weights or not path.is_file():
            return None
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not JSON ({error}); name the model's config.json") from error
    return config_of_text(text, path)
