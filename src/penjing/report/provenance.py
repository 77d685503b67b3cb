"""How to load the result and how it was made, as text for page and card."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.core import Report
from penjing.report.build import known, names, ratio_name, reason
from penjing.report.facts import said
from penjing.report.figures import AGAINST, is_ratio, stem

ORDER = (
    "method", "settings", "budget", "axes", "multiple", "seed", "calibration", "evaluation", "text", "data", "source",
    "base", "command", "commands", "recipe", "recipes", "seeds", "hashes", "versions", "machine", "device", "date",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """Code that loads a model. `remark` says what it needs."""

    code: str
    remark: str


def loading(report: Report, place: str | None = None) -> Snippet | None:
    """Code that loads the last subject from `place` (else its source), or None for a model without a loader.

    `provenance["load"]`, if given, is the code itself; `provenance["architecture"]` names the class.
    """
    given = report.provenance.get("load")
    if isinstance(given, str) and given:
        return Snippet(code=given.rstrip() + "\n", remark="")
    if not report.subjects:
        return None
    subject = report.subjects[:2][-1]
    known = report.provenance.get("architecture") or report.provenance.get("architectures")
    architecture = known[0] if isinstance(known, list | tuple) and known else known
    if not isinstance(architecture, str) or not architecture.isidentifier():
        words = any(f.name.startswith(("perplexity", "decode", "kv_cache", "macs_per_token")) for f in subject.figures)
        architecture = "AutoModelForCausalLM" if words else ""
    if not architecture:
        return None
    path = json.dumps(place or subject.source, ensure_ascii=False)
    if not architecture.endswith("ForCausalLM"):
        code = f"from transformers import {architecture}\n\nmodel = {architecture}.from_pretrained({path})\n"
        return Snippet(code=code, remark="Plain transformers; penjing is not needed.")
    code = (
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f"folder = {path}\n"
        "model = AutoModelForCausalLM.from_pretrained(folder)\n"
        "tokenizer = AutoTokenizer.from_pretrained(folder)\n\n"
        'prompt = tokenizer("The old pine", return_tensors="pt")\n'
        "print(tokenizer.decode(model.generate(**prompt, max_new_tokens=20)[0]))\n"
    )
    return Snippet(code=code, remark="Plain transformers; penjing is not needed.")


def made(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(label, text) of everything that tells how it was made, the important first.

    `load` is left to `loading`, `notes` to the limits, and what has a view of its own to that; `dropped`, a line for
    each matrix, to the plan.
    """
    elsewhere = (*ORDER, "load", "tournament", "sensitivity", "notes", "answers", "curve", "dropped", "files")
    keys = [k for k in ORDER if k in provenance] + [k for k in provenance if k not in elsewhere]
    return [(label(key), as_text(provenance[key])) for key in keys]


def command_of(report: Report) -> str:
    """The line that makes the same again; empty where it was asked for from Python."""
    found = report.provenance.get("command")
    return found if isinstance(found, str) and found.startswith("penjing ") else ""


def label(key: str) -> str:
    """A key as words."""
    words = key.replace("_", " ")
    return words[:1].upper() + words[1:]


def as_text(value: Any) -> str:
    """Plain data as one line of text: `torch 2.13.0, transformers 5.23.0`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {as_text(v)}" for k, v in value.items() if v is not None) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return ", ".join(as_text(v) for v in value) or "none"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def limits(report: Report) -> list[str]:
    """Notes as sentences, then what is missing."""
    return [sentence(n) for n in dict.fromkeys([*report.notes, *gaps(report)])]


def gaps(report: Report) -> Iterator[str]:
    """What is missing or withheld, for the list of limits.

    A sentence for each reason that all models share, with the figures that it holds for, and one for each figure of a
    model where the models differ.
    """
    many, shared = len(report.subjects) > 2, dict[str, list[str]]()
    single: list[str] = []
    for name in names(report):
        figures = {s.name: s.figure(name) for s in report.subjects}
        if stem(name) in AGAINST and report.subjects and figures[report.subjects[0].name] is None:
            del figures[report.subjects[0].name]
        missing = {n: reason(f) for n, f in figures.items() if known(f) is None}
        label = said(report, name).label
        if missing and len(missing) == len(figures) and len(set(missing.values())) == 1:
            shared.setdefault(next(iter(missing.values())), []).append(label)
        else:
            single += [f"{label} of {n}: {why}" for n, why in missing.items()]
    for why, labels in shared.items():
        yield f"{', '.join(dict.fromkeys(labels))}: {why}{', for every model' if many else ''}"
    yield from single
    for ratio in report.ratios:
        if known(ratio) is None and is_ratio(ratio.name):
            of = f" of {ratio.details['subject']}" if many and "subject" in ratio.details else ""
            why = reason(ratio).replace("not measured: ", "withheld: ", 1)
            yield f"{said(report, ratio_name(ratio)).label}{of}, ratio: {why}"


def sentence(text: str) -> str:
    """The text with a capital and a full stop, unless it has an end already."""
    clean = re.sub(r"\s+", " ", text).strip()
    first = clean[:1].upper() + clean[1:]
    return first if first.endswith((".", "!", "?", ":")) else first + "."
