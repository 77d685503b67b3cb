"""`expected.json` read: checked key by key, and numbers that point into its detailed results put in place.

A number of a claim may be written as a path into `results` of the same file (`/ratios/0.9 vow : maw/interval`), so that
it stands once and follows when the results are measured anew. A path to several numbers gives their mean as a value,
and their least and most as an interval.
"""

import json
import shlex
from pathlib import Path
from typing import Any, cast

from penjing.errors import PenjingError
from penjing.papers.entry import Entry
from penjing.papers.schema import VERDICTS, Claim, Figure, Paper, Run, Verdict, folder_of

DECIDED = ("reproduced", "partly", "not")


def read(path: Path) -> Paper:
    """The paper of a file: an `expected.json` of a clone, or a row.

    Raises:
        PenjingError: the file cannot be read, or an entry is not what the schema wants; both are named.
    """
    told = whole(path).fields(("number", "name", "title", "paper", "room", "runs", "claims"), ("results",))
    results = told["results"] if "results" in told else Entry(path, "results", None)
    number = None if told["number"].value is None else told["number"].count()
    folder = folder_of(number, told["name"].text())
    _belongs(path, folder)
    paper = Paper(
        number=number,
        name=told["name"].text(),
        title=told["title"].text(),
        paper=None if told["paper"].value is None else told["paper"].text(),
        room=told["room"].text(),
        claims=tuple(_claim(c, results) for c in told["claims"].items()),
        runs=tuple(_run(r, folder) for r in told["runs"].items()),
    )
    _supported(paper, told["claims"])
    return paper


def whole(path: Path) -> Entry:
    """The JSON of a file.

    Raises:
        PenjingError: there is no such file, or it is no JSON.
    """
    try:
        return Entry(path, "", json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise PenjingError(f"{path} cannot be read: {error.strerror}; every reproduction has one") from error
    except ValueError as error:
        raise PenjingError(f"{path} is not JSON: {error}; mend it by hand, or take it from git again") from error


def _belongs(path: Path, folder: str) -> None:
    own = path.parent.name if path.name == "expected.json" else path.stem
    if folder != own:
        raise PenjingError(f"{path}: number and name give '{folder}', but it is called '{own}'; make them agree")


def _supported(paper: Paper, claims: Entry) -> None:
    if not paper.claims:
        claims.refuse("a list of at least one claim")
    for i, claim in enumerate(paper.claims):
        if claim.verdict in DECIDED and not paper.runs:
            found = f"claims[{i}].verdict is '{claim.verdict}', but runs is empty"
            raise PenjingError(f"{claims.file}: {found}; add the command that showed it")


def _run(entry: Entry, folder: str) -> Run:
    told = entry.fields(("command", "minutes", "seeds"))
    command, minutes, seeds = told["command"], told["minutes"], told["seeds"]
    try:
        words = shlex.split(command.text())
    except ValueError:  # a quotation mark without its other half
        words = []
    if words[:2] != ["python", "-m"] or not words[2:] or not words[2].startswith(f"papers.{folder}."):
        command.refuse(f"a command line that begins with `python -m papers.{folder}.`")
    return Run(
        command=command.text(),
        minutes=None if minutes.value is None else minutes.number(),
        seeds=None if seeds.value is None else seeds.count(),
    )


def _claim(entry: Entry, results: Entry) -> Claim:
    told = entry.fields(("claim", "where", "figure", "verdict"), ("note", "readings"))
    figure, note = told["figure"], told.get("note")
    verdict = cast(Verdict, told["verdict"].one_of(VERDICTS))
    if verdict == "not yet" and figure.value is not None:
        figure.refuse("null, for the verdict is 'not yet'")
    return Claim(
        claim=told["claim"].text(),
        verdict=verdict,
        where=None if told["where"].value is None else told["where"].text(),
        figure=None if figure.value is None else _figure(figure, results),
        note="" if note is None or note.value == "" else note.text(),
    )


def _figure(entry: Entry, results: Entry) -> Figure:
    told = entry.fields(("what", "value", "n", "of"), ("over", "unit", "interval", "spread", "kind"))
    value = _mean(told["value"], results)
    if "over" in told:
        over = _mean(told["over"], results)
        value = four(value / over) if over else told["over"].refuse("a number other than 0")
    missing = Entry(entry.file, f"{entry.key}.kind", None)
    interval, spread = told.get("interval", missing), told.get("spread", missing)
    kind = told.get("kind", missing)
    ranged = interval.value is not None or spread.value is not None
    return Figure(
        what=told["what"].text(),
        value=value,
        n=_pointed(told["n"], results).count(),
        of=told["of"].text(),
        unit=told["unit"].text() if "unit" in told and told["unit"].value != "" else "",
        interval=None if interval.value is None else _ends(interval, results),
        spread=None if spread.value is None else _pointed(spread, results).number(),
        kind=kind.text() if ranged or kind.value else "",
    )


def _mean(entry: Entry, results: Entry) -> float:
    found = _pointed(entry, results)
    if not isinstance(found.value, list):
        return found.number()
    each = [e.number() for e in found.items()]
    return four(sum(each) / len(each)) if each else found.refuse("a list of numbers")


def _ends(entry: Entry, results: Entry) -> tuple[float, float]:
    each = [e.number() for e in _pointed(entry, results).items()]
    return (min(each), max(each)) if len(each) > 1 else entry.refuse("two numbers or more")


def _pointed(entry: Entry, results: Entry) -> Entry:
    if not isinstance(entry.value, str):
        return entry
    found: Any = results.value
    if not entry.value.startswith("/"):
        entry.refuse("a number, or a path into results such as '/models/whole/accuracy'")
    for step in entry.value.split("/")[1:]:
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            entry.refuse(f"a number, or a path into results; '{step}' is not there")
    return Entry(entry.file, f"{entry.key} (results{entry.value})", found)


def four(value: float) -> float:
    """Four digits: more than is known."""
    return float(f"{value:.4g}")
