"""How torch stands while a module is recorded, and how everything is put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import _disable_current_modes

_torch: Any = torch
"""Functionalization has no public names but those of transforms that refuse autograd functions of an older form."""
WHOLE = (
    "upsample_bilinear2d.vec", "upsample_nearest2d.vec", "upsample_bilinear2d.default", "upsample_bicubic2d.default",
)  # fmt: skip
"""Operators that Python's dispatcher would break down into looking up places, which says less than they do."""


@contextmanager
def plain(exporting: bool = True) -> Iterator[None]:
    """The forms that can be written down: no derivatives, no fused kernels; if `exporting`, code kept for that."""
    with ExitStack() as stack:
        code = compiling() if exporting else nullcontext()
        for context in (torch.no_grad(), code, slow_path(), kept_whole(), sdpa_kernel(SDPBackend.MATH)):
            stack.enter_context(context)
        yield


@contextmanager
def outside() -> Iterator[None]:
    """As if nothing were recorded."""
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.Functionalize)
    guard = torch._C._ExcludeDispatchKeyGuard(keys)
    with torch._C.DisableTorchFunction(), _disable_current_modes(), guard:
        yield


@contextmanager
def functional() -> Iterator[None]:
    """Writes in place become new values."""
    _torch._enable_functionalization(reapply_views=True)
    try:
        yield
    finally:
        _torch._disable_functionalization()


@contextmanager
def compiling() -> Iterator[None]:
    """Modules that have a form for export take it."""
    flags: Any = torch.compiler
    before = flags._is_compiling_flag, flags._is_exporting_flag
    flags._is_compiling_flag = flags._is_exporting_flag = True
    try:
        yield
    finally:
        flags._is_compiling_flag, flags._is_exporting_flag = before


@contextmanager
def slow_path() -> Iterator[None]:
    """Attention and recurrent layers as their parts, not as one operator."""
    before = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before[0])
        torch._C._set_mkldnn_enabled(before[1])


@contextmanager
def kept_whole() -> Iterator[None]:
    """Leave out what breaks resizing down."""
    keys = (torch._C.DispatchKey.Autograd, torch._C.DispatchKey.CompositeImplicitAutograd)
    ops = [getattr(getattr(torch.ops.aten, n), o) for n, _, o in (x.partition(".") for x in WHOLE)]
    before = [(op, dict(op.py_kernels)) for op in ops]
    try:
        for op in ops:
            for key in keys:
                op.py_kernels.pop(key, None)
            op._dispatch_cache.clear()
        yield
    finally:
        for op, kernels in before:
            op.py_kernels.update(kernels)
            op._dispatch_cache.clear()


@contextmanager
def restored(module: nn.Module) -> Iterator[None]:
    """Give every attribute back that a run sets: parameters are swapped, hooks installed, caches filled."""
    before = []
    for part in module.modules():
        inside = [(v, v.copy()) for v in vars(part).values() if isinstance(v, dict | list | set)]
        before.append((vars(part), dict(vars(part)), inside))
    try:
        yield
    finally:
        for settings, old, inside in before:
            settings.clear()
            settings.update(old)
            for held, content in inside:
                held.clear()
                held.extend(content) if isinstance(held, list) else held.update(content)


@contextmanager
def watched(paths: Mapping[int, str], running: list[str]) -> Iterator[None]:
    """Keep the path of the module that is running last in a list; `paths` are those of the modules by identity."""
    original = nn.Module.__call__

    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        path = paths.get(id(module))
        if path is None:
            return original(module, *args, **kwargs)
        running.append(path)
        try:
            return original(module, *args, **kwargs)
        finally:
            running.pop()

    nn.Module.__call__ = call
    try:
        yield
    finally:
        nn.Module.__call__ = original
