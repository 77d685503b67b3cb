"""Python code that gives a module its smaller shapes again, so that a saved state dict can be loaded into it."""

import pprint
from inspect import getsource
from typing import Any

from torch import Tensor, nn

from penjing.nn.attention import Attention
from penjing.surgery.memory import stock_config


def rebuilding_code(before: nn.Module, after: nn.Module) -> str:
    """Code that makes the smaller module's shapes: of a stock module from its config, of any other by a function.

    It needs torch (or transformers) and what made the module at first, and not penjing. Empty where parts of the module
    are gone: then `torch.save` of the whole module, or `torch.export`, keeps it.
    """
    name = type(after).__name__
    if stock_config(after):
        config: Any = after.config
        kind = type(config).__name__
        table = pprint.pformat(config.to_diff_dict(), width=100, compact=True)
        return f"from transformers import {kind}, {name}\n\nmodule = {name}({kind}.from_dict({table}))\n"
    first, second = dict(before.named_modules()), dict(after.named_modules())
    if set(first) != set(second):
        return ""
    turned = {n: p.scale for n, p in second.items() if isinstance(p, Attention) and type(first[n]) is not Attention}
    head = f"import torch\n\n\n{getsource(Attention)}\n\n" if turned else ""
    return (
        f"{head}def smaller(module):\n"
        f'    """Give a {name} the shapes of the one that was cut; then load its state dict."""\n'
        "    import torch\n\n"
        f"    shapes = {_literal(_shapes(before, after))}\n"
        f"    sizes = {_literal(_sizes(first, second))}\n"
        "    for names, shape in shapes.items():\n"
        "        for name in names:\n"
        '            owner, _, key = name.rpartition(".")\n'
        "            part = module.get_submodule(owner)\n"
        "            old = getattr(part, key)\n"
        "            if name == names[0]:\n"
        "                new = torch.empty(shape, dtype=old.dtype, device=old.device)\n"
        "                if isinstance(old, torch.nn.Parameter):\n"
        "                    new = torch.nn.Parameter(new, requires_grad=old.requires_grad)\n"
        "            setattr(part, key, new)\n"
        "    for (owner, key), value in sizes.items():\n"
        "        setattr(module.get_submodule(owner), key, value)\n"
        + (f"    for name, scale in {_literal(turned)}.items():\n" if turned else "")
        + ("        Attention.take(module.get_submodule(name), scale)\n" if turned else "")
        + "    return module\n"
    )


def _literal(table: dict[Any, Any]) -> str:
    text = pprint.pformat(table, width=100, sort_dicts=False)
    return text.replace("\n", "\n    ")


def _shapes(before: nn.Module, after: nn.Module) -> dict[tuple[str, ...], tuple[int, ...]]:
    """All names of a tensor -> its new shape, where that is another one."""
    old = before.state_dict(keep_vars=True)
    names: dict[int, list[str]] = {}
    found: dict[int, Tensor] = {}
    for name, tensor in after.state_dict(keep_vars=True).items():
        if isinstance(tensor, Tensor):
            names.setdefault(id(tensor), []).append(name)
            found[id(tensor)] = tensor
    return {
        tuple(names[key]): tuple(tensor.shape)
        for key, tensor in found.items()
        if any(n not in old or old[n].shape != tensor.shape for n in names[key])
    }


def _sizes(first: dict[str, nn.Module], second: dict[str, nn.Module]) -> dict[tuple[str, str], Any]:
    """(part, attribute) -> its new value, where it is a number, or numbers, and another one."""
    out: dict[tuple[str, str], Any] = {}
    for name, part in second.items():
        old = vars(first[name])
        for key, value in vars(part).items():
            plain = _plain(value) and _plain(old.get(key)) and key != "training"
            if plain and old[key] != value:
                out[name, key] = value
    return out


def _plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    return isinstance(value, int | float)
