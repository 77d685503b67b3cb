"""A network trained as a recipe says."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

from penjing.core import Report
from penjing.core.printing import short
from penjing.core.progress import Progress, silent
from penjing.core.progress_line import shows_progress
from penjing.errors import OutputError
from penjing.io import writing
from penjing.pipeline.coordinates import TIMES, Coordinates, coordinates
from penjing.pipeline.surroundings import surroundings
from penjing.pipeline.train_recipe import Recipe, read_training, told
from penjing.pipeline.training import JOB, prepared, take_part, trained
from penjing.pipeline.training_result import judged, opening, report_of, write
from penjing.pipeline.unfinished import Unfinished
from penjing.report import check_page, headline, load, save, save_trained_card
from penjing.report.coordinates import coordinates_html
from penjing.report.files import write_text
from penjing.running.placing import find_device
from penjing.train.healing import LOG
from penjing.train.ranks import Ranks, join, leading, serve


@dataclass(frozen=True, kw_only=True, repr=False)
class Trained:
    """The folder that was written, and the report; a process that is not the first of several has no report."""

    folder: Path
    report: Report | None

    def __repr__(self) -> str:
        """What was made, and the answer in a sentence."""
        said = headline(self.report) if self.report is not None else "the first process tells"
        return short(f"Trained(the folder {self.folder}: {said})")

    def _repr_html_(self) -> str:
        """For notebooks: the figures."""
        return self.report._repr_html_() if self.report is not None else ""


@shows_progress
def train_model(
    recipe: str | Path | Recipe, out: str | Path | None = None, *, force: bool = False, progress: Progress = silent
) -> Trained:  # fmt: skip
    """Train a network as a recipe says, and write it into `out` as a folder like any other, with report and card.

    `recipe` is a TOML file, the whole of an experiment: the network, the data, how they are changed, the loop, how it
    is judged. `out` is the folder to write, which the recipe may also name. A run that was stopped, at any moment,
    goes on when the same is asked again, to the same bits on the same machine. `force` replaces a result of penjing.

    Raises:
        PenjingError: something does not serve; each error says what, and nothing is half written.
    """
    asked = recipe if isinstance(recipe, Recipe) else read_training(recipe)
    asked = asked if out is None else replace(asked, out=str(out))
    if asked.out is None:
        raise OutputError("nothing says where the result is to lie; name a new folder with --out (in Python, out=...)")
    ranks = join()
    if not ranks.first:
        serve(ranks, {JOB: take_part})
        return Trained(folder=Path(asked.out), report=None)
    with leading(ranks), surroundings(threads=None, offline=False):
        return _trained(asked, Path(asked.out), ranks, force, progress)


@shows_progress
def check_coordinates(
    recipe: str | Path | Recipe, out: str | Path | None = None, *, times: Sequence[int] = TIMES, seeds: int = 3,
    steps: int = 3, progress: Progress = silent,
) -> Coordinates:  # fmt: skip
    """How much the layers of a recipe's network move in the first steps, at `times` the widths of its base.

    `out` is a page to write, such as coordinates.html; the figures lie beside it as .json.

    Raises:
        PenjingError: something does not serve; each error says what, and nothing is written.
    """
    asked = recipe if isinstance(recipe, Recipe) else read_training(recipe)
    places = () if out is None else (check_page(out), check_page(Path(out).with_suffix(".json")))
    if places and places[0] == places[1]:
        raise OutputError(f"{out} is where the figures go; name a page, such as coordinates.html")
    with surroundings(threads=None, offline=False):
        found = coordinates(
            asked, times=times, seeds=seeds, steps=steps, device=find_device(asked.device), progress=progress
        )
    if places:
        write_text(places[0], coordinates_html(found))
        write_text(places[1], json.dumps(found.to_json(), indent=1, allow_nan=False) + "\n")
    return found


def _trained(recipe: Recipe, out: Path, ranks: Ranks, force: bool, progress: Progress) -> Trained:
    device = find_device(recipe.device)
    found = prepared(recipe, device=device, progress=progress)
    wish = {**told(recipe), "data_sha256": found.data.digest}
    with Unfinished(out.absolute(), wish, replacing=force, entry="training") as unfinished:
        if not unfinished.is_written:
            stages = unfinished.stages
            ranks.call(JOB, recipe, device, stages / "training")
            keeper = trained(found, stages / "training", progress=progress)
            progress("judging the result", 0, 0)
            notes = tuple(keeper.refused) if keeper is not None else ()
            if found.run.how.patience:
                notes += ("the held-out part also chose when to stop, so its figures are a little too good",)
            report = report_of(found, out.name, judged(found), notes)

            def pages(place: Path) -> None:
                save(report, place)
                save_trained_card(report, place, load=opening(found))

            write(found, stages / "result", unfinished.asked, log=stages / "training" / LOG, pages=pages)
            _put(stages / "result", unfinished.out, stages / "old")
            unfinished.keep_written()
        unfinished.finish()
    return Trained(folder=out, report=load(out / "report.json"))


def _put(new: Path, out: Path, old: Path) -> None:
    """Give the result its name; what it replaces goes only after that."""
    with writing(out):
        rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        new.rename(out)
        rmtree(old, ignore_errors=True)
