"""What commands print at their end."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penjing.api import Shrunk
    from penjing.core import Report


def show_report(report: "Report", *, as_json: bool) -> None:
    """A report as a table, or as JSON with each model's figures at the top level."""
    from penjing.cli.console import show, show_json
    from penjing.report import figures_json, table

    if as_json:
        show_json(figures_json(report))
    else:
        show(table(report))


def show_shrunk(done: "Shrunk", *, as_json: bool) -> None:
    """The outcome of shrink: the figures, and where things lie."""
    from penjing.cli.console import show, show_json
    from penjing.report.auto import tournament_lines
    from penjing.report.elsewhere import terminal_lines
    from penjing.report.plan import applied_json, applied_page, cut_lines

    if not as_json:
        for line in (*cut_lines(done.plan), *tournament_lines(done.plan.made)):
            show(line)
    if done.report is not None:
        show_report(done.report, as_json=as_json)
        if not as_json:
            show(f"\nwritten: {done.folder}   page: {done.folder}/report.html   card: {done.folder}/README.md")
            if done.applied is not None and done.applied.verified.opens_with != "stock":
                show(f"it opens with penjing.load({str(done.folder)!r}), not with stock loaders")
    elif done.applied is not None:
        if as_json:
            show_json({**applied_json(done.applied), **({"files": list(done.files)} if done.files else {})})
        else:
            show(applied_page(done.applied))
            for line in terminal_lines({"files": done.files}):
                show(line)


def show_finished(out: str | Path, *, as_json: bool) -> None:
    """The outcome of a shrink that was finished before: its figures, if it has some, and that nothing was done."""
    from penjing.cli.console import show, show_json
    from penjing.report import load

    path = Path(out) / "report.json"
    if path.is_file():
        show_report(load(path), as_json=as_json)
    elif as_json:
        show_json({"folder": str(out), "finished": True})
    if not as_json:
        show(f"\n{out} holds what is asked for, finished; nothing was done. --force makes it anew.")
