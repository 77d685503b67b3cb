"""SmolLM2-135M against three smaller versions of it: text, tasks, instructions and time, as one page.

`python -m papers.language-battery.run [OUT]` shrinks, measures and writes OUT/report.html (default
out/language-battery). What was measured before is taken from the cache, so a run that was stopped goes on. With
`--write` the figures are kept in expected.json, those of time and memory apart: they are of one machine.
"""

import shutil
import sys
from pathlib import Path

from papers.assets.questions import bigbench
from papers.expected import record

import penjing
from penjing.cli.console import progress_bar
from penjing.core import Report
from penjing.io.assets import fetch_asset
from penjing.report import save
from penjing.tasks.reading import read_tasks

KEEP = (0.9, 0.75, 0.5)
ITEMS = 100


def questions(folder: Path) -> list[str]:
    """The tasks, each in a folder that bears its name: a task is called what its folder is."""
    for name, file in bigbench().items():
        # a task that is called by one word of many is called by its parent too
        place = folder / (name.rpartition("/")[2] if name.startswith("arithmetic/") else name.replace("/", "_"))
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place / "task.json")
    return sorted(f"bigbench:{p}" for p in folder.iterdir())


def run(out: Path) -> Report:
    """The report; the smaller models stay in `out`."""
    with progress_bar() as progress:
        model = fetch_asset("smollm2")
        folders = []
        for keep in KEEP:
            folder = out / f"smollm2-{keep:g}"
            if not folder.is_dir():
                penjing.shrink(model, folder, keep=keep, measure=False, progress=progress)
            folders.append(folder)
        tasks = (*read_tasks(questions(out / "questions"), limit=ITEMS), *read_tasks(["instructions"]))
        report = penjing.compare(
            model, folders, tasks=tasks,
            command=f"python -m papers.language-battery.run {out}", progress=progress,
        )  # fmt: skip
    save(report, out)
    return report


def expected(report: Report) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Model -> figure -> value, standard error, items and chance level; figures of the machine are left out."""
    timed = ("seconds", "memory", "joules", "tokens_per_second")
    return {
        s.name: {
            f.name: {"value": rounded(f.value), "error": rounded(f.spread), "n": f.n, "chance": rounded(f.chance)}
            for f in s.figures
            if not any(word in f.name for word in timed)
        }
        for s in report.subjects
    }


def rounded(value: float | None) -> float | None:
    """Counts as they are, others to five digits, which is more than any of them is known to."""
    if value is None or float(value).is_integer():
        return value
    return float(f"{value:.5g}")


def main() -> None:
    """Write the page; print every figure of every model, one line each."""
    out = Path(next((a for a in sys.argv[1:] if not a.startswith("-")), "out/language-battery"))
    out.mkdir(parents=True, exist_ok=True)
    report = run(out)
    for subject in report.subjects:
        for figure in subject.figures:
            chance = "" if figure.chance is None else f" (chance {figure.chance:.3g})"
            print(f"{subject.name}\t{figure.name}\t{figure.value}\t+- {figure.spread}\tn={figure.n}{chance}")
    record(__file__, expected(report), write="--write" in sys.argv)


if __name__ == "__main__":
    main()
