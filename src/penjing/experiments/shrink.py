"""Shrink a model as a recipe says, and take the figures of the result; nothing of it is kept but these."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from penjing.core.experiment import Figure, Figures
from penjing.errors import RequestError

FIGURES = {
    "parameters": Figure(label="Parameters", unit="parameters", better="lower"),
    "bytes": Figure(label="Bytes", unit="bytes", better="lower"),
    "perplexity": Figure(label="Perplexity", unit="perplexity", better="lower"),
}
PARTS = ("source", "choice", "data", "heal", "measure", "run")
NOWHERE = "a model that the recipe names"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The tables of a recipe; those of the file `recipe` lie beneath, so that a study changes what it varies.

    [run] is called `running` here.
    The seed of a run is that of the data. What the report tells of the smaller model are the figures.
    """

    recipe: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    heal: Mapping[str, Any] | bool = field(default_factory=dict)
    measure: Mapping[str, Any] | bool = field(default_factory=dict)
    running: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse unknown keys and values before anything runs.

        Raises:
            RequestError: a key is not known, or nothing names a model.
        """
        from penjing.pipeline.tables import request_from

        tables = self._tables()
        if not self.recipe and "model" not in tables.get("source", {}):
            raise RequestError("neither [settings.source] names a model, nor a recipe is given; give one of the two")
        request_from({**tables, "source": {"model": NOWHERE, **tables.get("source", {})}}, "the study")

    def at(self, folder: Path) -> Self:
        """The same with its places taken from `folder`, and those of the recipe from the recipe's."""
        from penjing.pipeline.recipe import read_recipe
        from penjing.pipeline.tables import below, placed, request_from, tables

        found = self._tables()
        if self.recipe:
            known = tables(read_recipe(folder / self.recipe), whole=False)
            found = {n: _over(known.get(n), found.get(n)) for n in {*known, *found} - {"out", "version"}}
        request = placed(request_from(found, "the study"), below(folder))
        whole = tables(request, whole=False)
        whole["running"] = whole.pop("run", {})
        return replace(self, recipe="", **{**{n: {} for n in self._names()}, "heal": {}, **whole})

    def run(self, seed: int) -> Figures:
        """The figures of the smaller model, and of the original those of quality.

        Raises:
            PenjingError: as `penjing.shrink`.
        """
        from penjing.api.shrink import carry
        from penjing.pipeline.tables import request_from

        request = request_from(self._tables(), "the study")
        request = replace(request, data=replace(request.data, seed=seed))
        with TemporaryDirectory() as folder:
            done = carry(replace(request, out=str(Path(folder) / "result")))
        if done.report is None:
            raise RequestError("nothing was measured, so there are no figures; leave measure = false out")
        first, last = done.report.subjects[0], done.report.subjects[-1]
        out: dict[str, float] = {f.name: float(f.value) for f in last.figures if f.value is not None}
        quality = {f.name: f.value for f in first.figures if f.group == "quality" and f.value is not None}
        return {**out, **{f"{name}_original": float(value) for name, value in quality.items()}}

    def _names(self) -> tuple[str, ...]:
        return tuple("running" if n == "run" else n for n in PARTS)

    def _tables(self) -> dict[str, Any]:
        """Table of a recipe -> what is given of it; none where nothing is."""
        found = {n: getattr(self, own) for n, own in zip(PARTS, self._names(), strict=True)}
        return {n: dict(t) if isinstance(t, Mapping) else t for n, t in found.items() if t != {}}


def _over(known: Any, given: Any) -> Any:
    if isinstance(known, Mapping) and isinstance(given, Mapping):
        return {**known, **given}
    return known if given is None else given
