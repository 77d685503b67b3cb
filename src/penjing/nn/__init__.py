"""Modules that a plan may put in the place of a model's own: one file for each kind.

A file defines what its kind needs to be planned, written, and opened again:

- `Settings`, a frozen dataclass of plain values;
- `AXES`, for each setting that is the size of an axis of its own, the tensor and the dimension that has it;
- `tensors(old, settings)`, its tensors and what their dimensions are made of (see `core.modules`);
- `build(old, settings)`, the module that stands in for `old`, plain torch that exports, with weights of no matter.

Other packages add theirs through the entry-point group `penjing.nn`.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from torch import nn

from penjing.core.modules import axis_name
from penjing.core.registry import Registry
from penjing.core.spec import MODULES, Spec, specs_of, with_specs
from penjing.errors import CheckpointError, PenjingError, nearest


def _check(module: ModuleType) -> str:
    lacking = [name for name in ("tensors", "build") if not callable(getattr(module, name, None))]
    if lacking:
        return f"has no {lacking[0]}(old, settings); define it"
    return "" if isinstance(getattr(module, "AXES", None), Mapping) else "has no table AXES; define it, {} for none"


MARK = "penjing_spec"
"""The attribute that tells what an inserted module is."""
KINDS: Registry[Any] = Registry("penjing.nn", kind="module", attribute="Settings", check=_check)


def kind_of(spec: Spec) -> Any:
    """The file of a spec's kind.

    Raises:
        PenjingError: there is no such kind, or it cannot be imported.
    """
    return KINDS.load(spec.kind)


def settings_of(spec: Spec) -> Any:
    """The settings of a spec, as its kind defines them.

    Raises:
        PenjingError: there is no such kind, or it has no such setting.
    """
    return KINDS.build(spec.kind, spec.settings)


def put_in(root: nn.Module, specs: Mapping[str, Spec], *, strict: bool = True) -> dict[str, nn.Module]:
    """Put modules in their places, and give back those that stood there; changes `root`. Weights are as built.

    Without `strict`, places that are not there are left out: a model with fewer blocks has fewer.

    Raises:
        CheckpointError: there is no such place.
        PenjingError: a kind is not known, or does not fit its place.
    """
    before: dict[str, nn.Module] = {}
    for path in sorted(specs):
        try:
            old = root.get_submodule(path)
        except AttributeError:
            if not strict:
                continue
            known = [name for name, _ in root.named_modules() if name]
            raise CheckpointError(
                f"{type(root).__name__} has no module '{path}' for a '{specs[path].kind}'{nearest(path, known)}"
            ) from None
        before[path] = old
        set_module(root, path, built(old, path, specs[path]))
    return before


def built(old: nn.Module, path: str, spec: Spec) -> nn.Module:
    """What a spec puts in the place of a module, in its mode.

    Raises:
        PenjingError: the kind is not known, or does not fit.
    """
    try:
        new = kind_of(spec).build(old, settings_of(spec))
    except PenjingError as error:
        raise type(error)(f"{path}: {error}") from error
    setattr(new, MARK, spec)
    return new.train(old.training)


def set_module(root: nn.Module, path: str, new: nn.Module) -> None:
    """Put a module at a path; one that is in a list keeps its place there."""
    owner, _, last = path.rpartition(".")
    setattr(root.get_submodule(owner), last, new)


def remember(root: Any, specs: Mapping[str, Spec]) -> None:
    """Let the config of a model tell what is in it, so that what is made from the config is the same model."""
    held = getattr(root, "config", None)
    if held is not None and specs:
        setattr(held, MODULES, with_specs({}, specs)[MODULES])


def fill_in(root: nn.Module, config: Mapping[str, Any], *, strict: bool = False) -> nn.Module:
    """The model of a config with the modules in it that the config names; changes `root`.

    Raises:
        PenjingError: as `put_in`.
    """
    specs = specs_of(config)
    put_in(root, specs, strict=strict)
    remember(root, specs)
    return root


def own_axes(root: nn.Module) -> dict[tuple[str, int], str]:
    """(tensor, dimension) -> name of each axis that an inserted module has of its own."""
    out: dict[tuple[str, int], str] = {}
    for path, part in root.named_modules():
        spec = getattr(part, MARK, None)
        if isinstance(spec, Spec):
            for own, (tensor, dim) in kind_of(spec).AXES.items():
                out[f"{path}.{tensor}", dim] = axis_name(own, path)
    return out
