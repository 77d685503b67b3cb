"""Save plans so that people can read and compare them: `plan.json`, and `plan.safetensors` for what edits hold.

The JSON lists the edits in order, each as its `pack` gives it; what is a tensor is named there and lies in
`plan.safetensors`, under the edit's number and a name of its own.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from penjing.core import Edit, Plan
from penjing.core.edit import Packed
from penjing.core.edits import edit_class
from penjing.errors import CheckpointError, OutputError, PenjingError, PlanError
from penjing.io.headers import Header, build_header, read_header
from penjing.io.reading import map_tensor
from penjing.io.shard_file import ShardFile, writing
from penjing.io.shards import inside, read_json
from penjing.io.spans import TensorSpec
from penjing.io.workspace import sync_folder, write_whole

FORMAT = "penjing plan"
VERSION = 1
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
    packed = [edit.pack(f"{i}.") for i, edit in enumerate(plan)]
    held = {name: tensor for one in packed for name, tensor in one.tensors.items()}
    edits = [dict(one.table) for one in packed]
    table = {"format": FORMAT, "version": VERSION, "made": dict(plan.made), "edits": edits}
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
        tensors = _Stored(read_header(values) if values.is_file() else None)
        edits = tuple(_unpack(i, e, tensors, folder) for i, e in enumerate(table["edits"]))
    except CheckpointError as error:
        raise PlanError(f"the plan cannot be read: {error}") from error
    made = table.get("made", {})
    if not isinstance(made, dict):
        raise PlanError(f"{folder / 'plan.json'} has 'made' of type {type(made).__name__}; a table was needed")
    return Plan(edits, made)


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


def _unpack(i: int, table: object, tensors: Mapping[str, Tensor], folder: Path) -> Edit:
    where = f"edit {i} of {folder / 'plan.json'}"
    if not isinstance(table, dict):
        raise PlanError(f"{where} is a {type(table).__name__}; a table was needed")
    try:
        of = edit_class(str(table.get("edit")))
    except PenjingError as error:
        raise PlanError(f"{where} cannot be read: {error}") from error
    return of.unpack(Packed(table=table, tensors=tensors, where=where))


class _Stored(Mapping[str, Tensor]):
    """The tensors of a file, each mapped when it is asked for."""

    def __init__(self, header: Header | None) -> None:
        self._header = header

    def __getitem__(self, name: str) -> Tensor:
        if self._header is None or name not in self._header.tensors:
            raise KeyError(name)
        spec = self._header.tensors[name]
        return map_tensor(self._header.spans[name], spec.dtype, spec.shape)

    def __contains__(self, name: object) -> bool:
        return self._header is not None and name in self._header.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(() if self._header is None else self._header.tensors)

    def __len__(self) -> int:
        return 0 if self._header is None else len(self._header.tensors)
