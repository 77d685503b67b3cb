"""Prompts with instructions that a program can check, in the file format of IFEval.

One JSON object per line: `key`, `prompt`, `instruction_id_list` and `kwargs`, one entry of parameters for each
instruction. Entries that are null mean nothing, as in the copies of the public file that spell out every parameter.

Source: Zhou et al., "Instruction-Following Evaluation for Large Language Models", arXiv:2311.07911.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from penjing.data.jsonl import Record, brief, records
from penjing.errors import DataError, nearest

Sort = Literal["count", "relation", "phrase", "symbol", "language", "pattern", "patterns"]

RELATIONS = ("less than", "at least")

LANGUAGES: Mapping[str, str] = MappingProxyType({
    "ar": "Arabic", "bg": "Bulgarian", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
    "en": "English", "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "gu": "Gujarati",
    "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "kn": "Kannada", "ko": "Korean", "ml": "Malayalam", "mr": "Marathi", "ne": "Nepali", "nl": "Dutch",
    "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu",
    "vi": "Vietnamese", "zh": "Chinese",
})  # fmt: skip
"""The languages that can be asked for, by their ISO 639-1 codes."""

PARAMETERS: Mapping[str, Mapping[str, Sort]] = MappingProxyType({
    "keywords:existence": {"keywords": "patterns"},
    "keywords:frequency": {"keyword": "pattern", "frequency": "count", "relation": "relation"},
    "keywords:forbidden_words": {"forbidden_words": "patterns"},
    "keywords:letter_frequency": {"letter": "symbol", "let_frequency": "count", "let_relation": "relation"},
    "language:response_language": {"language": "language"},
    "length_constraints:number_words": {"num_words": "count", "relation": "relation"},
    "length_constraints:number_sentences": {"num_sentences": "count", "relation": "relation"},
    "length_constraints:number_paragraphs": {"num_paragraphs": "count"},
    "length_constraints:nth_paragraph_first_word": {
        "num_paragraphs": "count", "nth_paragraph": "count", "first_word": "phrase",
    },
    "detectable_content:number_placeholders": {"num_placeholders": "count"},
    "detectable_content:postscript": {"postscript_marker": "phrase"},
    "detectable_format:number_bullet_lists": {"num_bullets": "count"},
    "detectable_format:constrained_response": {},
    "detectable_format:number_highlighted_sections": {"num_highlights": "count"},
    "detectable_format:multiple_sections": {"section_spliter": "phrase", "num_sections": "count"},
    "detectable_format:json_format": {},
    "detectable_format:title": {},
    "combination:two_responses": {},
    "combination:repeat_prompt": {"prompt_to_repeat": "phrase"},
    "startend:end_checker": {"end_phrase": "phrase"},
    "startend:quotation": {},
    "change_case:english_capital": {},
    "change_case:english_lowercase": {},
    "change_case:capital_word_frequency": {"capital_frequency": "count", "capital_relation": "relation"},
    "punctuation:no_comma": {},
})  # fmt: skip
"""The 25 kinds of instruction and the parameters that each needs. Names are the public file's, spelling included."""


@dataclass(frozen=True)
class Instruction:
    """One thing to check: its kind, such as "length_constraints:number_words", and its parameters."""

    kind: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class InstructedPrompt:
    """A prompt and the instructions in it."""

    key: str
    prompt: str
    instructions: tuple[Instruction, ...]


def shipped_instructions() -> Path:
    """The file of prompts that comes with penjing: all 25 kinds, written for it."""
    return Path(__file__).parent / "prompts" / "instructions.jsonl"


def read_instructions(path: str | Path) -> tuple[InstructedPrompt, ...]:
    """The prompts of a `.jsonl` file, in order.

    Raises:
        DataError: the file is missing or empty, or a line of it is malformed; the line is named.
    """
    out: list[InstructedPrompt] = []
    seen: dict[str, str] = {}
    for record in records(path):
        prompt = _prompt(record)
        if prompt.key in seen:
            raise DataError(f"{record.where}: key '{prompt.key}' is that of {seen[prompt.key]} too; give each its own")
        seen[prompt.key] = record.place
        out.append(prompt)
    return tuple(out)


def instructions_hash(prompts: Sequence[InstructedPrompt]) -> str:
    """16 hex digits of the sha256 over prompts and instructions: the same for the same data."""
    rows = [[p.key, p.prompt, [[i.kind, dict(i.parameters)] for i in p.instructions]] for p in prompts]
    plain = json.dumps(rows, sort_keys=True, default=list)
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def _prompt(record: Record) -> InstructedPrompt:
    item, where = record.fields, record.where
    key, prompt = item.get("key"), record.text("prompt")
    if not isinstance(key, str | int) or isinstance(key, bool) or not str(key).strip():
        raise DataError(f"{where}: found {brief(key)} as 'key', needed a number or a name that no other line has")
    if not prompt.strip():
        raise DataError(f"{where}: 'prompt' is empty, needed the text to give to the model")
    kinds, settings = item.get("instruction_id_list"), item.get("kwargs")
    if not isinstance(kinds, list) or not kinds:
        raise DataError(f"{where}: found {brief(kinds)} as 'instruction_id_list', needed a list of at least one kind")
    if not isinstance(settings, list) or len(settings) != len(kinds):
        found = brief(settings)
        raise DataError(f"{where}: found {found} as 'kwargs', needed {len(kinds)} objects, one an instruction")
    found = tuple(_instruction(k, s, where) for k, s in zip(kinds, settings, strict=True))
    return InstructedPrompt(key=str(key), prompt=prompt, instructions=found)


def _instruction(kind: object, settings: object, where: str) -> Instruction:
    if not isinstance(kind, str) or kind not in PARAMETERS:
        hint = nearest(kind, PARAMETERS) if isinstance(kind, str) else ""
        raise DataError(f"{where}: no instruction is called {brief(kind)}{hint or '; needed one of the 25 of IFEval'}")
    if not isinstance(settings, dict):
        raise DataError(f"{where}: found {brief(settings)} as the kwargs of {kind}, needed an object")
    given = {name: value for name, value in settings.items() if value is not None}
    wanted = PARAMETERS[kind]
    if missing := [name for name in wanted if name not in given]:
        raise DataError(f"{where}: {kind} has no '{missing[0]}'; give it in kwargs")
    if extra := [name for name in given if name not in wanted]:
        raise DataError(f"{where}: {kind} takes no '{extra[0]}'{nearest(extra[0], wanted) or '; leave it out'}")
    checked = {name: _value(given[name], sort, f"{where}: {kind}: {name}") for name, sort in wanted.items()}
    _check_place(kind, checked, where)
    return Instruction(kind, MappingProxyType(checked))


def _value(value: object, sort: Sort, where: str) -> Any:
    """The parameter as the checks want it; lists become tuples."""
    if sort == "count":
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or value < 0:  # type: ignore[operator]
            raise DataError(f"{where} is {brief(value)}, needed a whole number from 0 up")
        return int(value)  # type: ignore[call-overload]
    if sort == "patterns":
        if not isinstance(value, list) or not value or not all(isinstance(w, str) and w.strip() for w in value):
            raise DataError(f"{where} is {brief(value)}, needed a list of words")
        return tuple(_pattern(w, where) for w in value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where} is {brief(value)}, needed a text that is not empty")
    return _text(value, sort, where)


def _text(value: str, sort: Sort, where: str) -> str:
    if sort == "relation" and value not in RELATIONS:
        raise DataError(f"{where} is {value!r}, needed 'less than' or 'at least'")
    if sort == "symbol" and len(value.strip()) != 1:
        raise DataError(f"{where} is {value!r}, needed a single letter or sign")
    if sort == "pattern":
        return _pattern(value.strip(), where)
    if sort == "language":
        code = value.split("-")[0]
        if code not in LANGUAGES:
            raise DataError(f"{where} is {value!r}, needed one of {', '.join(sorted(LANGUAGES))}")
        return code
    return value


def _pattern(value: str, where: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise DataError(
            f"{where} has {value!r}, which is no regular expression ({error}); put a backslash before its signs"
        ) from error
    return value


def _check_place(kind: str, given: Mapping[str, Any], where: str) -> None:
    if kind != "length_constraints:nth_paragraph_first_word":
        return
    if not 1 <= given["nth_paragraph"] <= given["num_paragraphs"]:
        raise DataError(
            f"{where}: {kind} asks for paragraph {given['nth_paragraph']} of {given['num_paragraphs']}; "
            "give an nth_paragraph from 1 to num_paragraphs"
        )
