"""What `penjing papers` prints."""

from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

import penjing
from penjing.papers.schema import VERDICTS, Claim, Paper, to_json

STYLES = {"reproduced": "green", "partly": "yellow", "not": "red", "not decidable here": "magenta", "not yet": "dim"}
INDENT, WIDTH = 4, 19


def list_page(papers: list[Paper]) -> Group:
    """All of them, a few lines each, and how many have which verdict."""
    numbered = [p for p in papers if p.number is not None]
    studies = [p for p in papers if p.number is None]
    parts = [line for p in numbered for line in _row(p)]
    if studies:
        parts += ["", Text("studies of our own", style="bold"), *(line for p in studies for line in _row(p))]
    count = Counter(p.verdict for p in numbered)
    told = ", ".join(f"{count[v]} {v}" for v in VERDICTS if count[v])
    foot = f"{len(numbered)} papers: {told}; (1 of 6): claims reproduced whole. One in full: penjing papers NUMBER"
    return Group(*parts, "", foot)


def paper_page(paper: Paper) -> Group:
    """One in full: each claim with its figure and verdict, and how to run it again."""
    source = f"{paper.title} ({paper.paper})" if paper.paper else paper.title
    there = "" if in_house(paper) else " (not there yet)"
    parts = [Text(f"{paper.folder}  {source}", style="bold"), f"room     {paper.room}{there}"]
    parts += [Text.assemble("verdict  ", _verdict(paper)), ""]
    for i, claim in enumerate(paper.claims, 1):
        parts += _claim(i, claim)
    for run in paper.runs:
        parts.append(Text(f"run  {run.command}  ({_cost(run.minutes, run.seeds)})"))
    again = f"penjing papers {paper.number or paper.name} --run, in a clone"
    return Group(*parts, again if paper.runs else "nothing to run yet")


def paper_json(paper: Paper) -> dict[str, Any]:
    """Its row, with the verdict over all claims, how many hold, and whether its room is in this package."""
    return {**to_json(paper), "verdict": paper.verdict, "reproduced": paper.tally, "in_house": in_house(paper)}


def papers_json(papers: list[Paper]) -> dict[str, list[dict[str, Any]]]:
    """`papers`, by number, and `studies`."""
    return {
        "papers": [paper_json(p) for p in papers if p.number is not None],
        "studies": [paper_json(p) for p in papers if p.number is None],
    }


def in_house(paper: Paper) -> bool:
    """Whether the room that it names is in this package."""
    place = Path(penjing.__file__).parent / paper.room
    return place.is_dir() or place.with_name(place.name + ".py").is_file()


def _row(paper: Paper) -> list[Any]:
    first, number = paper.claims[0], "" if paper.number is None else str(paper.number)
    verdict = _verdict(paper)
    verdict.pad_right(max(0, WIDTH - len(verdict)))
    head = Text.assemble((f"{number:>2}  {paper.name:<24} ", "bold"), verdict, f"  {paper.room}")
    lines = [first.claim]
    if first.figure is not None:
        lines.append(f"{first.figure.what}: {first.figure.text()}")
    lines += [r.command for r in paper.runs]
    return [head, *(_indented(Text(line)) for line in lines)]


def _verdict(paper: Paper) -> Text:
    tally = "" if paper.verdict == "not yet" else f" ({paper.tally})"
    return Text(f"{paper.verdict}{tally}", style=STYLES[paper.verdict])


def _claim(number: int, claim: Claim) -> list[Any]:
    lines = [Text(claim.claim)]
    if claim.where:
        lines.append(Text(f"in the paper: {claim.where}"))
    if claim.figure is not None:
        found = claim.figure
        kind = f"; {found.kind}" if found.kind else ""
        lines.append(Text(f"here: {found.what}: {found.text()}{kind}"))
    if claim.note:
        lines.append(Text(claim.note))
    head = Text.assemble((f"{number:<{INDENT}}", "bold"), (claim.verdict, STYLES[claim.verdict]))
    return [head, *map(_indented, lines), ""]


def _indented(line: Text) -> Padding:
    return Padding(line, (0, 0, 0, INDENT), expand=False)


def _cost(minutes: float | None, seeds: int | None) -> str:
    time = "minutes not counted" if minutes is None else f"some {minutes:g} minutes"
    return time + ("" if seeds is None else f", {seeds} seed{'s' if seeds > 1 else ''}")
