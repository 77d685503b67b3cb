"""What `penjing.json` says of the request, so that `penjing run` repeats it; read back with distrust.

Such a file may come with a downloaded model. So it is not believed where a hand was at it, and a place in it that lies
outside its folder is read only if what is there is, by its digest, what the run itself read.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from penjing.core import Plan
from penjing.core.places import cache_folder
from penjing.errors import PlanError, RequestError
from penjing.io import OpenCheckpoint, write_whole, writing
from penjing.io.reading import read_tensor
from penjing.io.spans import Span
from penjing.pipeline.request import Request
from penjing.pipeline.tables import (
    VERSION,
    absolute,
    below,
    from_python,
    place_names,
    placed,
    places,
    request_from,
    tables,
    without_folders,
)

RECORD = "penjing.json"
_END = 1 << 16
"""Bytes of each file of a folder that are looked at, at either end."""
_SAMPLE = 1024


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A run that was: what was asked for, the digest of its plan, the digest of its model, and its versions."""

    request: Request
    plan_sha256: str
    model_sha256: str
    versions: Mapping[str, str]


def asked_table(request: Request, checkpoint: OpenCheckpoint) -> dict[str, Any]:
    """What `penjing.json` says of a request: all options, and digests of what was read.

    Files and folders are called by their names, for a result is given away; `remember` keeps where they lie. Of a hub
    id the commit is told. Where the result was written is left out.
    """
    if isinstance(request.source.model, str) and (commit := _commit(request.source.model, checkpoint)):
        request = replace(request, source=replace(request.source, revision=commit))
    names = place_names(request)
    model = absolute(str(request.source.model))
    return {
        "version": VERSION,
        **tables(without_folders(request)),
        "inputs": {
            "model": sampled(checkpoint),
            "files": {name: digest_of(Path(p)) for p, name in names.items() if p != model},
            "places": sorted(names.values()),
        },
        "from_python": from_python(request),
    }


def remember(recorded: Mapping[str, Any], request: Request, cache: Path) -> None:
    """Keep on this machine where the files of a record lie, so that it can be repeated here.

    Raises:
        OutputError: the cache cannot be written to.
    """
    inputs, model = recorded["inputs"], absolute(str(request.source.model))
    for place, name in place_names(request).items():
        kept = cache / "places" / f"{inputs['model'] if place == model else inputs['files'][name]}.txt"
        with writing(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(kept, place.encode())


def record(table: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The entry `request` of `penjing.json`: what was asked, with a digest of all of it and of the plan."""
    return {**table, "sha256": _sealed(table, plan.digest())}


def read_record(path: str | Path, *, model: str | None = None, trusting: bool = False) -> Recorded:
    """The run that a `penjing.json` tells of; `model` is where its model lies now, if it has moved.

    With `trusting` nothing is compared: for those who only want to read it.

    Raises:
        RequestError: the file cannot be read, was changed, or names what it may not; or the run cannot be repeated.
    """
    path = Path(path)
    whole = _read(path)
    given = whole.get("request")
    if not isinstance(given, dict):
        raise RequestError(f"{path} does not say what was asked for, as those of 'penjing shrink' do; run a recipe")
    plan = str(whole.get("plan_sha256", ""))
    bare = {k: v for k, v in given.items() if k not in ("inputs", "from_python", "sha256")}
    request = request_from(bare, str(path))
    if model is not None:
        request = replace(request, source=replace(request.source, model=model))
    inputs = given.get("inputs")
    inputs = inputs if isinstance(inputs, dict) else {}
    where = _where(inputs, request.source.model, path.parent)
    if not trusting:
        _check_seal(given, plan, path)
        known = inputs.get("files")
        for place in places(request):
            if place != model:
                digest = known.get(place) if isinstance(known, dict) else None
                is_model = place == request.source.model
                if place in where and where[place] is None:
                    raise RequestError(_lost(path, place, is_model))
                _check_place(where.get(place) or place, path, digest, is_model=is_model)
    request = placed(request, lambda text: text if text == model else where.get(text) or text)
    versions = {str(k): str(v) for k, v in dict(whole.get("versions", {})).items()}
    model_sha256 = str(inputs.get("model"))
    placed_here = placed(request, below(path.parent))
    return Recorded(request=placed_here, plan_sha256=plan, model_sha256=model_sha256, versions=versions)


def check_model(recorded: Recorded, checkpoint: OpenCheckpoint) -> None:
    """Make sure that a model is the one that the run read.

    Raises:
        RequestError: it has other weights.
    """
    if sampled(checkpoint) != recorded.model_sha256:
        raise RequestError(
            f"{recorded.request.source.model} is not the model that this run read: its weights are others; name the "
            "right one with --model"
        )


def check_plan(recorded: Recorded, plan: Plan) -> None:
    """Make sure that a plan is the one that the run carried out, before anything is written.

    Raises:
        PlanError: it does something else.
    """
    if plan.digest() != recorded.plan_sha256:
        then = ", ".join(f"{k} {v}" for k, v in sorted(recorded.versions.items()))
        raise PlanError(
            f"the plan came out as another one ({plan.digest()[:12]}) than that of the run "
            f"({recorded.plan_sha256[:12]}), which had {then}; use these, or run what was asked "
            "for as a recipe: 'penjing run --show'"
        )


def sampled(checkpoint: OpenCheckpoint) -> str:
    """A digest of a model's config and tensors: of their names, dtypes, shapes, and the beginning, middle and end."""
    config = json.dumps(dict(checkpoint.config), sort_keys=True, default=str)
    found = hashlib.sha256(config.encode())
    for name, spec in sorted(checkpoint.tensors.items()):
        found.update(f"{name} {spec.dtype} {list(spec.shape)}".encode())
        span = checkpoint.span(name)
        if span is None:
            bits = checkpoint[name].detach().cpu().contiguous().reshape(-1)
            found.update(bits.view(_byte()).numpy().tobytes())
            continue
        for start in sorted({0, max(0, span.length // 2 - _SAMPLE), max(0, span.length - _SAMPLE)}):
            part = Span(span.path, span.offset + start, min(_SAMPLE, span.length - start))
            found.update(read_tensor(part, _byte(), (part.length,)).numpy().tobytes())
    return found.hexdigest()


def digest_of(path: Path) -> str:
    """A file's SHA-256; of a folder, that of names, sizes, beginnings and ends of all files in it."""
    found = hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            size = file.stat().st_size
            found.update(f"{file.relative_to(path).as_posix()} {size}\n".encode())
            with file.open("rb") as read:
                found.update(read.read(_END))
                if size > _END:
                    read.seek(max(_END, size - _END))
                    found.update(read.read(_END))
        return found.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _byte() -> Any:
    import torch

    return torch.uint8


def _sealed(table: Mapping[str, Any], plan_sha256: str) -> str:
    return hashlib.sha256(json.dumps([table, plan_sha256], sort_keys=True, default=str).encode()).hexdigest()


def _check_seal(given: Mapping[str, Any], plan: str, path: Path) -> None:
    if given.get("sha256") != _sealed({k: v for k, v in given.items() if k != "sha256"}, plan):
        raise RequestError(
            f"{path} was changed after it was written: its digest is another; to run something else, write it down as "
            "a recipe, which 'penjing run --show' begins for you"
        )
    if objects := given.get("from_python"):
        raise RequestError(f"{path} had {', '.join(objects)} from Python, which is not in it; repeat it from Python")


def _commit(model: str, checkpoint: OpenCheckpoint) -> str:
    """The commit of a hub id, from the folder of the hub's cache that it was found in."""
    folder = checkpoint.folder
    return folder.name if folder and folder.parent.name == "snapshots" and not Path(model).exists() else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); name the {RECORD} of a result") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise RequestError(f"{path} is not JSON ({error}); name the {RECORD} of a result") from error
    if not isinstance(found, dict):
        raise RequestError(f"{path} holds a {type(found).__name__}; the {RECORD} of a result is needed")
    return found


def _where(inputs: Mapping[str, Any], model: object, home: Path) -> dict[str, str | None]:
    """Name of a record's place -> where it lies: beside the record, or where this machine had it; None is nowhere."""
    named, files = inputs.get("places"), inputs.get("files")
    names = [n for n in named if isinstance(n, str)] if isinstance(named, list) else []
    digests = dict(files) if isinstance(files, dict) else {}
    digests[str(model)] = inputs.get("model")
    return {n: n if (home / n).exists() else _remembered(str(digests.get(n))) for n in names}


def _remembered(digest: str) -> str | None:
    """Where this machine last had a file, or a model, of this digest."""
    try:
        return (cache_folder() / "places" / f"{digest}.txt").read_text(encoding="utf-8") if digest.isalnum() else None
    except (OSError, UnicodeDecodeError):
        return None


def _lost(record: Path, place: str, is_model: bool) -> str:
    do = "name it with --model" if is_model else f"put it into {record.parent}"
    return f"{record} names '{place}' without its folder, and this machine does not know where it lies; {do}"


def _check_place(place: str, record: Path, digest: str | None, *, is_model: bool) -> None:
    """Refuse what leaves the record's folder, unless it is what the run read; a model is compared once it is open."""
    path, home = Path(place), record.parent.resolve()
    if not path.is_absolute():
        if ".." in path.parts or place.startswith("~") or ((home / path).exists() and not _inside(home / path, home)):
            raise RequestError(f"{record} names '{place}', which leaves its folder; nothing there is read")
        if digest is not None and not is_model and digest != digest_of(home / path):
            raise RequestError(f"{record} names '{place}', and what lies beside it is not what the run read")
        return
    if is_model or _inside(path, home):
        return
    if not path.exists():
        raise RequestError(f"{record} names {place}, which is not there; bring it back, or write a recipe")
    if digest is None or digest != digest_of(path):
        raise RequestError(f"{record} names {place}, and what is there is not what the run read; it is left alone")


def _inside(path: Path, home: Path) -> bool:
    return path.resolve().is_relative_to(home)
