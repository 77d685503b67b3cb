"""Architectures of penjing's own, one file each. Nothing here imports one: the folder is the registry.

A file defines `Config` (a `PreTrainedConfig`), `Model` (a `PreTrainedModel`) and `CARD`. They save, load, train and
generate as any model of transformers does, once `enrol` has told transformers of them.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from penjing.core.architecture import Architecture
from penjing.core.registry import Registry
from penjing.core.spec import opens_with
from penjing.errors import PenjingError, nearest


def _wrong(module: ModuleType) -> str:
    if not isinstance(getattr(module, "CARD", None), Architecture):
        return "has no CARD; its file must define CARD = Architecture(...)"
    missing = [name for name in ("Config", "Model") if not isinstance(getattr(module, name, None), type)]
    if missing:
        return f"defines no {' and no '.join(missing)}; a model is its Config and its Model"
    kind, name = getattr(module.Config, "model_type", ""), module.__name__.rpartition(".")[2]
    if module.__name__.startswith("penjing.") and kind != name:
        return f"has model_type '{kind}'; give its Config the file's name, '{name}'"
    return ""


MODELS: Registry[Any] = Registry("penjing.models", kind="model", check=_wrong)
"""Every architecture, by its file's name; others add theirs by the entry-point group of this folder's name."""


def create(name: str, size: str, **settings: Any) -> Any:
    """A model of a named size with fresh weights, in evaluation mode; `settings` change entries of its config.

    Raises:
        PenjingError: there is no such architecture or size, or a setting is refused.
    """
    file = MODELS.load(name)
    enrol(name)
    try:
        return file.Model(file.Config(**{**sized(file.CARD, size), **settings})).eval()
    except (TypeError, ValueError) as error:
        raise PenjingError(f"model '{name}' cannot be made: {error}; correct the setting") from error


def sized(card: Architecture, size: str) -> dict[str, Any]:
    """The entries of a size.

    Raises:
        PenjingError: there is none of this name.
    """
    if size not in card.sizes:
        known = ", ".join(card.sizes)
        raise PenjingError(f"{card.title} has no size '{size}'{nearest(size, card.sizes)}; it has {known}")
    return dict(card.sizes[size])


def enrol(name: str) -> None:
    """Tell transformers of an architecture, so that its Auto classes open folders of it.

    Raises:
        PenjingError: there is no such architecture.
    """
    import transformers

    file = MODELS.load(name)
    transformers.AutoConfig.register(file.Config.model_type, file.Config, exist_ok=True)
    for auto in ("AutoModel", *file.CARD.auto):
        getattr(transformers, auto).register(file.Config, file.Model, exist_ok=True)


def of_type(model_type: str) -> ModuleType | None:
    """The architecture whose configs have this `model_type`, told to transformers; None if it is none of ours.

    Raises:
        PenjingError: its file cannot be imported.
    """
    if model_type not in MODELS.names():
        return None
    enrol(model_type)
    return MODELS.load(model_type)


def opener(config: Mapping[str, Any]) -> str:
    """What opens a model of this config: "stock" loaders, or "penjing" where it is of an architecture that is here."""
    return "penjing" if config.get("model_type") in MODELS.names() else opens_with(config)
