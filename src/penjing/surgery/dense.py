"""A folder with inserted modules written as a standard checkpoint again: each as the stock layer that it stands for."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor, nn

from penjing.core import Spec
from penjing.core.spec import as_file, opens_with, specs_of, with_specs
from penjing.errors import PlanError
from penjing.io import RECORD, OpenCheckpoint, Span, TensorSpec, carry_over, write_folder
from penjing.nn import kind_of, settings_of


@dataclass(frozen=True, kw_only=True)
class Densified:
    """What was written: the folder, how many modules became stock layers, and the numbers before and after."""

    folder: Path
    modules: int
    parameters_before: int
    parameters_after: int


@dataclass(frozen=True)
class _Part:
    """One inserted module: its own tensors in the files, and the stock layer that takes its place."""

    path: str
    spec: Spec
    stock: nn.Module
    stored: tuple[str, ...]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the stock layer's tensors."""
        return {f"{self.path}.{n}": tuple(t.shape) for n, t in self.stock.state_dict().items()}

    def made(self, checkpoint: OpenCheckpoint) -> dict[str, Tensor]:
        """The stock layer's tensors."""
        own = {n[len(self.path) + 1 :]: checkpoint[n] for n in self.stored}
        found = kind_of(self.spec).dense(self.stock, settings_of(self.spec), own)
        return {f"{self.path}.{n}": t for n, t in found.items()}


def densify(checkpoint: OpenCheckpoint, out: str | Path) -> Densified:
    """Write products and chains as the matrices that they multiply by, in the type that they are stored in.

    All else is copied byte for byte. Stock loaders open the result; it gives the same but for rounding.

    Raises:
        PlanError: there is no such module, or one is of a kind that no stock layer can stand for.
        OutputError: `out` is taken or cannot be written.
    """
    parts = _parts(checkpoint)
    inside = {n: part for part in parts for n in part.stored}
    specs: dict[str, TensorSpec] = {}
    for name, shape in checkpoint.shapes.items():
        part = inside.get(name)
        if part is None:
            specs[name] = TensorSpec(name, checkpoint.dtypes[name], shape)
        else:
            kind = checkpoint.dtypes[name]
            specs |= {n: TensorSpec(n, kind, s) for n, s in part.shapes().items() if n not in specs}
    owner = {n: part for part in parts for n in part.shapes()}
    ready: dict[str, Tensor] = {}

    def produce(name: str) -> Tensor | Span:
        if name not in owner:
            return checkpoint.span(name) or checkpoint[name]
        if name not in ready:
            ready.clear()
            ready.update(owner[name].made(checkpoint))
        return ready[name].to(specs[name].dtype)

    plain = with_specs(checkpoint.config, {})
    with TemporaryDirectory() as place:
        files = carry_over(checkpoint, Path(place))
        record = _record(checkpoint, parts, sorted(files))
        write_folder(
            Path(out), list(specs.values()), produce, config=as_file(plain), side_files={**files, RECORD: record},
            shards=None, fingerprint=hashlib.sha256(f"{checkpoint.fingerprint} dense".encode()).hexdigest(),
        )  # fmt: skip
    before, after = (sum(math.prod(s) for s in shapes) for shapes in (
        checkpoint.shapes.values(), (s.shape for s in specs.values())))  # fmt: skip
    return Densified(folder=Path(out), modules=len(parts), parameters_before=before, parameters_after=after)


def _parts(checkpoint: OpenCheckpoint) -> list[_Part]:
    from penjing.layouts import build

    specs = specs_of(checkpoint.config)
    if not specs:
        raise PlanError(f"{checkpoint.source} has no inserted modules, so there is nothing to write dense; use it so")
    for path, spec in specs.items():
        if not hasattr(kind_of(spec), "dense"):
            raise PlanError(
                f"{path} is a '{spec.kind}', which no stock layer can stand for; only products and chains of matrices "
                "can be written dense: keep this folder, and open it with penjing.load"
            )
    plain = with_specs(checkpoint.config, {})
    if opens_with(plain) != "stock":
        raise PlanError(
            "layers of this model have widths of their own, so no stock loader would open it; keep this folder, and "
            "open it with penjing.load"
        )
    root, out = build(plain), list[_Part]()
    for path, spec in specs.items():
        stored = tuple(n for n in checkpoint.shapes if n.startswith(f"{path}."))
        out.append(_Part(path, spec, root.get_submodule(path), stored))
    return out


def _record(checkpoint: OpenCheckpoint, parts: list[_Part], files: list[str]) -> bytes:
    """What `penjing.json` tells."""
    from penjing import __version__

    table: Mapping[str, Any] = {
        "dense": {p.path: p.spec.kind for p in parts},
        "files": files,
        "source": {"fingerprint": checkpoint.fingerprint, "kind": checkpoint.kind},
        "versions": {"penjing": __version__},
    }
    return json.dumps(table, indent=2, sort_keys=True).encode() + b"\n"
