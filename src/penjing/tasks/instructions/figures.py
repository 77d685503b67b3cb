"""Accuracies of verdicts, with their standard errors, what trivial answers would score, and a table of kinds."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penjing.core import Measurement
from penjing.errors import MeasureError
from penjing.evaluate.statistics import mean_ratio
from penjing.tasks.instructions.trivial import trivial_verdicts
from penjing.tasks.instructions.verdicts import Verdict

Followed = Callable[[Verdict], tuple[bool, ...]]
_MANNERS: Mapping[str, Followed] = {"strict": lambda v: v.strict, "loose": lambda v: v.loose}


def prompt_accuracy(verdicts: Sequence[Verdict], manner: str) -> tuple[float, float | None]:
    """The share of prompts all of whose instructions were followed, and its standard error.

    `manner` is "strict" or "loose". The error is sqrt(p (1 - p) / (n - 1)), None for one prompt.
    """
    n = len(verdicts)
    share = sum(all(_MANNERS[manner](v)) for v in verdicts) / n
    return share, math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else None


def instruction_accuracy(verdicts: Sequence[Verdict], manner: str) -> tuple[float, float | None]:
    """The share of instructions that were followed, and its standard error.

    Instructions of one prompt stand or fall together, so the error is taken over prompts, by the delta method.
    """
    followed = [_MANNERS[manner](v) for v in verdicts]
    return mean_ratio([float(sum(f)) for f in followed], [float(len(f)) for f in followed])


def by_kind(verdicts: Sequence[Verdict]) -> dict[str, dict[str, Any]]:
    """Official name -> how many instructions of this kind there were, and how many were followed in each manner."""
    table: dict[str, dict[str, Any]] = {}
    for v in verdicts:
        for instruction, strict, loose in zip(v.prompt.instructions, v.strict, v.loose, strict=True):
            row = table.setdefault(instruction.kind, {"n": 0, "strict": 0, "loose": 0})
            row["n"] += 1
            row["strict"] += strict
            row["loose"] += loose
    return dict(sorted(table.items()))


def accuracies(
    verdicts: Sequence[Verdict],
    *,
    name: str,
    protocol: str,
    note: str = "",
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> tuple[Measurement, ...]:
    """Four figures: by prompt and by instruction, each strict and loose; the first, by prompt and strict, is the main.

    `columns` are further columns for the records of prompts. `chance` is the best that a trivial answer scores.

    Raises:
        MeasureError: there are no verdicts.
    """
    if not verdicts:
        raise MeasureError("there are no responses to judge; give at least one prompt")
    trivial = trivial_verdicts([v.prompt for v in verdicts])
    tables = {answer: by_kind(found) for answer, found in trivial.items()}
    out = []
    for level, figure in (("prompt", prompt_accuracy), ("instruction", instruction_accuracy)):
        for manner in _MANNERS:
            value, error = figure(verdicts, manner)
            scores = {answer: figure(found, manner)[0] for answer, found in trivial.items()}
            best = max(scores, key=lambda answer: scores[answer])
            main = not out
            details: dict[str, Any] = {"trivial": scores}
            if main:
                details |= {"kinds": by_kind(verdicts), "trivial_kinds": tables}
            items = _prompts(verdicts, manner) if level == "prompt" else _instructions(verdicts, manner)
            told = f"chance is what the trivial answer '{best}' scores"
            out.append(
                Measurement(
                    name=name if main else f"{name}:{level}_{manner}",
                    value=value,
                    unit=f"share of {level}s followed, {manner}",
                    better="higher",
                    group="quality",
                    n=len(items["id"]),
                    spread=error,
                    spread_kind="standard error" if level == "prompt" else "standard error, by prompt",
                    chance=scores[best],
                    protocol=protocol,
                    note=f"{told}; {note}" if note else told,
                    details=details,
                    items={**items, **(columns or {})} if level == "prompt" else items,
                )
            )
    return tuple(out)


def _prompts(verdicts: Sequence[Verdict], manner: str) -> dict[str, list[Any]]:
    return {
        "id": [v.prompt.key for v in verdicts],
        "correct": [int(all(_MANNERS[manner](v))) for v in verdicts],
        "strict": [int(all(v.strict)) for v in verdicts],
        "loose": [int(all(v.loose)) for v in verdicts],
        "instructions": [len(v.strict) for v in verdicts],
    }


def _instructions(verdicts: Sequence[Verdict], manner: str) -> dict[str, list[Any]]:
    rows = [
        (f"{v.prompt.key}#{place}", instruction.kind, int(followed))
        for v in verdicts
        for place, (instruction, followed) in enumerate(
            zip(v.prompt.instructions, _MANNERS[manner](v), strict=True), start=1
        )
    ]
    return {
        "id": [r[0] for r in rows],
        "cluster": [r[0].rpartition("#")[0] for r in rows],
        "kind": [r[1] for r in rows],
        "correct": [r[2] for r in rows],
    }
