"""The figures of an original and of models made from it, taken so that each model is opened once.

The original stays open until the last other one was held against it. A model is released as soon as nothing more is
asked of it, so that two are open at most, and none while times are taken: those run in processes of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from penjing.core import Measurement, Subject
from penjing.core.progress import Progress
from penjing.errors import MeasureError
from penjing.evaluate.costs import Costs, costs, why_unread
from penjing.evaluate.scoring import fitting
from penjing.pipeline import quality
from penjing.pipeline.answers import answers
from penjing.pipeline.battery import examine
from penjing.pipeline.cka_figure import Likeness
from penjing.pipeline.comparison import ratios_to_base
from penjing.pipeline.parts import Figures, Parts
from penjing.pipeline.quality import Reading
from penjing.profiling.speed import FIGURES, JOBS, MEMORY, Speed, compare_speed
from penjing.running.lending import Lender
from penjing.tasks.task import Task

RATIOS = "ratios: "
"""Where the ratios of times stand among the figures of models; no model is called so."""
LAST = "times are taken last, when no model is in memory"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Subjects in the order given, the original first, ratios of others to it, and what each answered to prompts."""

    subjects: tuple[Subject, ...]
    ratios: tuple[Measurement, ...]
    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass
class _Taken:
    """What is known of one model so far."""

    folder: Path
    counted: Costs
    read: list[Measurement] = field(default_factory=list)
    alike: list[Measurement] = field(default_factory=list)
    examined: list[Measurement] = field(default_factory=list)
    answers: tuple[str, ...] = ()

    def has_perplexity(self) -> bool:
        return any(f.name == "perplexity" for f in self.read)


class SideBySide:
    """Figures as they are taken; `likeness` and `tasks` are for those who want them.

    What is among the `parts` already is not taken again, and no model is opened for it.
    `grown` gets what there is before each model's tasks.

    Raises:
        CheckpointError: a folder cannot be read.
    """

    def __init__(
        self, folders: Sequence[Path], reading: Reading, lender: Lender, *, likeness: Likeness | None = None,
        tasks: Sequence[Task] = (), cache: Path | None = None, parts: Parts | None = None,
        grown: Callable[[Comparison], None] = lambda found: None,
    ) -> None:  # fmt: skip
        self._reading, self._lender, self._likeness = reading, lender, likeness
        self._tasks, self._cache, self._grown = tasks, cache, grown
        self._parts = parts or Parts()
        self._timed: tuple[Figures | None, str] = (None, LAST)
        self._speed: Speed | None = None
        self._models: dict[str, _Taken] = {}
        named = _named(folders)
        for i, (name, folder) in enumerate(named.items()):
            self._progress("counting", i, len(named))
            self._models[name] = _Taken(folder, costs(folder))

    @property
    def _progress(self) -> Progress:
        return self._reading.progress

    @property
    def found(self) -> Comparison:
        """All figures so far, and their ratios."""
        result, why = self._timed
        subjects = tuple(
            Subject(
                name=name, source=str(m.folder),
                figures=(
                    *m.counted.figures, *m.read, *(result[name] if result else _untimed(why)), *m.alike,
                    *m.examined,
                ),
                widths=layout.sizes if (layout := m.counted.layout) else {},
            )
            for name, m in self._models.items()
        )  # fmt: skip
        counted = {n: m.counted for n, m in self._models.items()}
        timed = result[RATIOS] if result else ()
        return Comparison(
            subjects=subjects, ratios=ratios_to_base(subjects, counted, timed, self._speed),
            answers={n: m.answers for n, m in self._models.items()},
        )  # fmt: skip

    def take(self) -> None:
        """Read the texts, hold every model against the original, and run the tasks.

        Raises:
            CheckpointError: a folder cannot be opened.
            DataError: a text is shorter than a window.
            MeasureError: a window is longer than a model's positions.
        """
        first, *others = self._models
        self._alone(first)
        self._answer(first)
        self._examine(first)
        for name in others:
            self._pair(first, name)
            self._answer(name)
            if name == others[-1]:
                self._settle(first)
                self._release(first, unless=name)
            self._examine(name)
            self._release(name, unless=first)
        self._lender.release()

    def time(self, speed: bool | Speed) -> None:
        """Time the models, with nothing of them in this process."""
        self._lender.release()
        self._speed = self._speed_settings(speed)
        if self._speed is None:
            self._timed = None, "speed was not asked for"
            return
        settings = self._speed

        def timed() -> Figures:
            folders = {n: m.folder for n, m in self._models.items()}
            found = compare_speed(folders, speed=settings, progress=lambda d, n: self._progress("timing", d, n))
            return {**found.figures, RATIOS: found.ratios}

        try:
            self._timed = self._parts.take("times", timed), ""
        except MeasureError as error:
            self._timed = None, str(error)

    def _why_unread(self, name: str) -> str:
        """Why a model reads no text, or an empty string."""
        if why := why_unread(self._models[name].counted.config):
            return why
        return "" if self._reading.texts and self._reading.protocols else "no text was given"

    def _lend(self, name: str) -> AbstractContextManager[nn.Module]:
        return self._lender.lend(self._models[name].folder)

    def _release(self, name: str, *, unless: str) -> None:
        """Release a model, unless it is another one too: a folder may be compared with itself."""
        folder, other = (self._models[n].folder.resolve() for n in (name, unless))
        if folder != other:
            self._lender.release(folder)

    def _alone(self, first: str) -> None:
        """What is read of the original before there is another one: all of it if none is held against it."""
        model = self._models[first]
        if why := self._why_unread(first):
            model.read = quality.missing(why)
            return
        model.read = self._later(first)
        if all(self._why_unread(n) for n in self._models if n != first):
            self._settle(first)

    def _settle(self, first: str) -> None:
        """The original's own first perplexity, where no pass with another model gave it."""
        model = self._models[first]
        if not self._why_unread(first) and not model.has_perplexity():
            model.read = [*self._first(first), *model.read]

    def _pair(self, first: str, name: str) -> None:
        """What is read of a model, and how it stands to the original."""
        base, other = self._models[first], self._models[name]
        why, by_itself = self._why_unread(name), bool(self._why_unread(first))
        looks = self._likeness is not None and self._likeness.serves
        if why:
            other.read = quality.missing(why)
        if self._likeness is not None and not looks:
            other.alike = [self._likeness.nothing()]
        if why and not looks:
            return
        if not why:
            later = self._later(name)
            other.read = [*(self._first(name) if by_itself else ()), *later]
        if not why and not by_itself:
            found = self._parts.take(f"beside: {name}", lambda: self._beside(first, name))
            other.read = [*found["other"], *other.read]
            base.read = base.read if base.has_perplexity() else [*found["base"], *base.read]
            if self._reading.by_block:
                other.read.append(self._parts.take(f"blocks: {name}", lambda: self._by_block(first, name))["all"][0])
        if looks:
            other.alike = list(self._parts.take(f"likeness: {name}", lambda: self._alike(first, name))["all"])

    def _answer(self, name: str) -> None:
        """What a model goes on with after a few prompts, if it reads text at all."""
        if not self._reading.answering or self._why_unread(name):
            return

        def make() -> Figures:
            self._progress("answering prompts", 0, 0)
            with self._lend(name) as module:
                found = answers(module, self._models[name].folder)
            return {"all": [Measurement(name="answers", value=None, unit="", details={"answers": list(found)})]}

        (told,) = self._parts.take(f"answers: {name}", make)["all"]
        self._models[name].answers = tuple(told.details["answers"])

    def _later(self, name: str) -> list[Measurement]:
        def make() -> Figures:
            with self._lend(name) as module:
                return {"all": quality.later_perplexities(module, name, self._reading)}

        return list(self._parts.take(f"later: {name}", make)["all"])

    def _first(self, name: str) -> list[Measurement]:
        def make() -> Figures:
            with self._lend(name) as module:
                return {"all": quality.first_perplexity(module, name, self._reading)}

        return list(self._parts.take(f"first: {name}", make)["all"])

    def _beside(self, first: str, name: str) -> Figures:
        with self._lend(name) as module, self._lend(first) as original:
            own, of_base = quality.beside(original, module, name, self._reading)
            return {"other": own, "base": of_base}

    def _alike(self, first: str, name: str) -> Figures:
        base, other = (self._models[n].folder for n in (first, name))
        with self._lend(name) as module, self._lend(first) as original:
            likeness = self._likeness or Likeness({})
            return {"all": [likeness.of((original, module), base, other, self._progress)]}

    def _by_block(self, first: str, name: str) -> Figures:
        layout = self._models[first].counted.layout
        keeps = self._reading.plan.keeps() if self._reading.plan is not None else {}
        kept = next((keeps[b.axis] for b in (layout.blocks if layout else ()) if b.axis in keeps), None)
        with self._lend(name) as module, self._lend(first) as original:
            return {"all": [quality.one_by_one(original, module, name, self._reading, kept)]}

    def _examine(self, name: str) -> None:
        if not self._tasks or self._cache is None:
            return
        self._grown(self.found)
        model = self._models[name]
        bare = Subject(name=name, source=str(model.folder), figures=())
        (found,) = examine(
            [model.folder], [bare], self._tasks, cache=self._cache, lender=self._lender, progress=self._progress
        )
        model.examined = list(found.figures)

    def _speed_settings(self, speed: bool | Speed) -> Speed | None:
        """The settings given, or defaults that fit in every model's positions; None for no timing."""
        if isinstance(speed, Speed):
            return speed
        if not speed:
            return None
        room = fitting(4096, *(m.counted.config for m in self._models.values()))
        dtype = "auto" if self._lender.dtype is None else str(self._lender.dtype).removeprefix("torch.")
        usual = Speed(device=self._lender.device, dtype=dtype, threads=self._lender.threads)
        return replace(usual, tokens=min(usual.tokens, room), context=max(1, min(usual.context, room - 32)))


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Folder names, with a number where two are alike."""
    out: dict[str, Path] = {}
    for folder in folders:
        name, n = folder.resolve().name, 2
        while name in out:
            name, n = f"{folder.resolve().name} ({n})", n + 1
        out[name] = folder
    return out


def _untimed(why: str) -> list[Measurement]:
    return [replace(FIGURES[name], note=why) for name in (*JOBS.values(), MEMORY)]
