"""Before and after, measured side by side, as a report that tells how everything was made."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from penjing.core import Report
from penjing.core.places import cache_folder
from penjing.core.progress import Progress, silent
from penjing.data import read_texts, require_disjoint, shipped, tokenise
from penjing.errors import DataError
from penjing.evaluate import Blocks
from penjing.evaluate.scoring import fitting
from penjing.io import read_contents
from penjing.pipeline.answers import as_table
from penjing.pipeline.battery import paired, require_unseen, swept
from penjing.pipeline.carry_out import Applied
from penjing.pipeline.cka_figure import Likeness
from penjing.pipeline.parts import Parts
from penjing.pipeline.quality import Reading
from penjing.pipeline.shown_items import shown_items
from penjing.pipeline.side_by_side import Comparison, SideBySide
from penjing.running.lending import Lender
from penjing.running.stock import architecture, tokenizer
from penjing.tasks.task import Task

WINDOWS = 16
SoFar = Callable[[Report], None]
"""Called with a report that still grows, for those who watch."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What to measure: text files (none means the shipped ones), how much of each, and whether to time.

    `calibration` are the files that the plan was made from (empty means the shipped ones): no passage of them may
    occur in `texts` or `tasks`. None means that nothing was calibrated.
    """

    texts: tuple[Path, ...] = ()
    calibration: tuple[Path, ...] | None = None
    windows: int = WINDOWS
    length: int = 512
    speed: bool = True
    answers: bool = True
    by_block: bool = True
    tasks: tuple[Task, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Material:
    """What is read: token ids of each text by its name, and what they are."""

    ids: Mapping[str, Any]
    told: Mapping[str, Any]


def read_material(folder: Path, wish: Evidence) -> Material:
    """The texts as the tokenizer in `folder` reads them, held against what was calibrated on.

    Raises:
        DataError: a text cannot be read, or it or a task occurs in the calibration text.
    """
    ids, told = _evaluation(folder, _fitted(wish, [folder]))
    if wish.calibration is not None and wish.tasks:
        require_unseen(read_texts(list(wish.calibration) or shipped("calibration")), wish.tasks)
    told |= {"tasks": [f"{t.name}: {t.key()}" for t in wish.tasks]} if wish.tasks else {}
    return Material(ids=ids, told=told)


def measured(  # noqa: PLR0913 - one call carries a whole report
    folders: Sequence[Path],
    wish: Evidence,
    *,
    lender: Lender | None = None,
    applied: Applied | None = None,
    notes: Sequence[str] = (),
    command: str = "",
    material: Material | None = None,
    parts: Parts | None = None,
    progress: Progress = silent,
    so_far: SoFar | None = None,
) -> Report:
    """A report of the models in `folders`; the first is the original. `so_far` gets it as it grows.

    `material` is what `read_material` gave, where it was asked before; `parts` are figures that are known already.

    Models are had from the `lender`, each once, and released as soon as nothing more is asked of them.

    Raises:
        DataError: a text is too short, or occurs in the calibration text.
        CheckpointError: a folder cannot be read.
    """
    wish = _fitted(wish, folders)
    read = material or read_material(folders[0], wish)
    bare = Report(
        title=f"{'Shrunk by penjing' if applied is not None else 'Measured by penjing'}: {folders[0].name}",
        subjects=(),
        notes=(*notes, *(applied.verified.notes if applied else ())),
        provenance=_provenance(folders[-1] if applied is None else applied.folder, applied, read.told, command),
    )
    with ExitStack() as stack:
        taken = SideBySide(
            folders,
            Reading(
                texts=read.ids, protocols=(Blocks(window=wish.length),), progress=progress, answering=wish.answers,
                by_block=wish.by_block, plan=applied.plan if applied is not None else None,
            ),
            lender or stack.enter_context(Lender()),
            likeness=Likeness(read.ids, wish.tasks) if read.ids or wish.tasks else None,
            tasks=wish.tasks,
            cache=cache_folder(),
            parts=parts,
            grown=lambda found: so_far(_with(bare, found)) if so_far is not None else None,
        )
        taken.take()
        taken.time(wish.speed)
    said = _with(bare, taken.found, wish.tasks if wish.answers else ())
    differences = paired(said.subjects) if len(said.subjects) > 1 else ()
    said = replace(said, ratios=(*said.ratios, *differences, *swept(said.subjects)))
    if so_far is not None:
        so_far(said)
    return said


def _fitted(wish: Evidence, folders: Sequence[Path]) -> Evidence:
    """The same with windows that every model has positions for."""
    return replace(wish, length=fitting(wish.length, *(read_contents(f).config for f in folders)))


def counted(folders: Sequence[Path], *, applied: Applied, notes: Sequence[str] = (), command: str = "") -> Report:
    """A report of what files and configs tell, without running a model.

    Raises:
        CheckpointError: a folder cannot be read.
    """
    with Lender() as lender:
        nothing = Reading(texts={}, protocols=(), progress=silent)
        found = SideBySide(folders, nothing, lender).found
    figures = [replace(s, figures=tuple(f for f in s.figures if f.group == "size")) for s in found.subjects]
    return Report(
        title=f"Shrunk by penjing: {folders[0].name}", subjects=tuple(figures), ratios=found.ratios,
        notes=(*notes, *applied.verified.notes), provenance=_provenance(applied.folder, applied, {}, command),
    )  # fmt: skip


def _with(bare: Report, found: Comparison, tasks: Sequence[Task] = ()) -> Report:
    told = [*as_table(found.answers), *shown_items(found.subjects, tasks)]
    made = {**bare.provenance, "answers": told} if told else bare.provenance
    return replace(bare, subjects=found.subjects, ratios=found.ratios, provenance=made)


def _evaluation(folder: Path, wish: Evidence) -> tuple[dict[str, Any], dict[str, Any]]:
    """({name: token ids}, what they are): nothing for models without a tokenizer, if no text was named."""
    try:
        reader = tokenizer(folder)
    except DataError:
        if wish.texts:
            raise
        return {}, {"evaluation": "the model has no tokenizer, so no text was read"}
    return read_ids(reader, wish)


def read_ids(reader: Callable[..., Any], wish: Evidence) -> tuple[dict[str, Any], dict[str, Any]]:
    """({name: token ids}, what they are) of the texts that are wished for, as a tokenizer reads them.

    Raises:
        DataError: a text cannot be read, or occurs in the calibration text.
    """
    paths = list(wish.texts) or shipped("evaluation")
    texts = {p.stem: read_texts([p]) for p in paths}
    if wish.calibration is not None:
        seen = read_texts(list(wish.calibration) or shipped("calibration"))
        require_disjoint(seen, [t for each in texts.values() for t in each])
    limit = wish.windows * wish.length
    ids = {name: tokenise(each, reader)[:limit] for name, each in texts.items()}
    told = {
        "files": [p.name for p in paths],
        "shipped": not wish.texts,
        "windows": f"at most {wish.windows} of {wish.length} tokens each",
        "sha256": {p.name: sha256(p.read_bytes()).hexdigest()[:16] for p in paths},
    }
    return ids, {"evaluation": told}


def _provenance(
    folder: Path, applied: Applied | None, told: Mapping[str, Any], command: str
) -> dict[str, Any]:
    out: dict[str, Any] = dict(applied.plan.made) if applied is not None else {}
    out |= told
    if applied is not None and applied.reopened is not None:
        result = applied.reopened
        out["reopened"] = (
            f"in a fresh process by {result.loader}; largest difference of outputs from the same edits in memory: "
            f"{result.max_abs_difference:.3g}"
        )
    if applied is not None and applied.verified.opens_with != "stock":
        out["load"] = f"import penjing\n\nmodel = penjing.load({json.dumps(str(folder))})\n"
    out["command"] = command or "called from Python"
    out["versions"] = {name: _version(name) for name in ("penjing", "torch", "transformers", "safetensors")}
    out["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    out["date"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if named := architecture(folder):
        out["architecture"] = named
    return out


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"
