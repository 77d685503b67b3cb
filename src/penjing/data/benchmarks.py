"""What the records of several benchmarks have in common, in the field names that their JSONL files have."""

from typing import Any

from penjing.data.items import ChoiceItem, identifier, place_of
from penjing.data.jsonl import Record, brief


def labelled(r: Record, key: str) -> ChoiceItem:
    """A question (under `key`, or as the "stem" of a "question") with labelled "choices" and the "answerKey".

    Raises:
        DataError: the record does not hold that; its line is named.
    """
    question = r.fields.get("question")
    if isinstance(question, dict):
        stem, choices = question.get("stem"), question.get("choices")
    else:
        stem, choices = r.fields.get(key), r.fields.get("choices")
    texts, labels = _columns(r, choices)
    answer = r.text("answerKey")
    if answer.strip() not in labels:
        raise r.wrong(f"the answerKey {brief(answer)}", f"one of the labels {', '.join(labels)}")
    return ChoiceItem(
        id=identifier(r), question=r.as_text(stem, key), choices=texts, answer=labels.index(answer.strip())
    )


def _columns(r: Record, choices: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Texts and labels of choices given as {"text": [...], "label": [...]} or [{"text": ..., "label": ...}, ...]."""
    if isinstance(choices, list) and all(isinstance(c, dict) for c in choices):
        choices = {"text": [c.get("text") for c in choices], "label": [c.get("label") for c in choices]}
    if not isinstance(choices, dict):
        raise r.wrong(f"{brief(choices)} as 'choices'", "an object with lists 'text' and 'label'")
    texts = r.texts(choices.get("text"), "choices.text", least=2)
    labels = r.texts(choices.get("label"), "choices.label", least=2)
    if len(texts) != len(labels) or len(set(labels)) < len(labels):
        raise r.wrong(f"{len(texts)} choices with labels {', '.join(labels)}", "a label of its own for each choice")
    return texts, labels


def numbered(r: Record, key: str, count: int) -> int:
    """A place from 0 to `count` - 1, that may be written as a string of digits.

    Raises:
        DataError: it is none of these; the line is named.
    """
    return place_of(r, r.fields.get(key), count, labels=tuple(str(i) for i in range(count)))
