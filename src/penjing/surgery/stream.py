"""A plan carried out from files to files, tensor by tensor."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from penjing.core import Layout, Plan
from penjing.core.spec import as_file, recorded
from penjing.errors import PlanError
from penjing.io import RECORD, OpenCheckpoint, Span, TensorSpec, carry_over, write_folder
from penjing.surgery import cut
from penjing.surgery.verify import Verified, verify


def stream(
    checkpoint: OpenCheckpoint,
    layout: Layout,
    plan: Plan,
    out: str | Path,
    *,
    verified: Verified | None = None,
    told: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
    replacing: bool = False,
) -> Path:
    """Write the result of a plan to the folder `out`: sharding and side files are kept, dtypes are as verified.

    Tensors that no edit touches are copied by byte ranges; the others go through in pieces, so memory does not grow
    with the model. `penjing.json` in the folder tells how it was made; `told` are further entries of it. `progress` is
    told the bytes of each finished tensor. A stopped run that is started again goes on where it stopped.
    With `replacing`, a result of penjing that lies at `out` makes room once the new one is whole.

    Raises:
        PlanError: as `verify`, before anything is written.
        OutputError: `out` is taken or cannot be written.
        CheckpointError: the source cannot be read.
    """
    if verified is None:
        verified = verify(checkpoint, layout, plan)
    recipes, dtypes = verified.recipes, verified.dtypes
    specs = [TensorSpec(n, dtypes[n], r.shape) for n, r in recipes.items()]

    def produce(name: str) -> Tensor | Span | Iterator[Tensor]:
        recipe = recipes[name]
        span = checkpoint.span(recipe.source)
        if recipe.untouched and span is not None and dtypes[name] == checkpoint.dtypes[recipe.source]:
            return span
        if span is None:
            return cut.whole(recipe, checkpoint, dtypes[name])
        return cut.pieces(recipe, checkpoint, dtypes[name])

    kinds = sorted({str(d) for d in dtypes.values()})
    fingerprint = hashlib.sha256(f"{checkpoint.fingerprint} {plan.digest()} {kinds}".encode()).hexdigest()
    with TemporaryDirectory() as made:
        files = carry_over(checkpoint, Path(made))
        record = _how_made(checkpoint, verified, plan, {**(told or {}), "files": sorted(files)})
        write_folder(
            Path(out),
            specs,
            produce,
            config=as_file(verified.config),
            side_files={**files, RECORD: record},
            shards=_shards(checkpoint, verified),
            fingerprint=fingerprint,
            progress=progress,
            replacing=replacing,
        )
    return Path(out)


def _shards(checkpoint: OpenCheckpoint, verified: Verified) -> list[list[str]] | None:
    """The names per file of the result: where they were, without files that have become empty."""
    if not checkpoint.shards:
        return None
    new: dict[str, list[str]] = {}
    for name, recipe in verified.recipes.items():
        new.setdefault(recipe.source, []).append(name)
    if {n for shard in checkpoint.shards for n in shard} != set(checkpoint.shapes):
        raise PlanError("the checkpoint's files and its tensors disagree; open it again")
    shards = [[made for n in shard for made in new.get(n, ())] for shard in checkpoint.shards]
    return [s for s in shards if s]


def _how_made(checkpoint: OpenCheckpoint, verified: Verified, plan: Plan, told: Mapping[str, Any]) -> bytes:
    """What `penjing.json` tells: source, plan and versions, and the modules that stand in for stock ones."""
    from importlib.metadata import version

    from penjing import __version__

    keeps = {axis: [len(units), verified.whole[axis]] for axis, units in plan.keeps().items()}
    table: dict[str, Any] = {
        **told,
        "made": dict(plan.made),
        "plan_sha256": plan.digest(),
        "kept": keeps,
        "edits": len(plan.edits),
        **recorded(verified.config),
        "source": {"fingerprint": checkpoint.fingerprint, "kind": checkpoint.kind},
        "versions": {"penjing": __version__, "torch": str(torch.__version__), "safetensors": version("safetensors")},
    }
    return json.dumps(table, indent=2, sort_keys=True, default=str).encode() + b"\n"

