"""Save plans so that people can read and compare them: `plan.json`, and `plan.safetensors` for masks and values.

The JSON lists the edits in order. Units are run-length text such as "0-5,7"; a mask or an update names the tensor of
`plan.safetensors` that holds it: values as they are, masks as packed bits, eight to a byte, first bit highest.
"""

import json
import re
from collections.abc import Iterable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penjing.core import Edit, Keep, Mask, Plan, Update
from penjing.errors import CheckpointError, OutputError, PlanError
from penjing.io.headers import Header, build_header, read_header
from penjing.io.reading import map_tensor, read_tensor
from penjing.io.shard_file import ShardFile, writing
from penjing.io.shards import inside, read_json
from penjing.io.spans import Span, TensorSpec
from penjing.io.workspace import sync_folder, write_whole

FORMAT = "penjing plan"
VERSION = 1
RUN = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
MOST_UNITS = 100_000_000


FILES = frozenset({"plan.json", "plan.safetensors"})


def check_plan_folder(path: Path) -> None:
    """Make sure that a plan written to the folder `path` gets among no other files.

    Raises:
        OutputError: it is a file, or holds something else than a plan.
    """
    path = Path(path)
    with writing(path):
        if path.exists() and not path.is_dir():
            raise OutputError(f"the output {path} is a file; choose another name")
        other = sorted(p.name for p in path.iterdir() if p.name not in FILES) if path.is_dir() else []
    if other:
        raise OutputError(f"the output {path} holds more than a plan, such as {other[0]}; choose another folder")


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan to the folder `path`: `plan.json`, and `plan.safetensors` if it has masks or values.

    Raises:
        OutputError: the folder holds anything else, or cannot be written.
        ValueError: `plan.made` is not plain data.
    """
    path = Path(path)
    check_plan_folder(path)
    held: dict[str, Tensor] = {}
    table = {"format": FORMAT, "version": VERSION, "made": dict(plan.made), "edits": []}
    table["edits"] = [_edit_out(i, edit, held) for i, edit in enumerate(plan)]
    try:
        text = json.dumps(table, indent=1, ensure_ascii=False, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"plan.made must be plain data for JSON: {error}") from error
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        _write_tensors(path / "plan.safetensors", held)
        write_whole(path / "plan.json", text.encode() + b"\n")


def load_plan(path: Path) -> Plan:
    """The plan in the folder `path` (or beside the `plan.json` it names). Values are mapped, not read at once.

    Raises:
        PlanError: it is not a plan, is of a newer version, or its parts do not fit together.
    """
    path = Path(path)
    folder = path.parent if path.name == "plan.json" else path
    try:
        table = read_json(inside(folder, "plan.json"))
        if table.get("format") != FORMAT or not isinstance(table.get("edits"), list):
            raise PlanError(f"{folder / 'plan.json'} is not a plan of penjing; make one with 'penjing plan'")
        if table.get("version") != VERSION:
            found = f"{folder / 'plan.json'} is of version {table.get('version')!r}"
            raise PlanError(f"{found}, and this penjing reads version {VERSION}; make the plan again")
        values = inside(folder, "plan.safetensors")
        header = read_header(values) if values.is_file() else None
        edits = tuple(_edit_in(i, e, header, folder) for i, e in enumerate(table["edits"]))
    except CheckpointError as error:
        raise PlanError(f"the plan cannot be read: {error}") from error
    made = table.get("made", {})
    if not isinstance(made, dict):
        raise PlanError(f"{folder / 'plan.json'} has 'made' of type {type(made).__name__}; a table was needed")
    return Plan(edits, made)


def runs(units: Sequence[int]) -> str:
    """Units as text: "0-5,7" for 0 to 5 and 7; empty for none."""
    parts: list[list[int]] = []
    for unit in units:
        if parts and unit == parts[-1][1] + 1:
            parts[-1][1] = unit
        else:
            parts.append([unit, unit])
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)


def units(text: str) -> tuple[int, ...]:
    """The units that `runs` wrote.

    Raises:
        ValueError: the text is something else, or units do not ascend.
    """
    out: list[int] = []
    for part in text.split(",") if text else []:
        match = RUN.fullmatch(part)
        if match is None:
            raise ValueError(f"{part[:40]!r} is not a unit or a range of units such as 0-5")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or (out and first <= out[-1]):
            raise ValueError(f"units must ascend, and {part!r} does not")
        if last - first + len(out) >= MOST_UNITS:
            raise ValueError(f"{part!r} makes more than {MOST_UNITS} units")
        out.extend(range(first, last + 1))
    return tuple(out)


def _edit_out(i: int, edit: Edit, held: dict[str, Tensor]) -> dict[str, Any]:
    if isinstance(edit, Keep):
        return {"edit": "keep", "axis": edit.axis, "units": runs(edit.units), "kept": len(edit.units)}
    if isinstance(edit, Update):
        held[f"{i}.values"] = edit.values
        return {"edit": "update", "tensor": edit.tensor, "values": f"{i}.values", "shape": list(edit.values.shape)}
    bits = np.packbits(edit.kept.detach().cpu().contiguous().reshape(-1).numpy())
    held[f"{i}.kept"] = torch.from_numpy(bits)
    shape = list(edit.kept.shape)
    counts = {"kept_weights": int(edit.kept.sum()), "of": edit.kept.numel()}
    return {"edit": "mask", "tensor": edit.tensor, "kept": f"{i}.kept", "shape": shape, **counts}


def _write_tensors(path: Path, held: dict[str, Tensor]) -> None:
    if not held:
        path.unlink(missing_ok=True)
        return
    specs = [TensorSpec(name, t.dtype, tuple(t.shape)) for name, t in held.items()]
    first, offsets = build_header(specs, {"format": "pt"})
    new = path.with_name(path.name + ".new")
    file = ShardFile(new, first, len(first) + sum(s.length for s in specs))
    try:
        for spec in specs:
            file.put(offsets[spec.name], spec, held[spec.name])
        file.sync()
    finally:
        file.close()
    new.replace(path)
    sync_folder(path.parent)


def _edit_in(i: int, told: object, header: Header | None, folder: Path) -> Edit:
    where = f"edit {i} of {folder / 'plan.json'}"
    if not isinstance(told, dict):
        raise PlanError(f"{where} is a {type(told).__name__}; a table was needed")
    kind = told.get("edit")
    if kind == "keep":
        axis, text = _texts(told, ("axis", "units"), where)
        try:
            kept = units(text)
        except ValueError as error:
            raise PlanError(f"{where}: {error}; mend it or make the plan again") from error
        if told.get("kept", len(kept)) != len(kept):
            raise PlanError(f"{where} says it keeps {told['kept']} units and lists {len(kept)}; make them agree")
        return Keep(axis, kept)
    if kind == "mask":
        tensor, name = _texts(told, ("tensor", "kept"), where)
        return Mask(tensor, _mask(name, told.get("shape"), header, where))
    if kind == "update":
        tensor, name = _texts(told, ("tensor", "values"), where)
        spec, span = _stored(name, header, where)
        if told.get("shape", list(spec.shape)) != list(spec.shape):
            raise PlanError(f"{where} says shape {told['shape']} and holds {list(spec.shape)}; make the plan again")
        return Update(tensor, map_tensor(span, spec.dtype, spec.shape))
    raise PlanError(f"{where} is of kind {kind!r}; keep, mask and update are known")


def _texts(told: dict[str, Any], keys: Iterable[str], where: str) -> list[str]:
    missing = [key for key in keys if not isinstance(told.get(key), str)]
    if missing:
        raise PlanError(f"{where} has no text '{missing[0]}'; mend it or make the plan again")
    return [told[key] for key in keys]


def _stored(name: str, header: Header | None, where: str) -> tuple[TensorSpec, Span]:
    if header is None or name not in header.tensors:
        found = f"{where} needs '{name}', which plan.safetensors does not hold"
        raise PlanError(f"{found}; keep both files of a plan together")
    return header.tensors[name], header.spans[name]


def _mask(name: str, shape: object, header: Header | None, where: str) -> Tensor:
    spec, span = _stored(name, header, where)
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise PlanError(f"{where} has shape {str(shape)[:80]}; a list of sizes was needed")
    count = prod(shape)
    if spec.dtype != torch.uint8 or spec.shape != ((count + 7) // 8,):
        held = f"{spec.dtype} {list(spec.shape)}"
        raise PlanError(f"{where} masks {count} weights and holds {held}; {(count + 7) // 8} packed bytes were needed")
    bits = np.unpackbits(read_tensor(span, spec.dtype, spec.shape).numpy(), count=count)
    return torch.from_numpy(bits).view(torch.bool).reshape(shape)
