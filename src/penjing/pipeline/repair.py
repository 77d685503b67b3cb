"""A model that is cut, healed and held against its teacher: each stage a folder, so that a killed run goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

from penjing.core import Measurement, Plan, Report
from penjing.core.progress import Progress, silent
from penjing.errors import PlanError
from penjing.healers import HEALERS
from penjing.io import load_plan, save_plan
from penjing.pipeline.carry_out import Applied, Manner, carry_out
from penjing.pipeline.comparison import perplexity_ratio
from penjing.pipeline.healing import Course, healed
from penjing.pipeline.unfinished import Unfinished
from penjing.running.lending import Lender
from penjing.running.source import Source, as_folder, resolve
from penjing.train.healing import LOG

CONTROL = "sft"
"""What the control is trained by: the data's own loss."""


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What came out: the plan carried out, and the folders to measure: teacher, after, before, and control if any."""

    applied: Applied
    folders: tuple[Path, ...]
    cut: Plan | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What every stage needs: where things are kept, what lends models, how plans are carried out, who is told."""

    unfinished: Unfinished
    lender: Lender
    cache: Path
    manner: Manner
    progress: Progress = silent


def repair(
    source: Source, teacher: Source, course: Course, shop: Workshop, *, cut: Callable[[], Plan] | None = None,
    record: Callable[[Plan], Mapping[str, Any]], control: bool = False,
) -> Repaired:  # fmt: skip
    """Cut the source by the plan that `cut` makes (None: it is cut already), heal it, and carry that out.

    `record` gives what `penjing.json` also tells, once the plan is known.

    Raises:
        PenjingError: as `carry_out` and `healed`.
    """
    stages, plan, student = shop.unfinished.stages, None, source
    if cut is not None:
        plan, student = _cut(source, cut, shop)
    values = shop.unfinished.plan()
    if values is None:
        values = healed(
            student, teacher, course, lender=shop.lender, cache=shop.cache, folder=stages / "training",
            progress=shop.progress,
        )  # fmt: skip
        values = Plan(values.edits, {**(plan.made if plan is not None else {}), **values.made})
    shop.unfinished.keep_plan(values)
    told = dict(record(values))
    if plan is not None:
        told["cut"] = {"plan_sha256": plan.digest(), "edits": len(plan.edits)}
    done = carry_out(
        student, values, shop.unfinished.out, replace(shop.manner, told=told), cache=shop.cache, lender=shop.lender,
        unfinished=shop.unfinished, progress=shop.progress,
    )  # fmt: skip
    trained = [_control(teacher, course, int(values.made["healing"]["steps"]), shop)] if control else []
    before = as_folder(student, shop.cache, shop.progress)
    shop.unfinished.keep_log(stages / "training" / LOG)
    refused = values.made["healing"].get("refused", ())
    return Repaired(
        applied=done, folders=(as_folder(teacher, shop.cache, shop.progress), done.folder, before, *trained), cut=plan,
        notes=tuple(refused),
    )  # fmt: skip


def _cut(source: Source, make: Callable[[], Plan], shop: Workshop) -> tuple[Plan, Source]:
    """(the plan, the smaller model): made, or found as an earlier process left them."""
    folder, kept = shop.unfinished.stages / "before healing", shop.unfinished.stages / "cut"
    plan = _kept(kept)
    if plan is None:
        plan = make()
        rmtree(kept, ignore_errors=True)
        try:
            save_plan(plan, kept)
        except ValueError:  # what a method of others tells is not plain data: the plan is made again
            rmtree(kept, ignore_errors=True)
    if not folder.is_dir():
        carry_out(
            source, plan, folder, replace(shop.manner, reopening=False, dtype=None), cache=shop.cache,
            lender=shop.lender, progress=shop.progress,
        )  # fmt: skip
    return plan, resolve(folder)


def _kept(folder: Path) -> Plan | None:
    """The plan in a folder; None where there is none, or a process was killed while it wrote it."""
    try:
        return load_plan(folder) if folder.is_dir() else None
    except PlanError:
        return None


def _control(teacher: Source, course: Course, steps: int, shop: Workshop) -> Path:
    """The folder of the teacher, trained on the same by the data's own loss."""
    folder = shop.unfinished.stages / "control"
    if folder.is_dir():
        return folder
    plain = replace(course, healer=HEALERS.build(CONTROL), steps=steps, minutes=None, told={"method": CONTROL})

    def said(what: str, done: int, total: int) -> None:
        shop.progress(what.replace("training", "training the teacher, as the control", 1), done, total)

    values = healed(
        teacher, None, plain, lender=shop.lender, cache=shop.cache, folder=shop.unfinished.stages / "training-control",
        progress=said,
    )  # fmt: skip
    carry_out(
        teacher, values, folder, replace(shop.manner, reopening=False), cache=shop.cache, lender=shop.lender,
        progress=shop.progress,
    )  # fmt: skip
    return folder


def held_against(report: Report) -> list[str]:
    """What the figures say, in sentences: before, after, and what the same tokens did to the teacher."""
    teacher, after, before, *others = report.subjects
    said = []
    if (found := _ratio(after, teacher)) and (was := _ratio(before, teacher)):
        said.append(f"perplexity over the teacher's: {was} before healing, {found} after")
    if others and (found := _ratio(after, others[0])) and (own := _ratio(others[0], teacher)):
        said.append(
            f"the control, the teacher trained on the same tokens by {CONTROL}, has {own} of the teacher's perplexity, "
            f"and the healed model {found} of the control's: what the text alone gives is in both"
        )
    return said


def _ratio(one: Any, other: Any) -> str:
    found: Measurement | None = perplexity_ratio(one, other)
    if found is None or found.value is None:
        return ""
    return f"{found.value:.3f}" + ("" if found.spread is None else f" ± {found.spread:.3f}")
