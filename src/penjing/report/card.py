"""The model card: a README.md with the front matter that model hubs read."""

import html
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from penjing.core import Measurement, Report, Subject
from penjing.errors import DataError
from penjing.report.build import known, rows, speeds
from penjing.report.elsewhere import card_section
from penjing.report.figures import RANKS, kind, stem
from penjing.report.formats import ratio
from penjing.report.headline import headline
from penjing.report.provenance import limits, loading, made
from penjing.report.source_card import CARRIED, tags_of
from penjing.report.views import differences

HUB_WORDS = {
    "perplexity": ("text-generation", "perplexity"),
    "errors per word": ("automatic-speech-recognition", "wer"),
    "errors per character": ("automatic-speech-recognition", "cer"),
    "share of images": ("image-classification", "accuracy"),
    "share of recordings": ("audio-classification", "accuracy"),
}
"""Beginning of a unit -> the kind of task and of metric that model hubs know."""
PIPELINES = {
    "ForCTC": "automatic-speech-recognition", "ForSpeechSeq2Seq": "automatic-speech-recognition",
    "WhisperForConditionalGeneration": "automatic-speech-recognition", "ForAudioClassification": "audio-classification",
    "ForImageClassification": "image-classification",
}  # fmt: skip
"""End of a class's name -> what a model of it is for; of other classes hubs say it themselves."""


def card(
    report: Report,
    *,
    model_id: str | None = None,
    base: str | None = None,
    licence: str | None = None,
    tags: tuple[str, ...] = (),
    source: Mapping[str, Any] | None = None,
) -> str:
    """README.md of the last subject of a before-and-after report (the second, when there are more).

    `model_id` is where it will be found (else its source), `base` the original's hub id, `licence` its SPDX name,
    `source` what the original's card states at its head: its licence, language, library, pipeline and tags hold for the
    smaller model too. What nobody states is left out of the front matter, never guessed.

    Raises:
        DataError: the report has no models.
    """
    if not report.subjects:
        raise DataError("the report has no models; a card needs one; measure a model first")
    subject = report.subjects[:2][-1]
    name = model_id.rsplit("/", 1)[-1] if model_id else subject.name
    snippet = loading(report, model_id)
    stated = {k: v for k in CARRIED if (v := (source or {}).get(k))}
    if licence is not None:
        stated = {"license": licence.lower(), **{k: v for k, v in stated.items() if not k.startswith("license")}}
    if snippet is not None and "transformers" in snippet.code:
        stated.setdefault("library_name", "transformers")
        if purpose := next((p for end, p in PIPELINES.items() if _architecture(report).endswith(end)), ""):
            stated.setdefault("pipeline_tag", purpose)
    parts = [
        _front(stated, base, (*tags_of(source or {}), *tags), index(report, subject, name)),
        f"# {as_line(name)}",
        as_line(headline(report)),
        "## Figures",
        _table(report),
        *_speed(report, subject),
        *_differences(report, subject),
    ]
    if snippet is not None:
        parts += ["## How to load", f"```python\n{snippet.code.replace('```', '')}```", snippet.remark]
    parts += card_section(report.provenance, as_line)
    steps = "\n".join(f"- {as_line(label)}: {as_line(told)}" for label, told in made(report.provenance))
    parts += ["## How it was made", f"From {as_line(base or report.subjects[0].name)}, with penjing.", steps]
    said = limits(report)
    if "license" not in stated:
        said.append("The licence was not stated. The licence of the original applies.")
    parts += ["## Limits", "\n".join(f"- {as_line(s)}" for s in said) or "- None were recorded."]
    return "\n\n".join(p for p in parts if p) + "\n"


def _architecture(report: Report) -> str:
    return str(report.provenance.get("architecture") or "")


def _front(stated: Mapping[str, Any], base: str | None, tags: tuple[str, ...], index: list[str]) -> str:
    """YAML; every value is written as JSON, which YAML reads."""
    lines = ["---"]
    lines += [f"{key}: {json.dumps(stated[key], ensure_ascii=False, default=str)}" for key in CARRIED if key in stated]
    if base is not None:
        lines.append(f"base_model: {json.dumps(base)}")
    lines += ["tags:", *(f"- {json.dumps(t)}" for t in dict.fromkeys((*tags, "penjing", "pruned")))]
    return "\n".join([*lines, *index, "---"])


def index(report: Report, subject: Subject, name: str) -> list[str]:
    """Lines of `model-index` for the subject's figures of quality; none when it has none with a value.

    A result there needs a data set: the text that was read, or what a task is called. Figures against the original
    have none, so they are not among them.
    """
    names_of = {row.name for row in rows(report) if row.group == "quality"}
    found = [(f, v) for f in subject.figures if f.name in names_of and (v := known(f)) is not None]
    data = [(f, v, d) for f, v in found if math.isfinite(v) and (d := _data_of(f))]
    if not data:
        return []
    lines = ["model-index:", f"- name: {json.dumps(name)}", "  results:"]
    for figure, value, data_set in data:
        what, task = _hub_words(figure)[1], _hub_words(subject.figure(figure.name.partition(":")[0]) or figure)[0]
        lines += [
            "  - task:",
            f"      type: {task}",
            "    dataset:",
            f"      name: {json.dumps(data_set.replace('_', ' '))}",
            f"      type: {json.dumps(data_set)}",
            "    metrics:",
            f"    - type: {json.dumps(what)}",
            f"      name: {json.dumps(kind(figure).label)}",
            f"      value: {value!r}",
        ]
    return lines


def _hub_words(figure: Measurement) -> tuple[str, str]:
    """(kind of task, kind of metric) in the words of model hubs, where they have some."""
    own = figure.name.partition(":")[2] or figure.unit or figure.name
    task, what = next((words for unit, words in HUB_WORDS.items() if figure.unit.startswith(unit)), ("other", own))
    return task, own if ":" in figure.name and what == "accuracy" else what


def _data_of(figure: Measurement) -> str:
    """What a figure was taken on; empty where that is not known."""
    if text := figure.details.get("text"):
        return str(text)
    return "" if stem(figure.name) in RANKS else figure.name.partition(":")[0]


def _differences(report: Report, subject: Subject) -> list[str]:
    """What paired tests say of this subject against the original."""
    lines = []
    for compared in differences(report):
        for d in compared.differences:
            if d.mark.name == subject.name and not d.missing:
                cells = (compared.label, d.value, d.interval, d.p_holm, d.verdict)
                lines.append(_line([_cell(c) for c in cells]))
    if not lines:
        return []
    heads = ("", "Difference", "95 % interval", "p, Holm", "Verdict")
    return ["### Against the original, item by item", "\n".join([_line([*heads]), _line(["---"] * 5), *lines])]


def _table(report: Report) -> str:
    pair = len(report.subjects) == 2
    heads = ["", *(_cell(s.name) for s in report.subjects), *(["Change"] if pair else [])]
    lines = [_line(heads), _line(["---", *["---:"] * (len(heads) - 1)])]
    protocols = []
    for row in rows(report):
        cells = []
        for c in row.cells:
            text = c.text + (f" (n = {c.n})" if c.n > 1 else "")
            cells.append(text if pair or not c.change else f"{text} ({c.change})")
        last = row.cells[-1]
        ends = [last.change or ("withheld" if last.withheld else "")] if pair else []
        lines.append(_line([_cell(x) for x in (row.label, *cells, *ends)]))
        protocols += [f"{row.label}: {p}" for p in row.protocols]
    told = "\n".join(f"- {as_line(p)}" for p in protocols)
    return "\n".join(lines) + (f"\n\n± is the spread. How it was measured:\n\n{told}" if told else "")


def _speed(report: Report, subject: Subject) -> list[str]:
    out = []
    for s in speeds(report):
        if s.subject == subject.name and s.value is not None:
            text = f"{s.label}, ratio to the original: {ratio(s.value, s.spread)} measured"
            text += f", {ratio(s.predicted)} predicted from {s.predicted_from}" if s.predicted is not None else ""
            text += f", the original against itself {ratio(s.null, s.null_spread)}" if s.null is not None else ""
            out.append(f"- {as_line(text)}")
    return ["\n".join(out)] if out else []


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return as_line(text)


def as_line(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no broken table row."""
    flat = re.sub(r"\s+", " ", text)
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", html.escape(flat, quote=False))
