"""From a pruned model, its teacher and data to a plan: the values that training gave, as updates of tensors."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from penjing.calibrate import stored_names
from penjing.core import Budget, Heals, Plan, Update
from penjing.core.progress import Progress, silent
from penjing.errors import DataError, RequestError, TrainingError, UnsupportedError
from penjing.healers import HEALERS
from penjing.pipeline.heal_options import Heal
from penjing.pipeline.healing_data import Lessons
from penjing.running.lending import Lender
from penjing.running.source import Source, as_folder, resolve
from penjing.running.stock import load, tokenizer
from penjing.train import Pair, Place, Run, Settings, facts, heal, settings_from
from penjing.train.loop import in_bfloat16
from penjing.train.lora import MaskOf, hold, insert, merge
from penjing.train.ranks import here

AVERAGED = 0.2
"""The share of the steps over whose weights the mean is taken, where nobody says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a model is healed: by what, on what, for how long."""

    healer: Heals
    lessons: Lessons
    how: Settings
    learning_rate: float
    steps: int
    minutes: float | None
    lora: int | None
    embeddings: bool
    seed: int
    told: dict[str, Any] = field(default_factory=dict)


def course_of(wish: Heal, found: Lessons, seed: int) -> Course:
    """The course that is wished for, on what was found to train on.

    Raises:
        PenjingError: there is no such healer, or a setting of it does not serve.
        RequestError: a setting of the loop does not serve.
    """
    loop = dict(wish.loop)
    loop = loop if "average" in loop or loop.get("ema") else {"average": AVERAGED, **loop}
    how = settings_from(loop)
    steps = 0 if wish.tokens is None else math.ceil(wish.tokens / (found.size * how.accumulate))
    told = {"method": wish.method, "settings": dict(wish.settings), "loop": dict(wish.loop)}
    return Course(
        healer=HEALERS.build(wish.method, wish.settings), lessons=found, how=how, learning_rate=wish.learning_rate,
        steps=steps, minutes=wish.minutes, lora=wish.lora, embeddings=wish.embeddings, seed=seed, told=told,
    )  # fmt: skip


def check_pair(student: Source, teacher: Source, cache: Path) -> list[str]:
    """Refuse a teacher that cannot teach this model; remarks on one that seems odd.

    Raises:
        DataError: the two read text otherwise.
        RequestError: the teacher is the smaller one, or the student itself.
    """
    kept, whole = (_parameters(s) for s in (student, teacher))
    if whole < kept:
        raise RequestError(
            f"the teacher {teacher.name} has {whole:,} parameters and the student {student.name} {kept:,}; a teacher "
            "is the model that the student was made from: name that one"
        )
    if student.weights().fingerprint == teacher.weights().fingerprint:
        raise RequestError(f"the teacher {teacher.name} is the student itself; name the model that it was made from")
    sizes = [s.config.get("vocab_size") for s in (student, teacher)]
    if sizes[0] != sizes[1] or _words(student, cache) != _words(teacher, cache):
        raise DataError(
            f"the student {student.name} reads text by a vocabulary of {sizes[0]} and the teacher {teacher.name} by "
            f"another one ({sizes[1]}), so what one predicts means nothing to the other; name the model that the "
            "student was made from"
        )
    return [f"the teacher has as many parameters as the student ({kept:,})"] if kept == whole else []


def _parameters(source: Source) -> int:
    return sum(math.prod(shape) for shape in source.weights().shapes.values())


def _words(source: Source, cache: Path) -> Any:
    """The vocabulary that a model's tokenizer has; None where there is no tokenizer."""
    try:
        return tokenizer(as_folder(source, cache)).get_vocab()
    except DataError:
        return None


def healed(
    student: Source, teacher: Source | None, course: Course, *, lender: Lender, cache: Path, folder: Path | None = None,
    progress: Progress = silent,
) -> Plan:  # fmt: skip
    """What training changed, as a plan for the student's checkpoint; `folder` is where it keeps its states.

    Raises:
        PenjingError: the healer cannot serve these models, or training came to no good.
    """
    ranks = here()
    place = as_folder(student, cache, progress)
    if ranks.several and ranks.first:
        others = None if teacher is None else as_folder(teacher, cache, progress)
        ranks.call(JOB, place, others, _apart(course), str(lender.device), cache, folder)
    progress("opening the model to train", 0, 0)
    module = load(place, device=lender.device, dtype=torch.float32).train()
    names = stored_names(module, student.weights().shapes)
    _choose(module, course)
    run = Run(
        module=module, model=student.weights(), layout=student.layout, budget=Budget(keep=1.0), steps=course.steps,
        learning_rate=course.learning_rate, seed=course.seed, how=course.how, names=names, ranks=ranks,
    )  # fmt: skip
    mask_of = _mask_of(run)
    if course.lora:
        hold(module, mask_of)
    where = None if folder is None else Place(folder=folder, identity=_identity(student, teacher, course))
    with _lent(teacher, lender, cache, progress) as other:
        pair = Pair(
            blocks=_blocks(student), teacher=other, teacher_blocks=() if teacher is None else _blocks(teacher)
        )
        try:
            keeper = heal(
                course.healer, run, course.lessons.batches, pair=pair, held_out=course.lessons.held_out, place=where,
                minutes=course.minutes, progress=progress,
            )  # fmt: skip
        except TrainingError as error:
            raise type(error)(f"{error}{_kept(where)}") from error
    if not ranks.first:
        return Plan()
    if course.lora:
        merge(module, mask_of)
    made = {**_told(run, course, teacher), **({"refused": keeper.refused} if keeper and keeper.refused else {})}
    return Plan(tuple(Update(n, t) for n, t in run.changed().items()), {"healing": made})


def _mask_of(run: Run) -> MaskOf:
    """The mask of a parameter of the run's module, by its path."""
    stored = {own: name for name, own in run.names.items()}

    def mask_of(own: str) -> Tensor | None:
        found = run.masks.get(stored.get(own, own))
        if found is not None and hasattr(found, "full_tensor"):
            raise UnsupportedError("low-rank additions to a sparse model are trained in one process; start one alone")
        return found

    return mask_of


JOB = "heal"
"""What the first process calls for, where several heal together."""


def take_part(
    student: Path, teacher: Path | None, course: Course, device: str, cache: Path, folder: Path | None
) -> None:  # fmt: skip
    """What a process does that is not the first: train along; the arguments are those that `healed` calls with.

    Raises:
        PenjingError: as `healed`.
    """
    with Lender(device=here().device(device)) as lender:
        others = None if teacher is None else resolve(teacher)
        healed(resolve(student), others, course, lender=lender, cache=cache, folder=folder)


def _apart(course: Course) -> Course:
    """The course with batches that share no memory, as they are sent."""
    own = course.lessons
    kept = {name: [_cloned(one) for one in getattr(own, name)] for name in ("batches", "held_out")}
    return replace(course, lessons=replace(own, **kept))


def _cloned(batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return {k: _cloned(v) for k, v in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple(map(_cloned, batch))
    return batch.clone() if isinstance(batch, Tensor) else batch


def _choose(module: nn.Module, course: Course) -> None:
    """Choose what is trained: all, but for embeddings and head, or low-rank additions alone."""
    if course.lora:
        with torch.random.fork_rng([]):
            torch.manual_seed(course.seed)
            insert(module, course.lora)
        return
    if not course.embeddings:
        for part in ("get_input_embeddings", "get_output_embeddings"):
            try:
                found = getattr(module, part, lambda: None)()
            except NotImplementedError:  # transformers says so of models that it knows no embeddings of
                found = None
            is_table = isinstance(found, nn.Embedding) or part == "get_output_embeddings"
            if isinstance(found, nn.Module) and is_table:
                found.requires_grad_(requires_grad=False)


@contextmanager
def _lent(teacher: Source | None, lender: Lender, cache: Path, progress: Progress) -> Iterator[nn.Module | None]:
    if teacher is None:
        yield None
        return
    with lender.lend(as_folder(teacher, cache, progress), torch.float32) as module:
        yield module


def _blocks(source: Source) -> tuple[str, ...]:
    """The paths of a model's blocks, in order: of the longest list, where there are several."""
    longest = max(source.layout.blocks, key=lambda b: b.size, default=None)
    return () if longest is None else tuple(f"{longest.path}.{i}" for i in range(longest.size))


def _identity(student: Source, teacher: Source | None, course: Course) -> str:
    """A digest of all that the bits of a run follow from, but for the machine."""
    read = [
        student.weights().fingerprint, "" if teacher is None else teacher.weights().fingerprint, course.told,
        course.lessons.digest, course.learning_rate, course.steps, course.minutes, course.lora, course.embeddings,
        course.seed, str(torch.__version__),
    ]  # fmt: skip
    return sha256(json.dumps(read, sort_keys=True, default=str).encode()).hexdigest()


def _kept(place: Place | None) -> str:
    states = sorted(place.folder.glob("step-*")) if place is not None else []
    return f"; the last state before lies in {states[-1]}" if states else ""


def _told(run: Run, course: Course, teacher: Source | None) -> dict[str, Any]:
    """What is told of how a model was healed."""
    how_much = run.step * course.lessons.size * course.how.accumulate
    return {
        **course.told,
        **facts(run),
        "teacher": None if teacher is None else Path(teacher.name).name,
        course.lessons.unit: how_much,
        "passes of the data": round(run.step * course.how.accumulate / len(course.lessons.batches), 3),
        "held out loss": [round(loss, 6) for _, loss in (*run.held_out[:1], *run.held_out[-1:])],
        "stopped early": run.is_worn,
        "averaged over steps": run.average.count,
        "bfloat16": in_bfloat16(run),
        "lora": course.lora,
        "embeddings": course.embeddings,
        "data": course.lessons.told,
    }
