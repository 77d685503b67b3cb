"""The stock transformers model of a config, without weights."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from penjing.errors import CheckpointError, PenjingError, nearest
from penjing.layouts.config.layers import mix_in
from penjing.models import of_type
from penjing.nn import fill_in


def build(config: Mapping[str, Any], *, device: str = "meta") -> nn.Module:
    """The model that stock transformers code makes of a config, in eval mode, float32, without its weights.

    Modules that the config puts in the place of others are in it. The class is the first of `architectures`, or else
    the bare model of `model_type`. Experts are computed in one batch, so that the graph can be traced. No code
    from outside transformers is ever run.

    Raises:
        CheckpointError: the type or class is unknown, or the stock code refuses the config.
        PenjingError: a module that the config names is of no known kind, or does not fit its place.
    """
    settings = read_config(config)
    import transformers

    with quiet(), torch.device(device):
        kind = _class(config, settings)
        try:
            module = mix_in(_make(kind, settings).eval(), config, lambda c: _make(kind, read_config(c)).eval())
        except PenjingError:
            raise
        except Exception as error:
            name = getattr(kind, "__name__", str(kind))
            raise CheckpointError(
                f"transformers {transformers.__version__} cannot build {name} from this config: {_line(error)}; "
                f"correct the config"
            ) from error
        fill_in(module, config)
        moved = any(t.device.type != device for t in module.state_dict().values())
        return module.to(device) if moved else module


def read_config(config: Mapping[str, Any]) -> Any:
    """The transformers config object of plain data, validated as a stock reader would.

    Raises:
        CheckpointError: `model_type` is missing or unknown, or a value is refused.
    """
    kind = config.get("model_type")
    if not kind:
        raise CheckpointError("the config has no 'model_type'; add the entry that transformers knows the model by")
    from transformers import CONFIG_MAPPING

    if kind not in CONFIG_MAPPING and of_type(str(kind)) is None:
        raise CheckpointError(
            f"the installed transformers knows no model type '{kind}'{nearest(str(kind), CONFIG_MAPPING.keys())}; "
            "code inside a checkpoint is never run: install a version that has it, or use penjing.layouts.from_module"
        )
    plain = copy.deepcopy({k: v for k, v in config.items() if k != "quantization_config"})
    try:
        with quiet():
            return CONFIG_MAPPING[kind].from_dict(plain)
    except Exception as error:
        raise CheckpointError(
            f"transformers refuses this '{kind}' config: {_line(error)}; correct the config"
        ) from error


def full_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as plain data with every default and derived entry written out.

    Raises:
        CheckpointError: as `read_config`.
    """
    out = read_config(config).to_dict()
    if config.get("architectures"):
        out["architectures"] = list(config["architectures"])
    return out


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own messages below errors while the block runs."""
    import logging as levels

    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity(levels.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def class_of(config: Mapping[str, Any]) -> Any:
    """The class of transformers whose model a config is of.

    Raises:
        CheckpointError: the type or class is unknown.
    """
    kind = _class(config, read_config(config))
    return kind[0] if isinstance(kind, tuple) else kind


def _class(config: Mapping[str, Any], settings: Any) -> Any:
    import transformers

    names = config.get("architectures") or ()
    ours = of_type(settings.model_type)
    if ours is not None:
        return ours.Model
    if names:
        found = getattr(transformers, names[0], None)
        if found is None:
            known = [n for n in dir(transformers) if (n[0].isupper() and "For" in n) or n.endswith("Model")]
            raise CheckpointError(
                f"the installed transformers has no class '{names[0]}'{nearest(names[0], known)}; "
                "correct 'architectures' in the config, or install a version that has it"
            )
        return found
    try:
        return transformers.MODEL_MAPPING[type(settings)]
    except KeyError as error:
        raise CheckpointError(
            f"transformers has no bare model for '{settings.model_type}'; name the class in the config's "
            f"'architectures'"
        ) from error


def _make(kind: Any, settings: Any) -> nn.Module:
    kind = kind[0] if isinstance(kind, tuple) else kind
    options: dict[str, Any] = {"dtype": torch.float32}
    if kind._can_set_experts_implementation():
        options["experts_implementation"] = "batched_mm"
    return kind._from_config(settings, **options)


def _line(error: BaseException) -> str:
    lines = [x.strip() for x in str(error).splitlines() if x.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")
